"""What is written down while cameras run, and what happens when the disk does not play along."""

import csv
import logging
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.service_views import PlainCamera, PlainService, a_sink_status, a_status
from support.waiting import promptly, wait_for

from edge_detect.core import NS_PER_MS, NS_PER_S, monotonic_ns
from edge_detect.core.board import BoardReading, Throttling
from edge_detect.pipeline.statistics import Histogram
from edge_detect.pipeline.totals import SinkTotals, Totals
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import HistorySettings
from edge_detect.service.history.companion import HistoryCompanion
from edge_detect.service.history.disk import DiskThread
from edge_detect.service.history.meter import BoardMeter, CameraMeter
from edge_detect.service.history.record import NUMBERS, Moment, Row, header, moment_now
from edge_detect.service.history.writer import HistoryWriter


def finish(meter: CameraMeter, at_s: float) -> tuple[str, dict[str, float | None]]:
    """What a meter has seen until a moment, which must be something."""
    seen = meter.finish(round(at_s * NS_PER_S))
    assert seen is not None
    return seen


def durations(*each_ms: float) -> Histogram:
    histogram = Histogram()
    for ms in each_ms:
        histogram.add(round(ms * NS_PER_MS))
    return histogram


def totals(at_s: float, span_s: float, frames: int, *, dropped: int = 0, ms: float = 12) -> Totals:
    """A pipeline that started `span_s` before `at_s`."""
    return Totals(
        at_ns=round(at_s * NS_PER_S),
        span_s=span_s,
        frames={"captured": frames, "detected": frames // 2, "rendered": 0},
        dropped={"detect": dropped},
        reconnects=frames // 600,
        durations={"capture_to_detect": durations(*[ms] * (frames // 2))},
        sinks={
            "quiet": SinkTotals(0, 0, 0, durations()),
            "busy": SinkTotals(frames // 3, 1, 0, durations(5, 7)),
        },
    )


def lines_in(service: PlainService) -> list[dict[str, str]]:
    """All lines of the files, which are small."""
    found = []
    for path in sorted((service.state_directory / "metrics").glob("*.csv")):
        found += list(csv.DictReader(path.read_text().splitlines()))
    return found


def test_rates_are_of_exactly_the_interval() -> None:
    camera = PlainCamera(counted=totals(100, 50, 600))
    meter = CameraMeter(camera, 100 * NS_PER_S)
    camera.counted = totals(160, 110, 2400, dropped=30)
    source, figures = finish(meter, 160)
    assert source == "live"
    assert figures["interval_s"] == 60
    assert figures["captured_fps"] == pytest.approx(30)
    assert figures["detected_fps"] == pytest.approx(15)
    assert figures["encoded_fps"] == pytest.approx(10)
    assert figures["dropped_fps"] == pytest.approx(0.5)
    assert figures["reconnects"] == 3
    assert figures["detect_p95_ms"] == pytest.approx(12, rel=0.02)
    assert "invoke_p50_ms" not in figures, "nothing was invoked"


def test_a_pipeline_that_was_started_again_is_counted_from_its_start() -> None:
    camera = PlainCamera(counted=totals(100, 50, 600), now=CameraState("running", restarts=1))
    meter = CameraMeter(camera, 100 * NS_PER_S)
    # More frames than before, and still another pipeline: it is 40 s old.
    camera.counted = totals(160, 40, 1200)
    camera.now = CameraState("running", restarts=2, status=a_status())
    _, figures = finish(meter, 160)
    assert figures["captured_fps"] == pytest.approx(20), "1200 frames in 60 s"
    assert figures["restarts"] == 1


def test_a_camera_that_failed_has_lines_with_zeros_and_its_state() -> None:
    camera = PlainCamera(now=CameraState("failed", "no such device"))
    meter = CameraMeter(camera, 0)
    source, figures = finish(meter, 60)
    assert (source, figures["live"], figures["captured_fps"]) == ("failed", 0.0, 0.0)


def test_a_camera_that_is_stopped_keeps_what_was_seen_before() -> None:
    camera = PlainCamera(counted=totals(100, 50, 600))
    meter = CameraMeter(camera, 100 * NS_PER_S)
    camera.counted = totals(120, 70, 1200)
    meter.look()
    camera.counted, camera.now = None, CameraState("stopped")
    source, figures = finish(meter, 120)
    assert (source, figures["live"]) == ("stopped", 1.0)
    assert figures["captured_fps"] == pytest.approx(30)
    assert meter.finish(121 * NS_PER_S) is None, "nothing was seen since"


def test_live_is_the_share_of_looks_and_viewers_the_most() -> None:
    camera = PlainCamera()
    meter = CameraMeter(camera, 0)
    for state, viewers in (("live", 1), ("lost", 4), ("lost", None)):
        sinks = (a_sink_status(viewers=viewers),)
        camera.now = CameraState("running", status=a_status(state, sinks=sinks))
        meter.look()
    camera.now = CameraState("running", status=a_status("live"))
    source, figures = finish(meter, 60)
    assert (source, figures["live"], figures["viewers"]) == ("live", 0.5, 4)


def test_the_board_is_as_hot_and_throttled_as_at_its_worst_moment() -> None:
    board = BoardMeter()
    throttled = Throttling(throttled=True)
    readings = [
        BoardReading(1, 70.0, 2_400_000_000, cpu_share=1.0, resident_bytes=100_000_000),
        BoardReading(2, 82.0, 1_000_000_000, throttling=throttled, cpu_share=2.0),
        BoardReading(3, 75.0, 2_400_000_000, throttling=Throttling(), cpu_share=None),
    ]
    for reading in (*readings, readings[-1]):
        board.look(reading)
    assert board.finish() == {
        "cpu_cores": 1.5,
        "rss_mb": 100.0,
        "soc_c": 82.0,
        "clock_mhz": 1000.0,
        "under_voltage": 0.0,
        "clock_capped": 0.0,
        "throttled": 1.0,
        "hot_limit": 0.0,
    }
    assert set(board.finish().values()) == {None}, "another interval, of which nothing is known"


def test_every_figure_has_a_column() -> None:
    camera = PlainCamera(counted=totals(60, 60, 600))
    _, figures = finish(CameraMeter(PlainCamera(), 0), 60)
    camera_figures = finish(CameraMeter(camera, 0), 60)[1]
    assert {*figures, *camera_figures, *BoardMeter().finish()} <= set(NUMBERS)


def test_a_day_in_the_life_of_a_service_is_written_down(tmp_path: Path) -> None:
    camera = PlainCamera(counted=totals(monotonic_ns() / NS_PER_S, 10, 300))
    service = PlainService([camera], state_directory=tmp_path)
    companion = HistoryCompanion(HistorySettings(interval_s=1))
    companion.start(service)
    companion.add_camera(camera)
    other = PlainCamera("door")
    companion.add_camera(other)
    service.reloads = 1
    wait_for(lambda: [line["event"] for line in lines_in(service)].count("reload"))
    companion.remove_camera(other)
    companion.stop()
    companion.stop()
    lines = lines_in(service)
    events = [(line["event"], line["camera"]) for line in lines if line["event"]]
    assert events == [
        ("start", ""),
        ("added", "yard"),
        ("added", "door"),
        ("reload", ""),
        ("removed", "door"),
        ("stop", ""),
    ]
    figures = [line for line in lines if line["camera"] == "yard" and not line["event"]]
    assert 0.9 < float(figures[0]["interval_s"]) < 3
    assert {line["source"] for line in figures} == {"live"}
    ups = [float(line["up_s"]) for line in lines]
    assert ups == sorted(ups)
    assert not [each for each in threading.enumerate() if each.name.startswith("edge-history")]


def test_a_switched_off_history_does_nothing(tmp_path: Path) -> None:
    companion = HistoryCompanion(HistorySettings(enabled=False))
    companion.start(PlainService(state_directory=tmp_path))
    companion.add_camera(PlainCamera())
    companion.remove_camera(PlainCamera())
    companion.stop()
    assert list(tmp_path.iterdir()) == []
    assert companion.trouble() == ""


def test_a_directory_in_the_way_is_said_once_and_lines_wait_until_it_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "metrics"
    directory.write_text("a file")
    disk = DiskThread(HistoryWriter(directory, 90, 10**8), retry_s=0.05)
    with caplog.at_level(logging.INFO):
        disk.put([Row(moment_now(), "yard")])
        wait_for(lambda: "pauses: File exists" in caplog.text)
        disk.put([Row(moment_now(), "yard")])
        directory.unlink()
        wait_for(lambda: "goes on; lines lost so far: 0" in caplog.text)
    disk.stop(5)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    (path,) = directory.glob("*.csv")
    assert len(path.read_text().splitlines()) == 3


def test_a_directory_that_is_removed_while_it_is_written_to_is_made_again(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    disk = DiskThread(HistoryWriter(directory, 90, 10**8), retry_s=0.05)
    disk.put([Row(moment_now(), "before")])
    wait_for(lambda: list(directory.glob("*.csv")))
    shutil.rmtree(directory)
    disk.put([Row(moment_now(), "after")])
    wait_for(lambda: list(directory.glob("*.csv")))
    disk.stop(5)
    (path,) = directory.glob("*.csv")
    cameras = [line["camera"] for line in csv.DictReader(path.read_text().splitlines())]
    assert cameras == ["after"]


def test_a_second_writer_waits_until_the_first_one_has_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (DiskThread(HistoryWriter(tmp_path, 90, 10**8), retry_s=0.05) for _ in range(2))
    first.put([Row(moment_now(), "first")])
    wait_for(lambda: list(tmp_path.glob("*.csv")))
    second.put([Row(moment_now(), "second")])
    wait_for(lambda: "another process writes there" in caplog.text)
    first.stop(5)
    wait_for(lambda: "goes on" in caplog.text)
    second.stop(5)
    (path,) = tmp_path.glob("*.csv")
    cameras = [line["camera"] for line in csv.DictReader(path.read_text().splitlines())]
    assert cameras == ["first", "second"]


def test_a_disk_that_hangs_holds_nobody_up_and_costs_the_oldest_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Reading a pipe that nobody writes waits for ever, as a hanging disk does.
    pipe = tmp_path / "2000-01-01.csv"
    os.mkfifo(pipe)
    today = tmp_path / "2026-05-01.csv"
    today.write_text(header())
    line = Row(Moment(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp(), 1000.0, "b1"), "yard")
    disk = DiskThread(HistoryWriter(tmp_path, 90, 10**8))
    disk.put([line])
    wait_for(lambda: "yard" in today.read_text())
    for _ in range(1500):
        disk.put([line])
    with promptly():
        disk.stop(0.2)
    assert disk.lost >= 400
    assert "does not answer" in caplog.text
    assert disk.alive, "it waits, and nobody waits for it"
    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    wait_for(lambda: not disk.alive)
