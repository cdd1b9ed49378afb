"""A camera of the daemon: kept going, shared models, switches that outlive restarts."""

import os
import threading

import cv2
import numpy as np
import pytest
from support.waiting import wait_for

from edge_detect.service.camera import Camera
from edge_detect.service.config.settings import CameraSettings, DetectorSettings
from edge_detect.service.detectors import Detectors
from edge_detect.service.watchdog import Watchdog
from edge_detect.sinks import Sink

SOURCE = "synthetic://?size=320x180&fps=30&realtime=true"
SHARED = DetectorSettings(model="ssdlite-mobilenet-v2-pedestrian", threads=1)


class Collector(Sink):
    """Counts results."""

    name = "collector"
    takes_results = True

    def __init__(self):
        self.opened = self.closed = self.results = 0

    def open(self, stream):
        self.opened += 1

    def write_result(self, result):
        self.results += 1

    def close(self):
        self.closed += 1


def detected(camera: Camera) -> int:
    totals = camera.totals()
    return 0 if totals is None else totals.frames["detected"]


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


@pytest.fixture
def detectors():
    return Detectors()


@pytest.fixture
def camera(detectors):
    camera = Camera("yard", CameraSettings(source=SOURCE), SHARED, detectors)
    camera.start()
    wait_for(lambda: detected(camera) > 2, 30)
    yield camera
    camera.stop()
    camera.join(5)


def test_cameras_with_the_same_model_share_one_interpreter_until_the_last_has_gone(
    camera, detectors
):
    other = Camera("door", CameraSettings(source=SOURCE, threshold=0.9), SHARED, detectors)
    other.start()
    wait_for(lambda: detected(other) > 2, 30)
    detector = camera.pipeline.detector
    assert other.pipeline.detector is detector
    assert camera.state().score_threshold != other.state().score_threshold == 0.9
    other.stop()
    assert other.join(5)
    assert other.state().phase == "stopped"
    before = detected(camera)
    wait_for(lambda: detected(camera) > before + 5)
    camera.stop()
    assert camera.join(5)
    with pytest.raises(Exception, match="closed"):
        detector.invoke()


def test_a_defect_ends_a_pipeline_and_the_camera_starts_it_anew(camera):
    sink = Collector()
    camera.attach(sink)
    wait_for(lambda: sink.results)
    camera.set_score_threshold(0.123)
    camera.set_max_fps(7)
    session = camera.pipeline.detector.lanes.engine.session
    session.invoke = lambda: 1 // 0
    wait_for(lambda: camera.state().phase == "failed")
    assert "ZeroDivisionError" in camera.state().reason
    del session.invoke
    wait_for(lambda: camera.state().phase == "running", 20)
    assert camera.state().restarts == 1
    before = sink.results
    wait_for(lambda: sink.results > before + 3)
    assert sink.opened == 2
    # Switches that were thrown before hold on.
    assert camera.state().score_threshold == 0.123
    assert camera.pipeline.controls.max_fps == 7
    camera.detach(sink)
    assert sink.closed >= 2


def test_a_snapshot_is_the_next_picture(camera):
    jpeg = camera.snapshot(10)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (180, 320, 3)
    assert picture.std() > 10


def test_a_camera_that_is_away_has_no_snapshot(detectors):
    settings = CameraSettings(source="rtsp://127.0.0.1:1/live")
    camera = Camera("away", settings, SHARED, detectors)
    camera.start()
    wait_for(lambda: camera.state().status is not None, 30)
    wait_for(lambda: "nothing listens" in camera.state().status.source.reason)
    assert camera.snapshot(0.2) is None
    camera.stop()
    assert camera.join(5)


def test_a_detector_that_never_comes_back_is_left_behind_and_told(detectors):
    camera = Camera("yard", CameraSettings(source=SOURCE), SHARED, detectors)
    camera.start()
    wait_for(lambda: detected(camera) > 2, 30)
    go_on = threading.Event()
    camera.pipeline.detector.lanes.engine.session.invoke = lambda: go_on.wait(30)
    wait_for(lambda: camera.pipeline.busy_s()["detect"] > 0.2)
    camera.stop()
    assert camera.join(5)
    assert "detect" in camera.stuck
    assert Watchdog(stuck_s=60).troubles([camera]) == [f"yard: {camera.stuck}"]
    # Whoever comes next gets a model of its own.
    other = Camera("door", CameraSettings(source=SOURCE), SHARED, detectors)
    other.start()
    wait_for(lambda: detected(other) > 2, 30)
    other.stop()
    assert other.join(5)
    go_on.set()


def test_what_is_switched_while_a_camera_is_being_started_holds(detectors, tmp_path):
    os.mkfifo(tmp_path / "lines.jsonl")
    settings = CameraSettings(source=SOURCE, sinks=(str(tmp_path / "lines.jsonl"),))
    camera = Camera("yard", settings, SHARED, detectors)
    camera.start()
    wait_for(lambda: camera.labels, 30)
    camera.set_score_threshold(0.77)
    camera.set_enabled(False)
    # Its output is opened once somebody reads that.
    reader = os.open(tmp_path / "lines.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    wait_for(lambda: camera.state().phase == "running")
    assert camera.pipeline.controls.thresholds.score == 0.77
    assert camera.state().score_threshold == 0.77
    assert not camera.state().enabled
    camera.stop()
    assert camera.join(5)
    os.close(reader)


def test_a_camera_that_is_switched_off_from_the_start_never_detects(detectors, tmp_path):
    lines = tmp_path / "lines.jsonl"
    settings = CameraSettings(source=f"{SOURCE}&frames=10", enabled=False, sinks=(str(lines),))
    camera = Camera("yard", settings, SHARED, detectors)
    # It needs its own lock before it shows what runs by then.
    with camera._lock:
        camera.start()
        wait_for(lambda: "edge-capture" in names_of_threads(), 30)
        wait_for(lambda: "edge-capture" not in names_of_threads())
    assert camera.join(5)
    assert lines.read_text() == ""


def test_a_source_that_ends_at_once_ends_its_camera(detectors, tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((24, 32, 3), np.uint8))
    camera = Camera("yard", CameraSettings(source=str(photo)), SHARED, detectors)
    camera.start()
    assert camera.join(10)
    assert camera.state().reason == "the source has ended"


def test_the_configured_limit_of_the_rate_is_never_exceeded(detectors):
    camera = Camera("yard", CameraSettings(source=SOURCE, max_fps=5), SHARED, detectors)
    camera.start()
    wait_for(lambda: detected(camera) > 1, 30)
    for asked, given in ((2, 2), (20, 5), (None, 5), (1e-320, 1e-320)):
        camera.set_max_fps(asked)
        assert camera.pipeline.controls.max_fps == given
    camera.stop()
    assert camera.join(5)
