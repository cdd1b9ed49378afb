"""The line of figures is made from exactly what happened in its interval."""

import dataclasses
import io
import json
import re

import pytest
from support.busy_service import SINK, Work, busy_camera
from support.service_views import PlainCamera, PlainService, a_status
from support.waiting import wait_for

from edge_detect.pipeline.statistics import Histogram
from edge_detect.pipeline.totals import SinkTotals, Totals
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import LoggingSettings
from edge_detect.service.logs import FigureLog, configure_logging
from edge_detect.service.logs.figures import figures_of

SETTINGS = LoggingSettings(format="json", interval_s=0.05)


def said_of(camera: PlainCamera, work: Work | None = None, lines: int = 1) -> list[dict]:
    """What is logged of a camera that works on."""
    stream = io.StringIO()
    logs = configure_logging(SETTINGS, stream)
    figures = FigureLog(SETTINGS)
    figures.start(PlainService([camera]))
    try:
        figures.add_camera(camera)
        if work is not None:
            camera.counted = work.go_on(2)
        wait_for(lambda: stream.getvalue().count("\n") >= lines)
    finally:
        figures.stop()
        logs.close()
    assert figures.trouble() == ""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_rates_and_percentiles_and_the_same_as_fields():
    camera, work = busy_camera()
    line = said_of(camera, work)[0]
    assert re.fullmatch(
        r"yard: captured 25\.0 detected 25\.0 rendered 25\.0 encoded 25\.0 dropped 0\.0 fps;"
        r" capture→detect p50 12 p95 24 p99 24 ms; capture→encode p50 12 p95 24 p99 24 ms;"
        r" invoke p50 12 ms",
        line["message"],
    )
    assert line["fps_detected"] == 25.0
    assert line["capture_to_detect_p95_ms"] == pytest.approx(24, rel=0.05)
    assert line["source_state"] == "live"
    assert line["camera"] == "yard"


def test_what_happened_before_the_interval_does_not_count():
    slow = Work(latency_ms=500)
    camera = PlainCamera(counted=slow.go_on(100))
    slow._latency_ns = 10_000_000
    line = said_of(camera, slow)[0]
    assert line["capture_to_detect_p50_ms"] == pytest.approx(10, rel=0.05)


def test_a_restarted_pipeline_is_counted_from_its_start():
    camera, _ = busy_camera()
    figures = FigureLog(LoggingSettings(interval_s=0))
    figures.add_camera(camera)
    new = Work()
    # It has counted more than the one before, already.
    camera.counted = new.go_on(60)
    camera.now = dataclasses.replace(camera.now, restarts=2)
    stream = io.StringIO()
    logs = configure_logging(SETTINGS, stream)
    try:
        figures._say(camera)
    finally:
        logs.close()
    line = json.loads(stream.getvalue())
    assert line["fps_captured"] == 25.0
    assert line["detections"] == 2 * new.frames


def test_a_camera_that_is_away_says_why_and_no_row_of_zeros():
    camera, work = busy_camera()
    camera.now = CameraState("running", status=a_status("lost", reason="no route to host"))
    figures = FigureLog(LoggingSettings(interval_s=0))
    figures.add_camera(camera)
    camera.counted = dataclasses.replace(work.totals(), at_ns=work.totals().at_ns + 10**9)
    stream = io.StringIO()
    logs = configure_logging(SETTINGS, stream)
    try:
        figures._say(camera)
        camera.counted = work.go_on(2)
        figures._say(camera)
    finally:
        logs.close()
    silent, lost_within = (json.loads(line) for line in stream.getvalue().splitlines())
    assert silent["message"] == "yard: lost for 12 s (no route to host)"
    assert silent["fps_captured"] == 0
    assert lost_within["message"].startswith("yard: lost for 12 s (no route to host); captured ")


def test_a_camera_without_a_pipeline_says_its_phase():
    camera = PlainCamera("door", now=CameraState("failed", "the model is missing"))
    (line, *_) = said_of(camera)
    assert line["message"] == "door: failed: the model is missing"


def test_figures_are_never_held_back_as_repetitions():
    camera = PlainCamera("door", now=CameraState("failed", "the model is missing"))
    lines = said_of(camera, lines=5)
    assert len(lines) >= 5
    assert not any("repeated" in line for line in lines)


def test_without_an_interval_there_is_no_thread_and_nothing_to_stop():
    figures = FigureLog(LoggingSettings(interval_s=0))
    figures.start(PlainService())
    figures.stop()
    figures.stop()
    assert figures._thread is None


def test_a_removed_camera_is_forgotten():
    camera, _ = busy_camera()
    figures = FigureLog(LoggingSettings(interval_s=0))
    figures.add_camera(camera)
    figures.remove_camera(camera)
    figures.remove_camera(camera)
    assert figures._cameras == {}


def test_drops_of_stages_and_sinks_are_summed_up():
    totals = Totals(
        at_ns=0,
        span_s=10.0,
        frames={"captured": 300},
        dropped={"detect": 20},
        sinks={
            SINK: SinkTotals(encoded=100, dropped=30, failures=0, capture_to_encode=Histogram())
        },
    )
    figures = figures_of(totals)
    assert figures["fps_dropped"] == 5.0
    assert figures["fps_encoded"] == 10.0
    assert "capture_to_encode_p50_ms" not in figures
