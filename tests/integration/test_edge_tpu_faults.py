"""Edge TPUs that fail, hang, vanish and come back, while frames go on."""

import contextlib
import logging
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from support.echo_models import write_model
from support.failing_devices import (
    CAMERA,
    HASTY_S,
    PATIENT_S,
    PICTURE,
    buffer_of,
    helper_of,
    load,
    on_tpu,
    same,
)
from support.stand_in import write_twins
from support.waiting import HANG_S, promptly, wait_for

import edge_detect as ed
from edge_detect.core import AcceleratorError
from edge_detect.sinks import Sink


class Viewer(Sink):
    """Counts what it saw."""

    name = "viewer"
    takes_results = takes_pictures = True

    def __init__(self):
        self.pictures = self.pictures_before_result = 0
        self.results = []

    def open(self, stream):
        pass

    def close(self):
        pass

    def write_picture(self, picture):
        self.pictures += 1

    def write_result(self, result):
        self.pictures_before_result = self.pictures
        self.results.append(result.frame.sequence)


@pytest.fixture
def twins(tmp_path):
    return write_twins(tmp_path)


@pytest.fixture
def detector(request, twins, stand_in):
    """Gives a device up soon where the test has it hang, else late."""
    how = request.getfixturevalue("how") if "how" in request.fixturenames else ""
    with load(twins, stand_in, HASTY_S if how in HANGS else PATIENT_S) as loaded:
        yield loaded


def break_with(how, stand_in, detector):
    """Have the device fail from now on."""
    pid = helper_of(detector)
    if how == "killed":
        stand_in.tell("create refuse")
        os.kill(pid, signal.SIGKILL)
    elif how == "frozen":
        stand_in.tell("create refuse")
        os.kill(pid, signal.SIGSTOP)
        # A thread that has not come round to it may still answer.
        wait_for(lambda: stopped(pid))
    else:
        stand_in.tell(f"invoke {how}", "create refuse")


def stopped(pid):
    """Whether all threads of a process stand still."""
    states = [
        each.read_text().rpartition(")")[2].split()[0]
        for each in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    return set(states) == {"T"}


HANGS = ["hang", "frozen"]
FAULTS = ["fail", "crash", "killed", *HANGS]


@pytest.mark.parametrize("how", FAULTS)
def test_the_frame_whose_device_fails_is_detected_by_the_cpu(detector, stand_in, how):
    wanted = detector(PICTURE)
    break_with(how, stand_in, detector)
    with promptly():
        assert same(detector(PICTURE), wanted)
    assert detector.lanes.devices == ("cpu",)
    assert "edgetpu:usb:0" in detector.lanes.away or "usb:0" in detector.lanes.away


@pytest.mark.parametrize("how", FAULTS)
def test_a_device_that_works_again_is_used_again_and_the_cpu_let_go(
    detector, stand_in, how, caplog
):
    wanted, pid = detector(PICTURE), helper_of(detector)
    break_with(how, stand_in, detector)
    with caplog.at_level(logging.INFO):
        detector(PICTURE)
        stand_in.tell()
        wait_for(lambda: on_tpu(detector))
        # It is used before the log says so.
        wait_for(lambda: len(caplog.records) >= 2)
    assert same(detector(PICTURE), wanted)
    assert on_tpu(detector)
    assert not detector.lanes.away
    # What hung does not stay behind.
    assert not Path(f"/proc/{pid}").exists()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].endswith("cpu takes over")
    assert "is back after" in said[1]


@pytest.mark.parametrize(
    ("overlay", "how"),
    [("latest", "hang"), ("latest", "killed"), ("exact", "hang"), ("exact", "killed")],
)
def test_viewers_see_pictures_and_detections_go_on_the_whole_time(detector, stand_in, how, overlay):
    viewer = Viewer()

    def see_more(count):
        pictures, results = viewer.pictures + count, len(viewer.results) + count
        with promptly():
            wait_for(lambda: viewer.pictures > pictures and len(viewer.results) > results)

    with ed.Pipeline(CAMERA, model=detector, sinks=[viewer], overlay=overlay) as pipeline:
        pipeline.start()
        see_more(10)
        break_with(how, stand_in, detector)
        with promptly():
            wait_for(lambda: detector.lanes.devices == ("cpu",))
        see_more(10)
        assert "usb:0" in pipeline.report().model.away
        stand_in.tell()
        wait_for(lambda: on_tpu(detector))
        see_more(10)
        # A busy machine may miss the deadline of a device once more.
        wait_for(lambda: pipeline.report().model.devices == ("edgetpu:usb:0",))
    assert viewer.results == sorted(viewer.results)


def test_pictures_go_on_while_a_device_hangs_that_is_not_given_up_yet(twins, stand_in):
    viewer = Viewer()
    with (
        load(twins, stand_in, HANG_S) as detector,
        ed.Pipeline(CAMERA, model=detector, sinks=[viewer], overlay="latest") as pipeline,
    ):
        pipeline.start()
        wait_for(lambda: len(viewer.results) > 5)
        helper = helper_of(detector)
        stand_in.tell("invoke hang")
        wait_for(lambda: viewer.pictures > viewer.pictures_before_result + 30)
        assert on_tpu(detector)
        os.kill(helper, signal.SIGKILL)
        seen = len(viewer.results)
        wait_for(lambda: len(viewer.results) > seen)


def test_no_frame_is_lost_in_mode_every_when_the_device_fails(twins, stand_in):
    source = "synthetic://?size=64x48&fps=200&frames=100"
    numbers = []
    with (
        load(twins, stand_in, HASTY_S) as detector,
        ed.Pipeline(source, model=detector, mode="every") as pipeline,
    ):
        for result in pipeline:
            numbers.append(result.frame.sequence)
            if len(numbers) == 30:
                break_with("hang", stand_in, detector)
    assert numbers == list(range(numbers[0], numbers[0] + 100))


def test_garbage_gives_boxes_within_the_frame_and_ends_nothing(detector, stand_in):
    stand_in.tell("invoke garbage")
    for _ in range(50):
        found = detector(PICTURE)
        assert np.isfinite(found.boxes).all()
        assert (found.boxes >= 0).all()
        assert (found.boxes <= 8).all()
    assert on_tpu(detector)


def test_of_two_devices_the_other_goes_on_alone_when_one_fails(twins, stand_in, caplog):
    stand_in.tell("devices 2")
    with load(twins, stand_in, HASTY_S) as detector:
        wanted = detector(PICTURE)
        stand_in.tell("devices 2", "invoke hang 1", "create refuse 1")
        for _ in range(8):
            tickets = [detector.submit(buffer_of(detector)) for _ in range(2)]
            assert all(same(detector.collect(ticket)[0], wanted) for ticket in tickets)
        assert detector.lanes.devices == ("edgetpu:usb:0",)
        assert "edgetpu:usb:0 takes over" in caplog.text
        stand_in.tell("devices 2")
        wait_for(lambda: len(detector.lanes.devices) == 2)


def test_when_all_devices_fail_the_cpu_takes_over(twins, stand_in):
    stand_in.tell("devices 2")
    with load(twins, stand_in) as detector:
        wanted = detector(PICTURE)
        stand_in.tell("devices 2", "invoke fail", "create refuse")
        for _ in range(3):
            assert same(detector(PICTURE), wanted)
        assert detector.lanes.devices == ("cpu",)


def test_two_devices_that_vanish_at_once_leave_the_cpu_and_no_frame_is_lost(twins, stand_in):
    stand_in.tell("devices 2")
    with load(twins, stand_in) as detector:
        numbers = []
        source = "synthetic://?size=64x48&fps=200&frames=100"
        with ed.Pipeline(source, model=detector, mode="every") as pipeline:
            for result in pipeline:
                numbers.append(result.frame.sequence)
                if len(numbers) == 30:
                    stand_in.tell("devices 2", "create refuse")
                    for lane in detector.lanes._lanes:
                        os.kill(lane.engine.session.pid, signal.SIGKILL)
        assert numbers == list(range(numbers[0], numbers[0] + 100))


def test_frames_that_the_cpu_infers_meanwhile_keep_their_own_objects(twins, stand_in):
    random = np.random.default_rng(9)
    pictures = [random.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(3)]
    with load(twins, stand_in, accelerator="cpu") as cpu:
        wanted = [cpu(picture) for picture in pictures]
    assert not same(wanted[0], wanted[1])
    assert not same(wanted[1], wanted[2])
    with load(twins, stand_in) as detector:
        buffers = [detector.new_buffer() for _ in pictures]
        for picture, buffer in zip(pictures, buffers, strict=True):
            detector.prepare(picture, buffer)
        break_with("fail", stand_in, detector)
        first, second = (detector.submit(buffer) for buffer in buffers[:2])
        assert same(detector.collect(first)[0], wanted[0])
        third = detector.submit(buffers[2])
        assert third.place.lane.device == "cpu"
        # In the one place more, while a frame behind it is under way.
        assert same(detector.collect(second)[0], wanted[1])
        stand_in.tell()
        wait_for(lambda: on_tpu(detector))
        # The CPU's model is closed by now.
        assert same(detector.collect(third)[0], wanted[2])
        assert same(detector(pictures[0]), wanted[0])


def test_a_device_that_comes_and_goes_under_many_cameras_stops_none_of_them(twins, stand_in):
    with (
        load(twins, stand_in) as detector,
        contextlib.ExitStack() as running,
    ):
        pipelines = [
            running.enter_context(ed.Pipeline(CAMERA, model=detector, sinks=["null://"]))
            for _ in range(4)
        ]
        for pipeline in pipelines:
            pipeline.start()
        for _ in range(3):
            seen = [pipeline.statistics.rates["detected"].count for pipeline in pipelines]
            wait_for(
                lambda seen=seen: all(
                    pipeline.statistics.rates["detected"].count > before + 5
                    for pipeline, before in zip(pipelines, seen, strict=True)
                )
            )
            wait_for(lambda: on_tpu(detector))
            os.kill(helper_of(detector), signal.SIGKILL)


def test_a_damaged_twin_for_the_cpu_is_no_twin_and_ends_no_live_pipeline(twins, stand_in, caplog):
    twins.write_bytes(twins.read_bytes()[:-8])
    with load(twins, stand_in) as detector:
        assert "truncated or was changed" in caplog.text
        viewer = Viewer()
        with ed.Pipeline(CAMERA, model=detector, sinks=[viewer]) as pipeline:
            pipeline.start()
            wait_for(lambda: len(viewer.results) > 5)
            break_with("fail", stand_in, detector)
            wait_for(lambda: not detector.lanes.devices)
            seen = viewer.pictures
            wait_for(lambda: viewer.pictures > seen + 20)
            with ed.Pipeline(CAMERA, model=detector, sinks=["null://"]) as other:
                other.start()
                wait_for(lambda: other.statistics.rates["captured"].count > 5)
            stand_in.tell()
            wait_for(lambda: on_tpu(detector))


def test_without_a_twin_for_the_cpu_pictures_go_on_and_detections_come_back(tmp_path, stand_in):
    path = write_model(tmp_path, "edgetpu-custom-op", name="only", top='cpu_twin = "no-such"')
    viewer = Viewer()
    with (
        load(path, stand_in, HASTY_S, accelerator="edgetpu") as detector,
        ed.Pipeline(CAMERA, model=detector, sinks=[viewer], overlay="latest") as pipeline,
    ):
        pipeline.start()
        wait_for(lambda: len(viewer.results) > 10)
        break_with("hang", stand_in, detector)
        wait_for(lambda: not detector.lanes.devices)
        seen = viewer.pictures
        with promptly():
            wait_for(lambda: viewer.pictures > seen + 30)
        wait_for(lambda: pipeline.statistics.dropped["detect"] > 0)
        stand_in.tell()
        wait_for(lambda: detector.lanes.devices)
        seen = len(viewer.results)
        wait_for(lambda: len(viewer.results) > seen + 10)


def test_a_model_file_that_is_gone_when_the_device_comes_back_leaves_the_cpu_at_work(
    detector, twins, stand_in
):
    break_with("killed", stand_in, detector)
    twins.with_name("echo_edgetpu.tflite").unlink()
    stand_in.tell()
    wanted = detector(PICTURE)
    wait_for(lambda: "is not here" in detector.lanes.away)
    assert same(detector(PICTURE), wanted)


def test_an_edge_tpu_that_is_missing_at_first_is_used_once_it_works(twins, stand_in):
    stand_in.tell("create refuse")
    with load(twins, stand_in) as detector:
        assert detector.lanes.devices == ("cpu",)
        wanted = detector(PICTURE)
        stand_in.tell()
        wait_for(lambda: on_tpu(detector))
        assert same(detector(PICTURE), wanted)


def test_all_devices_away_and_no_twin_is_an_error_that_may_pass(tmp_path, stand_in):
    path = write_model(tmp_path, "edgetpu-custom-op", name="only", top='cpu_twin = "no-such"')
    with load(path, stand_in, accelerator="edgetpu") as detector:
        break_with("fail", stand_in, detector)
        with pytest.raises(AcceleratorError, match="nothing stands in for it") as caught:
            detector(PICTURE)
        assert caught.value.transient
