"""Trouble is what only a restart can mend; a camera that is away is none."""

import threading
import time

import pytest
from support.waiting import HANG_S, wait_for

from edge_detect.core import NS_PER_S
from edge_detect.pipeline.mailbox import Closed
from edge_detect.service.camera import Camera
from edge_detect.service.config.settings import CameraSettings, DetectorSettings
from edge_detect.service.detectors import Detectors
from edge_detect.service.watchdog import Watchdog

SOURCE = "synthetic://?size=320x180&fps=30&realtime=true"
SHARED = DetectorSettings(model="ssdlite-mobilenet-v2-pedestrian", threads=1)


class Clock:
    """CLOCK_MONOTONIC as the watchdog sees it, which goes on when a test says so."""

    def __init__(self):
        self.now_ns = NS_PER_S

    def __call__(self):
        return self.now_ns

    def go_on(self, seconds):
        self.now_ns += round(seconds * NS_PER_S)


def detected(camera):
    totals = camera.totals()
    return 0 if totals is None else totals.frames["detected"]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def camera():
    camera = Camera("yard", CameraSettings(source=SOURCE), SHARED, Detectors())
    camera.start()
    wait_for(lambda: detected(camera) > 2)
    yield camera
    camera.stop()
    assert camera.join(5)


def test_a_camera_at_work_is_no_trouble(camera, clock):
    watchdog = Watchdog(30, clock)
    for _ in range(30):
        before = detected(camera)
        wait_for(lambda before=before: detected(camera) > before)
        assert watchdog.troubles([camera]) == []
        clock.go_on(29)


def test_a_detector_that_hangs_is_trouble_until_it_goes_on(camera):
    watchdog, go_on = Watchdog(stuck_s=0.2), threading.Event()
    session = camera.pipeline.detector.lanes.engine.session
    invoke = session.invoke
    session.invoke = lambda: (go_on.wait(HANG_S), invoke())
    try:
        wait_for(lambda: "yard: detect is at work on one frame" in str(watchdog.troubles([camera])))
    finally:
        session.invoke = invoke
        go_on.set()
    wait_for(lambda: watchdog.troubles([camera]) == [])


def test_a_stage_that_ends_by_itself_is_trouble_even_if_nobody_noticed(camera, clock, monkeypatch):
    """Such as a thread that left its loop without an error."""
    watchdog = Watchdog(30, clock)
    box = camera.pipeline._line._boxes["detect"]

    def end():
        raise Closed

    monkeypatch.setattr(box, "wait", end)
    wait_for(lambda: "detect" in camera.pipeline.missing())
    assert watchdog.troubles([camera]) == []
    clock.go_on(6)
    (ended,) = watchdog.troubles([camera])
    assert "stages that ended by themselves: detect" in ended
    clock.go_on(25)
    ended, idle = watchdog.troubles([camera])
    assert "frames come in, but none was detected in for 31 s" in idle


def test_detection_that_is_switched_off_is_no_trouble(camera, clock):
    watchdog = Watchdog(30, clock)
    camera.set_enabled(False)
    for _ in range(3):
        assert watchdog.troubles([camera]) == []
        clock.go_on(1000)


def test_detection_that_is_slowed_down_is_no_trouble_until_its_turn_is_long_over(camera, clock):
    watchdog = Watchdog(30, clock)
    # Every hundred seconds: none is due while this test lasts.
    camera.set_max_fps(0.01)
    before = -1
    while before != (before := detected(camera)):
        captured = camera.totals().frames["captured"]
        wait_for(lambda captured=captured: camera.totals().frames["captured"] > captured + 5)
    assert watchdog.troubles([camera]) == []
    clock.go_on(229)
    assert watchdog.troubles([camera]) == []
    clock.go_on(2)
    assert watchdog.troubles([camera]) == [
        "yard: frames come in, but none was detected in for 231 s"
    ]


def test_a_camera_that_is_away_is_no_trouble(clock):
    settings = CameraSettings(source="rtsp://127.0.0.1:1/live")
    camera = Camera("yard", settings, SHARED, Detectors())
    camera.start()
    try:
        wait_for(lambda: camera.state().status is not None)
        watchdog = Watchdog(30, clock)
        for _ in range(3):
            assert watchdog.troubles([camera]) == []
            clock.go_on(1000)
    finally:
        camera.stop()
        assert camera.join(10)


def test_a_recording_that_waits_for_its_next_frame_is_not_at_work():
    """Such as one of a camera that records while something moves."""
    source = "synthetic://?size=320x180&fps=0.5&realtime=true"
    camera = Camera("yard", CameraSettings(source=source), SHARED, Detectors())
    camera.start()
    try:
        wait_for(lambda: camera.totals() is not None and camera.totals().frames["captured"])
        while camera.totals().frames["captured"] < 2:
            assert camera.pipeline.busy_s()["capture"] < 1
            time.sleep(0.05)
    finally:
        camera.stop()
        assert camera.join(10)


def test_a_camera_whose_thread_is_gone_is_trouble():
    camera = Camera("yard", CameraSettings(source=SOURCE), SHARED, Detectors())
    assert Watchdog(stuck_s=1).troubles([camera]) == ["yard: its thread has ended"]
