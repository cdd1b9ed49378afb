"""Kernels are compiled once; after that, and whatever the disk is like, programs just start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_detect.kernels import warmup

INSPECT = """
import json, sys
from edge_detect.kernels import warmup
numba_at_import = "numba" in sys.modules
names = [name for name, _ in warmup()]
from edge_detect.kernels import registry
def count(kind):
    return sum(sum(getattr(k.stats, kind).values()) for k, _ in registry._kernels.values())
first = {"names": names, "hits": count("cache_hits"), "misses": count("cache_misses"),
         "numba_at_import": numba_at_import}
"""

COMMAND = """
import argparse, contextlib, sys
from edge_detect.app.warmup import warmup as command
with contextlib.redirect_stdout(sys.stderr):
    command(argparse.Namespace(quiet=False))
"""

PRINT = """
print(json.dumps(first))
"""

DECODE = """
import numpy as np
from support import references
from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import TensorInfo, Thresholds
for dtype in ("int8", "uint8", "float32"):
    q = {} if dtype == "float32" else {"scale": 0.1}
    shapes = {"boxes": (1, 18, 4), "scores": (1, 18, 1)}
    infos = {n: TensorInfo(n, 0, s, np.dtype(dtype), **q) for n, s in shapes.items()}
    decoder = make_decoder(references.ssd_manifest(), infos)
    tensors = {n: np.ones(s, dtype) for n, s in shapes.items()}
    found = decoder.decode(tensors, references.plain(64), Thresholds(0.1, 0.5, 10))
    assert len(found)
print(json.dumps(first | {"misses_of_decoders": count("cache_misses")}))
"""

ONE = """
import numpy as np
from edge_detect.kernels import candidates as places, registry
from edge_detect.kernels.nms import map_boxes
registry.prepare(map_boxes)
settings = np.ones(places.SETTINGS_LENGTH)
settings[[places.OFFSET_X, places.OFFSET_Y]] = 0
box = np.full((1, 4), 5, np.float32)
map_boxes(box, settings, box)
print(box.tolist(), sum(map_boxes.stats.cache_hits.values()))
"""


def run(program, **environment):
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def after_warm_up():
    """What a fresh process says of the kernels that `warmup` has left behind, and of decoders."""
    warmup()
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    return json.loads(run(INSPECT + DECODE, PYTHONPATH=path)[0])


def test_after_warm_up_a_fresh_process_compiles_nothing(after_warm_up):
    assert after_warm_up["misses"] == 0
    assert after_warm_up["hits"] == len(after_warm_up["names"])


def test_every_tensor_kernel_is_compiled_for_every_element_type(after_warm_up):
    names = set(after_warm_up["names"])
    for kernel in ("collect_grid", "collect_sigmoid", "collect_softmax", "dequantize"):
        assert {f"{kernel}[{t}]" for t in ("int8", "uint8", "float32")} <= names
    assert {"suppress", "rank", "collect_rows", "map_boxes", "iou_matrix", "top_k"} <= names


def test_importing_the_package_does_not_import_numba(after_warm_up):
    assert after_warm_up["numba_at_import"] is False


def test_a_decoder_compiles_nothing_after_warm_up(after_warm_up):
    assert after_warm_up["misses_of_decoders"] == 0


@pytest.mark.endurance
def test_warm_up_of_an_empty_cache_compiles_every_kernel_once_and_for_all(tmp_path):
    (once, said), (again, nothing) = (
        run(COMMAND + INSPECT + PRINT, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)
    )
    first, second = json.loads(once), json.loads(again)
    assert (first["hits"], first["misses"]) == (0, len(first["names"]))
    assert (second["hits"], second["misses"]) == (len(second["names"]), 0)
    assert said.startswith("compiling the post-processing (a minute or more, once)\n")
    assert "compiling" not in nothing


def test_without_a_folder_to_write_to_kernels_work_and_a_warning_says_so():
    stdout, stderr = run(ONE, NUMBA_CACHE_DIR="/dev/null/nowhere")
    assert stdout.split() == ["[[1.0,", "1.0,", "1.0,", "1.0]]", "0"]
    assert "compiled kernels cannot be kept" in stderr
    assert "NUMBA_CACHE_DIR" in stderr
