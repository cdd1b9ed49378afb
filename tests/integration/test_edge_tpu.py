"""Models on Edge TPUs, through a library that stands in for theirs."""

import logging
import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.echo_models import change_manifest, write_model
from support.stand_in import write_twins
from support.waiting import wait_for

import edge_detect as ed
from edge_detect.core import AcceleratorError, ModelError
from edge_detect.models import load_model
from edge_detect.models.edge_tpu import EdgeTpus
from edge_detect.models.options import AcceleratorLimits

pytestmark = pytest.mark.model

PICTURE = np.random.default_rng(5).integers(0, 255, (8, 8, 3), np.uint8)
SOURCE = "synthetic://?size=64x48&fps=200&realtime=true&frames=60"


@pytest.fixture
def twins(tmp_path):
    return write_twins(tmp_path)


def buffer_of(detector):
    buffer = detector.new_buffer()
    detector.prepare(PICTURE, buffer)
    return buffer


def same(one, other) -> bool:
    return np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)


def test_with_an_edge_tpu_the_twin_runs_there_and_finds_the_same(twins, stand_in):
    with (
        load_model(twins, accelerator="cpu") as cpu,
        load_model(twins, library=str(stand_in.library)) as tpu,
    ):
        assert (cpu.lanes.devices, tpu.lanes.devices) == (("cpu",), ("edgetpu:usb:0",))
        assert (tpu.name, tpu.labels) == (cpu.name, cpu.labels)
        assert len(cpu(PICTURE)) > 0
        assert same(tpu(PICTURE), cpu(PICTURE))


def test_the_library_is_found_by_its_usual_name(twins, stand_in, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_in.library.parent))
    with load_model(twins, accelerator="edgetpu") as detector:
        assert detector.lanes.devices == ("edgetpu:usb:0",)


def test_the_compiled_model_may_be_named_itself(twins, stand_in):
    compiled = twins.with_name("echo_edgetpu.tflite")
    with load_model(compiled, library=str(stand_in.library)) as detector:
        assert detector.name == "echo_edgetpu"
        assert detector.lanes.devices == ("edgetpu:usb:0",)


def test_without_an_edge_tpu_auto_takes_the_cpu_and_says_so_once(twins, stand_in, caplog):
    stand_in.tell("devices 0")
    with (
        caplog.at_level(logging.INFO),
        load_model(twins, library=str(stand_in.library)) as detector,
    ):
        assert detector.lanes.devices == ("cpu",)
        detector(PICTURE)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("echo runs on the CPU: there is no Edge TPU")


@pytest.mark.parametrize(
    ("order", "list_s", "says"),
    [
        ("list crash", 20.0, "crashes (SIGSEGV)"),
        ("list hang", 0.5, "gives no answer within 0.5 s"),
    ],
)
def test_a_library_that_crashes_or_hangs_when_asked_ends_neither_us_nor_the_cpu(
    twins, stand_in, order, list_s, says, caplog
):
    options = {"library": str(stand_in.library), "limits": AcceleratorLimits(list_s=list_s)}
    stand_in.tell(order)
    with pytest.raises(AcceleratorError, match=re.escape(says)):
        load_model(twins, accelerator="edgetpu", **options)
    with caplog.at_level(logging.INFO), load_model(twins, **options) as detector:
        assert detector.lanes.devices == ("cpu",)
    assert says in caplog.text


def test_without_the_library_auto_takes_the_cpu_and_says_so_once(twins, caplog):
    with (
        caplog.at_level(logging.INFO),
        load_model(twins, library="/no-such/libedgetpu.so.1") as detector,
    ):
        assert detector.lanes.devices == ("cpu",)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "runs on the CPU: the library of Edge TPUs is missing" in said


def test_a_model_without_a_twin_says_nothing_of_edge_tpus(tmp_path, caplog):
    with caplog.at_level(logging.INFO), load_model(write_model(tmp_path)) as detector:
        assert detector.lanes.devices == ("cpu",)
    assert not caplog.records


def test_auto_takes_the_cpu_when_the_twin_was_never_fetched(twins, stand_in, caplog):
    twins.with_name("echo_edgetpu.tflite").unlink()
    with (
        caplog.at_level(logging.INFO),
        load_model(twins, library=str(stand_in.library)) as detector,
    ):
        assert detector.lanes.devices == ("cpu",)
    assert "echo_edgetpu" in caplog.text


def test_an_edge_tpu_that_was_asked_for_needs_the_twin(twins, stand_in):
    twins.with_name("echo_edgetpu.tflite").unlink()
    with pytest.raises(ModelError, match="'echo_edgetpu' is not here"):
        load_model(twins, accelerator="edgetpu", library=str(stand_in.library))


@pytest.mark.parametrize(
    ("orders", "says", "hint"),
    [
        (["devices 0"], "there is no Edge TPU", "USB 3"),
        (["create refuse"], "cannot open usb:0", "doctor"),
        (["create crash"], "was ended by SIGSEGV", "may not fit the runtime"),
        (["prepare fail"], "usb:0 refuses echo_edgetpu.tflite: Failed to prepare", "power"),
        (["invoke fail"], "USB transfer error", ""),
        (["invoke crash"], "was ended by SIGSEGV", "may not fit the runtime"),
    ],
)
def test_an_edge_tpu_that_was_asked_for_and_does_not_work_is_an_error(
    twins, stand_in, orders, says, hint
):
    stand_in.tell(*orders)
    with pytest.raises(AcceleratorError, match=says) as caught:
        load_model(twins, accelerator="edgetpu", library=str(stand_in.library))
    assert hint in caught.value.hint


@pytest.mark.parametrize("order", ["create hang", "invoke hang"])
def test_an_edge_tpu_that_hangs_while_it_is_opened_is_an_error(twins, stand_in, order):
    stand_in.tell(order)
    options = {"library": str(stand_in.library), "limits": AcceleratorLimits(open_s=1.0)}
    with pytest.raises(AcceleratorError, match="was not ready within 1 s"):
        load_model(twins, accelerator="edgetpu", **options)


def test_twins_that_differ_in_their_labels_are_refused(twins, stand_in):
    change_manifest(twins.with_name("echo_edgetpu.tflite"), '["thing"]', '["things"]')
    with pytest.raises(ModelError, match="named as twins, but differ"):
        load_model(twins, library=str(stand_in.library))


def test_a_missing_library_is_named(twins):
    with pytest.raises(AcceleratorError, match=r"library of Edge TPUs is missing: .*no-such") as e:
        load_model(twins, accelerator="edgetpu", library="/no-such/libedgetpu.so.1")
    assert "libedgetpu1-std" in e.value.hint


def test_a_file_that_is_no_library_is_named(twins, tmp_path):
    other = tmp_path / "libedgetpu.so.1"
    other.write_text("not a library")
    with pytest.raises(AcceleratorError, match=r"invalid ELF header|file too short"):
        load_model(twins, accelerator="edgetpu", library=str(other))


def test_what_the_library_prints_reaches_neither_terminal_nor_log(twins, stand_in, caplog, capfd):
    stand_in.tell("chatter I am a chatty library")
    with (
        caplog.at_level(logging.INFO),
        load_model(twins, library=str(stand_in.library)) as detector,
    ):
        detector(PICTURE)
    out, err = capfd.readouterr()
    assert "chatty" not in out + err + caplog.text


def test_frames_spread_over_several_edge_tpus_and_keep_their_order(twins, stand_in):
    stand_in.tell("devices 3", "invoke_ms 20", "invoke_ms 5 1")
    with load_model(twins, library=str(stand_in.library)) as detector:
        devices = tuple(f"edgetpu:usb:{number}" for number in range(3))
        assert detector.lanes.devices == devices
        tickets = [detector.submit(buffer_of(detector)) for _ in range(6)]
        assert Counter(ticket.place.lane.device for ticket in tickets) == dict.fromkeys(devices, 2)
        assert len({len(detector.collect(ticket)[0]) for ticket in tickets}) == 1
        with ed.Pipeline(SOURCE, model=detector, mode="every") as pipeline:
            numbers = [result.frame.sequence for result in pipeline]
        assert numbers == sorted(numbers)
        assert len(numbers) == 60


def test_one_of_several_edge_tpus_may_be_chosen(twins, stand_in):
    stand_in.tell("devices 3")
    with load_model(twins, accelerator="edgetpu:2", library=str(stand_in.library)) as detector:
        assert detector.lanes.devices == ("edgetpu:usb:2",)


def test_many_callers_at_once_each_get_their_own_answer(twins, stand_in):
    stand_in.tell("devices 2", "invoke_ms 1")
    pictures = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(24)]
    with load_model(twins, accelerator="cpu") as cpu:
        wanted = [cpu(picture) for picture in pictures]
    with load_model(twins, library=str(stand_in.library)) as detector:

        def detect(picture):
            buffer = detector.new_buffer()
            detector.prepare(picture, buffer)
            return detector.run(buffer)[0]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(detect, pictures * 5))
    assert all(same(each, wanted[index % 24]) for index, each in enumerate(found))


def test_a_closed_detector_leaves_no_process_and_no_thread(twins, stand_in):
    with load_model(twins, library=str(stand_in.library)) as detector:
        pid = detector.lanes.engine.session.pid
        os.kill(pid, 0)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))  # noqa: PTH110


def test_one_edge_tpu_runs_one_model_at_a_time(twins, stand_in, tmp_path):
    (tmp_path / "more").mkdir()
    other = write_twins(tmp_path / "more", "other")
    with load_model(twins, library=str(stand_in.library)):
        with pytest.raises(AcceleratorError, match="usb:0 is in use by another model") as caught:
            load_model(other, accelerator="edgetpu", library=str(stand_in.library))
        assert "share" in caught.value.hint
        with load_model(other, library=str(stand_in.library)) as second:
            assert second.lanes.devices == ("cpu",)
    with load_model(other, accelerator="edgetpu", library=str(stand_in.library)) as second:
        assert second.lanes.devices == ("edgetpu:usb:0",)


def test_a_device_that_comes_back_as_another_one_after_its_firmware_stays_locked(
    twins, stand_in, tmp_path
):
    (tmp_path / "more").mkdir()
    other = write_twins(tmp_path / "more", "other")
    stand_in.tell("reborn yes")
    before = stand_in.nodes[0].stat().st_ino
    with load_model(twins, library=str(stand_in.library)) as detector:
        assert detector.lanes.devices == ("edgetpu:usb:0",)
        assert stand_in.nodes[0].stat().st_ino != before
        with pytest.raises(AcceleratorError, match="usb:0 is in use by another model"):
            load_model(other, accelerator="edgetpu", library=str(stand_in.library))


def test_devices_that_count_anew_are_found_again_by_their_place():
    before = EdgeTpus("", ("usb:0", "usb:1"), ("/2-1", "/2-2"))
    after = EdgeTpus("", ("usb:0",), ("/2-2",))
    assert after.locate("/2-2", before.paths) == ("usb:0", "/2-2")
    moved = EdgeTpus("", ("usb:0", "usb:1"), ("/2-2", "/3-1"))
    assert moved.locate("/2-1", before.paths) == ("usb:1", "/3-1")
    with pytest.raises(AcceleratorError, match="no Edge TPU"):
        after.locate("/2-1", before.paths)
