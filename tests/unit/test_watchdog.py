"""Trouble is what only a restart can mend; a camera that is away is none."""

import threading
import time

import pytest
from support.waiting import wait_for

from edge_detect.pipeline.mailbox import Closed
from edge_detect.service.camera import Camera
from edge_detect.service.config.settings import CameraSettings, DetectorSettings
from edge_detect.service.detectors import Detectors
from edge_detect.service.watchdog import Watchdog

SOURCE = "synthetic://?size=320x180&fps=30&realtime=true"
SHARED = DetectorSettings(model="ssdlite-mobilenet-v2-pedestrian", threads=1)


@pytest.fixture
def camera():
    camera = Camera("yard", CameraSettings(source=SOURCE), SHARED, Detectors())
    camera.start()
    wait_for(lambda: camera.totals() is not None and camera.totals().frames["detected"] > 2, 30)
    yield camera
    camera.stop()
    assert camera.join(5)


def test_a_camera_at_work_is_no_trouble(camera):
    watchdog = Watchdog(stuck_s=2)
    detected = camera.totals().frames["detected"]
    while camera.totals().frames["detected"] < detected + 30:
        assert watchdog.troubles([camera]) == []
        time.sleep(0.05)


def test_a_detector_that_hangs_is_trouble_until_it_goes_on(camera):
    watchdog, go_on = Watchdog(stuck_s=1), threading.Event()
    session = camera.pipeline.detector.lanes.engine.session
    invoke = session.invoke
    session.invoke = lambda: (go_on.wait(30), invoke())
    try:
        wait_for(lambda: "yard: detect is at work on one frame" in str(watchdog.troubles([camera])))
    finally:
        session.invoke = invoke
        go_on.set()
    wait_for(lambda: watchdog.troubles([camera]) == [])


def test_a_stage_that_ends_by_itself_is_trouble_even_if_nobody_noticed(camera, monkeypatch):
    """Such as a thread that left its loop without an error."""
    watchdog = Watchdog(stuck_s=1)
    box = camera.pipeline._line._boxes["detect"]

    def end():
        raise Closed

    monkeypatch.setattr(box, "wait", end)
    wait_for(lambda: "frames come in, but none was detected" in str(watchdog.troubles([camera])))
    wait_for(
        lambda: "stages that ended by themselves: detect" in str(watchdog.troubles([camera])), 20
    )


def test_detection_that_is_switched_off_or_slowed_down_is_no_trouble(camera):
    watchdog = Watchdog(stuck_s=1)
    camera.set_enabled(False)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert watchdog.troubles([camera]) == []
        time.sleep(0.1)
    camera.set_enabled(True)
    camera.set_max_fps(0.5)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert watchdog.troubles([camera]) == []
        time.sleep(0.1)


def test_a_camera_that_is_away_is_no_trouble():
    settings = CameraSettings(source="rtsp://127.0.0.1:1/live")
    camera = Camera("yard", settings, SHARED, Detectors())
    camera.start()
    try:
        wait_for(lambda: camera.state().status is not None, 30)
        watchdog = Watchdog(stuck_s=0.5)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert watchdog.troubles([camera]) == []
            time.sleep(0.05)
    finally:
        camera.stop()
        assert camera.join(10)


def test_a_recording_that_waits_for_its_next_frame_is_not_at_work():
    """Such as one of a camera that records while something moves."""
    source = "synthetic://?size=320x180&fps=0.5&realtime=true"
    camera = Camera("yard", CameraSettings(source=source), SHARED, Detectors())
    camera.start()
    try:
        wait_for(lambda: camera.totals() is not None and camera.totals().frames["captured"], 30)
        while camera.totals().frames["captured"] < 2:
            assert camera.pipeline.busy_s()["capture"] < 1
            time.sleep(0.05)
    finally:
        camera.stop()
        assert camera.join(10)


def test_a_camera_whose_thread_is_gone_is_trouble():
    camera = Camera("yard", CameraSettings(source=SOURCE), SHARED, Detectors())
    assert Watchdog(stuck_s=1).troubles([camera]) == ["yard: its thread has ended"]
