"""Kernels are compiled once; after that, and whatever the disk is like, programs just start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

INSPECT = """
import json, sys, time
started = time.perf_counter()
from edge_detect.kernels import warmup
numba_at_import = "numba" in sys.modules
names = [name for name, _ in warmup()]
from edge_detect.kernels import registry
hits = sum(sum(k.stats.cache_hits.values()) for k, _ in registry._kernels.values())
misses = sum(sum(k.stats.cache_misses.values()) for k, _ in registry._kernels.values())
print(json.dumps({"names": names, "hits": hits, "misses": misses,
                  "numba_at_import": numba_at_import}))
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


def run(program, cache, **environment):
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)} | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder that `warmup` has filled, and what it said."""
    cache = tmp_path_factory.mktemp("cache")
    stdout, _ = run(INSPECT, cache)
    return cache, json.loads(stdout)


def test_after_warm_up_a_fresh_process_compiles_nothing(warm):
    cache, first = warm
    second = json.loads(run(INSPECT, cache)[0])
    assert first["misses"] == len(first["names"])
    assert second["misses"] == 0
    assert second["hits"] == len(second["names"]) == len(first["names"])


def test_every_tensor_kernel_is_compiled_for_every_element_type(warm):
    names = set(warm[1]["names"])
    for kernel in ("collect_grid", "collect_sigmoid", "collect_softmax", "dequantize"):
        assert {f"{kernel}[{t}]" for t in ("int8", "uint8", "float32")} <= names
    assert {"suppress", "rank", "collect_rows", "map_boxes", "iou_matrix", "top_k"} <= names


def test_importing_the_package_does_not_import_numba(warm):
    assert warm[1]["numba_at_import"] is False


def test_a_decoder_compiles_nothing_after_warm_up(warm):
    program = """
import numpy as np
from support import references
from edge_detect.kernels import registry
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
print(sum(sum(k.stats.cache_misses.values()) for k, _ in registry._kernels.values()))
"""
    folder = Path(__file__).parents[1]
    assert run(program, warm[0], PYTHONPATH=str(folder))[0] == "0\n"


def test_without_a_folder_to_write_to_kernels_work_and_a_warning_says_so():
    stdout, stderr = run(ONE, "/dev/null/nowhere")
    assert stdout.split() == ["[[1.0,", "1.0,", "1.0,", "1.0]]", "0"]
    assert "compiled kernels cannot be kept" in stderr
    assert "NUMBA_CACHE_DIR" in stderr


def test_a_compiled_kernel_that_was_cut_short_is_compiled_again(tmp_path):
    run(ONE, tmp_path)
    kept = list(tmp_path.rglob("*map_boxes*"))
    assert len(kept) == 2
    for file in kept:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    stdout, _ = run(ONE, tmp_path)
    assert stdout.endswith("0\n")
    assert run(ONE, tmp_path)[0].endswith("1\n")
