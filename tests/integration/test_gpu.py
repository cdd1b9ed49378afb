"""Models on a GPU: LiteRT's own way, a delegate's library, and neither."""

import logging

import numpy as np
import pytest
from support.echo_models import write_model
from support.open_size import write_open_model
from support.waiting import wait_for

from edge_detect.models import find_model, load_model
from edge_detect.models.engine import Engine
from edge_detect.models.gpu import open_compiled
from edge_detect.models.options import AcceleratorLimits

PICTURE = np.random.default_rng(5).integers(0, 255, (8, 8, 3), np.uint8)
BUNDLED = [
    "yolov3-tiny-coco",
    "ssdlite-mobilenet-v2-pedestrian",
    "ssdlite-mobilenet-v2-coco-float16",
]


def same(one, other) -> bool:
    return np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path)


@pytest.mark.parametrize("name", [*BUNDLED, "open"])
def test_what_litert_compiles_gives_the_tensors_of_its_interpreter(name, tmp_path):
    # Without a GPU it compiles for the CPU; everything else on the way is the same.
    picture = np.random.default_rng(7).integers(0, 255, (360, 640, 3), np.uint8)
    name = write_open_model(tmp_path, (24, 16)) if name == "open" else name
    entry = find_model(name)
    shape = entry.spec.input.tensor_shape
    session = open_compiled(entry.path, on_gpu=False, input_shape=shape)
    engine = Engine(entry, session)
    with load_model(name, accelerator="cpu", threads=1) as detector:
        buffer = detector.new_buffer()
        detector.prepare(picture, buffer)
        detector.run(buffer)
        wanted = detector.outputs()
        found, _ = engine.run(0, buffer, detector.thresholds, detector.selection)
        assert same(found, detector.run(buffer)[0])
        _, copy = engine.begin(buffer, 0)
        found, _ = engine.finish(0, copy, buffer, detector.thresholds, detector.selection)
        assert same(found, detector.run(buffer)[0])
    for tensor, values in engine.outputs(0).items():
        assert np.array_equal(values, wanted[tensor])
    session.close()


def test_without_a_gpu_the_cpu_is_used_with_one_warning_and_no_chatter(model, caplog, capfd):
    with caplog.at_level(logging.INFO), load_model(model, accelerator="gpu") as detector:
        if detector.lanes.devices == ("gpu",):
            pytest.skip("there is a GPU here: `pytest -m hardware` shows that it works")
        assert detector.lanes.devices == ("cpu",)
        with load_model(model, accelerator="cpu") as cpu:
            assert same(detector(PICTURE), cpu(PICTURE))
    (said,) = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert said.levelname == "WARNING"
    assert "LiteRT found no GPU" in said.getMessage()
    assert "the CPU is used" in said.getMessage()
    out, err = capfd.readouterr()
    assert "registry" not in out + err


def test_a_library_for_the_gpu_takes_the_model_over(model, stand_in):
    stand_in.tell("take all")
    with (
        load_model(model, accelerator="gpu", library=str(stand_in.library)) as detector,
        load_model(model, accelerator="cpu") as cpu,
    ):
        assert detector.lanes.devices == ("gpu",)
        assert same(detector(PICTURE), cpu(PICTURE))


def test_a_size_that_the_model_leaves_open_is_set_in_the_helper_as_well(tmp_path, stand_in):
    model = write_open_model(tmp_path, (24, 16))
    with (
        load_model(model, accelerator="gpu", library=str(stand_in.library)) as detector,
        load_model(model, accelerator="cpu") as cpu,
    ):
        assert detector.lanes.devices == ("gpu",)
        assert same(detector(PICTURE), cpu(PICTURE))


@pytest.mark.parametrize(
    ("orders", "says"),
    [
        (["create refuse"], "it says no reason"),
        (["create crash"], "SIGSEGV"),
        (["take all", "prepare fail"], "refuses echo.tflite"),
    ],
)
def test_a_gpu_that_does_not_work_leaves_the_cpu_with_one_warning(
    model, stand_in, caplog, orders, says
):
    stand_in.tell(*orders)
    with load_model(model, accelerator="gpu", library=str(stand_in.library)) as detector:
        assert detector.lanes.devices == ("cpu",)
        assert len(detector(PICTURE)) > 0
    (said,) = caplog.records
    assert says in said.getMessage()


def test_a_library_for_the_gpu_that_is_missing_leaves_the_cpu_with_one_warning(model, caplog):
    with load_model(model, accelerator="gpu", library="/no-such/libgpu.so") as detector:
        assert detector.lanes.devices == ("cpu",)
    (said,) = caplog.records
    assert "/no-such/libgpu.so cannot be loaded" in said.getMessage()


@pytest.mark.parametrize("how", ["hang", "fail", "crash"])
def test_a_gpu_that_fails_later_is_replaced_by_the_cpu_until_it_works(model, stand_in, how):
    stand_in.tell("take all")
    with load_model(
        model,
        accelerator="gpu",
        library=str(stand_in.library),
        deadline_s=1.0 if how == "hang" else 60.0,
        limits=AcceleratorLimits(first_wait_s=0.1, longest_wait_s=0.4),
    ) as detector:
        wanted = detector(PICTURE)
        stand_in.tell("take all", f"invoke {how}")
        assert same(detector(PICTURE), wanted)
        assert detector.lanes.devices == ("cpu",)
        stand_in.tell("take all")
        wait_for(lambda: detector.lanes.devices == ("gpu",))
        assert same(detector(PICTURE), wanted)


def test_a_twin_in_floating_point_is_what_the_gpu_gets(tmp_path, stand_in):
    stand_in.tell("take all")
    write_model(tmp_path, "echo-float32", name="echo_float")
    path = write_model(tmp_path, top='float_twin = "echo_float"')
    with load_model(path, accelerator="gpu", library=str(stand_in.library)) as detector:
        assert detector.lanes.engine.session.inputs[0].dtype == np.float32
        stand_in.tell("invoke fail")
        detector(PICTURE)
        assert detector.lanes.engine.session.inputs[0].dtype == np.uint8
