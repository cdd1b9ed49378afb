"""True Edge TPUs and GPUs: `pytest -m hardware` on a machine that has one.

Where there is none, these tests are skipped and say what to plug in or install: nobody without
the hardware asked for them. A device without a model to run on it is a failure.
"""

import importlib.util
import json
import os
import signal
from pathlib import Path

import pytest
from support.waiting import wait_for

from edge_detect.core import AcceleratorError, bundled_path
from edge_detect.models import find_model, load_model
from edge_detect.models.accelerator import Accelerator
from edge_detect.models.edge_tpu import ask_library, choose_devices
from edge_detect.models.options import LoadOptions
from edge_detect.tools.agreement import compare
from edge_detect.tools.bench_accelerators import present_models
from edge_detect.tools.contender import Contender, Device
from edge_detect.tools.convert.calibration import read_pictures

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(1800)]

# An Edge TPU computes what the INT8 model says, but for roundings. A GPU computes in half
# precision; INT8 models agree with float ones on this clip to 0.97.
LEAST_SHARE, LEAST_IOU = 0.9, 0.85
# A Coral on USB loads its firmware anew.
RETURN_S = 90
RECORD = Path(__file__).parents[2] / "benchmarks" / "reference" / "record.py"


@pytest.fixture(scope="module")
def pictures():
    return list(read_pictures([bundled_path("demo") / "street.mp4"], every=8))


@pytest.fixture(scope="module")
def edge_tpus():
    """Their names."""
    try:
        found = choose_devices(Accelerator("edgetpu"), ask_library().devices)
    except AcceleratorError as error:
        pytest.skip(f"plug a Coral Edge TPU in, and have its library: {error.said_of('Edge TPU')}")
    return [f"edgetpu:{name}" for name in found]


@pytest.fixture(scope="module")
def gpu(pictures):
    """Its name."""
    entry = find_model("ssdlite-mobilenet-v2-pedestrian")
    try:
        Contender(entry, Device("gpu"), LoadOptions(), pictures[0], 60).close()
    except AcceleratorError as error:
        pytest.skip(
            "use a machine with a GPU and its Vulkan driver (mesa-vulkan-drivers, and a user in "
            f"the group render): {error.said_of('GPU')}"
        )
    return "gpu"


@pytest.fixture(scope="module")
def compiled_models():
    """Models that are here together with their twin for Edge TPUs."""
    entries = [find_model(name) for name in present_models()]
    names = [
        entry.name
        for entry in entries
        if entry.present and entry.spec.edgetpu and _is_here(entry.spec.edgetpu)
    ]
    if not names:
        pytest.fail(
            "there is an Edge TPU but no model for it: edge-detect models pull "
            "ssd_mobilenet_v2_coco_quant_postprocess, and the same with _edgetpu behind"
        )
    return names


@pytest.fixture(scope="module")
def plain_models():
    return [name for name in present_models() if find_model(name).present]


def _is_here(name):
    return find_model(name.removesuffix(".tflite")).present


def finds_what_the_cpu_finds(name, device, pictures):
    with (
        load_model(name, accelerator="cpu") as cpu,
        load_model(name, accelerator=device) as detector,
    ):
        found = compare(cpu, detector, pictures)
        # Nothing has stood in for it.
        assert detector.lanes.devices == (device,)
    assert found.n_reference > 10, name
    assert found.recall >= LEAST_SHARE, name
    assert found.precision >= LEAST_SHARE, name
    assert found.mean_iou >= LEAST_IOU, name


def comes_back_after_its_helper_is_killed(name, device, picture):
    with load_model(name, accelerator=device) as detector:
        before = detector(picture)
        assert len(before) > 0
        pid = detector.lanes.engine.session.pid
        os.kill(pid, signal.SIGKILL)

        def is_back():
            # The CPU answers meanwhile.
            assert len(detector(picture)) > 0
            engine = detector.lanes.engine
            return (
                detector.lanes.devices == (device,) and getattr(engine.session, "pid", pid) != pid
            )

        wait_for(is_back, RETURN_S)
        assert len(detector(picture)) == len(before)
        assert detector.lanes.devices == (device,)


def test_each_model_finds_on_each_edge_tpu_what_it_finds_on_the_cpu(
    edge_tpus, compiled_models, pictures
):
    for device in edge_tpus:
        for name in compiled_models:
            finds_what_the_cpu_finds(name, device, pictures)


def test_an_edge_tpu_comes_back_after_its_helper_is_killed(edge_tpus, compiled_models, pictures):
    for device in edge_tpus:
        comes_back_after_its_helper_is_killed(compiled_models[0], device, pictures[0])


def test_each_model_finds_on_the_gpu_what_it_finds_on_the_cpu(gpu, plain_models, pictures):
    for name in plain_models:
        finds_what_the_cpu_finds(name, gpu, pictures)


def test_a_gpu_comes_back_after_its_helper_is_killed(gpu, plain_models, pictures):
    comes_back_after_its_helper_is_killed(plain_models[0], gpu, pictures[0])


def test_the_table_of_this_board_is_recorded_with_every_device(request):
    devices = []
    reasons = []
    for fixture in ("edge_tpus", "gpu"):
        try:
            found = request.getfixturevalue(fixture)
            devices += [found] if isinstance(found, str) else found
        except pytest.skip.Exception as skipped:
            reasons.append(str(skipped))
    if not devices:
        pytest.skip("; ".join(reasons))
    spec = importlib.util.spec_from_file_location("record", RECORD)
    record = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(record)
    rows = json.loads(record.main([]).read_text(encoding="utf-8"))["rows"]
    measured = {row["accelerator"] for row in rows if row["invoke_ms"]}
    assert measured == {"cpu", *devices}
