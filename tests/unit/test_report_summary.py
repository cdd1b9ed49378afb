"""What a report says is what the lines say: weighted, complete, and in the right order."""

import gzip
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.history_days import write_history

from edge_detect.core import ConfigError, SourceError
from edge_detect.core.clock import NS_PER_MS
from edge_detect.pipeline.statistics import Histogram
from edge_detect.service.history.record import COLUMNS, Event, Moment, Row, header
from edge_detect.service.report import make_report, make_report_html, report_json, report_text
from edge_detect.service.report.curves import Tally, add_durations
from edge_detect.service.report.reader import FIGURES
from edge_detect.service.report.summary import Report

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
HOUR_S, DAY_S = 3600, 86_400


def line(at_s: float, camera: str = "yard", **figures: float) -> Row:
    """A minute of a camera that is fine, 1000 s after boot at noon."""
    fine = {"interval_s": 60, "live": 1, "captured_fps": 30, "detected_fps": 20}
    moment = Moment(at_s, at_s - NOON + 1000, "0a1b2c3d")
    return Row(moment, camera, source="live", figures={**fine, **figures})


def happening(at_s: float, event: Event) -> Row:
    return Row(line(at_s).moment, event=event)


def other_boot(row: Row, boot: str, up_s: float) -> Row:
    return replace(row, moment=Moment(row.moment.unix_s, up_s, boot))


def save(directory: Path, rows: Sequence[Row], day: str = "2026-05-01") -> Path:
    directory.mkdir(exist_ok=True)
    (directory / f"{day}.csv").write_text(header() + "".join(row.as_line() for row in rows))
    return directory


def report(directory: Path, *, until_s: float, since_s: float = NOON - 10 * DAY_S) -> Report:
    return make_report(directory, since_s, until_s, now=Moment(until_s, 0.0, ""))


def minutes(count: int, begin_s: float = NOON, **figures: float) -> list[Row]:
    return [line(begin_s + 60 * (number + 1), **figures) for number in range(count)]


def test_the_median_rate_and_the_worst_minute_are_found(tmp_path: Path) -> None:
    rows = minutes(59)
    rows[30] = line(rows[30].moment.unix_s, captured_fps=3.0, detected_fps=2.0)
    camera = report(save(tmp_path, rows), until_s=NOON + HOUR_S).cameras[0]
    assert (camera.captured.p50, camera.detected.p50) == (30, 20)
    assert (camera.captured.least, camera.detected.least) == (3, 2)
    assert camera.captured.least_at_s == rows[30].moment.unix_s
    assert [minute.captured_fps for minute in camera.fewest] == [3.0]


def test_reconnects_restarts_and_drops_are_added_up(tmp_path: Path) -> None:
    rows = minutes(10)
    rows[3] = line(rows[3].moment.unix_s, reconnects=2, live=0.5)
    rows[7] = line(rows[7].moment.unix_s, restarts=1, dropped_fps=10)
    camera = report(save(tmp_path, rows), until_s=NOON + 600).cameras[0]
    assert (camera.reconnects, camera.restarts, camera.dropped_fps) == (2, 1, 1.0)
    assert camera.available == pytest.approx(0.95)
    assert camera.reconnected_s == [rows[3].moment.unix_s]


def test_minutes_weigh_as_much_as_they_had_frames(tmp_path: Path) -> None:
    quiet = {"detected_fps": 0.1, "detect_p50_ms": 500, "detect_p95_ms": 600, "detect_p99_ms": 700}
    busy = {"detected_fps": 30, "detect_p50_ms": 10, "detect_p95_ms": 12, "detect_p99_ms": 14}
    rows = [*minutes(30, **quiet), *minutes(30, NOON + 1800, **busy)]
    delays = report(save(tmp_path, rows), until_s=NOON + HOUR_S).cameras[0].capture_to_detect
    assert delays.p50 == pytest.approx(10, rel=0.02)
    assert delays.p95 == pytest.approx(12, rel=0.05)
    assert delays.p99 is not None
    assert delays.p99 < 20, "one frame in 300 is slow"


def test_percentiles_of_a_day_are_close_to_those_of_all_its_frames() -> None:
    chance = np.random.default_rng(5)
    tally, everything = Tally(), Histogram()
    for _ in range(200):
        frames = int(chance.integers(50, 1800))
        typical = 12.0 * chance.choice([1.0, 1.0, 1.6, 3.0])
        histogram = Histogram()
        for ms in typical * chance.lognormal(0, 0.25, frames):
            histogram.add(round(ms * NS_PER_MS))
        everything = everything.merged(histogram)
        percentiles = histogram.percentiles()
        figures = np.full((1, len(FIGURES)), np.nan)
        for name in ("p50", "p95", "p99"):
            figures[0, FIGURES.index(f"detect_{name}_ms")] = getattr(percentiles, name)
        add_durations(tally, figures, "detect", np.array([float(frames)]))
    true = everything.percentiles()
    for share, value in ((0.5, true.p50), (0.95, true.p95), (0.99, true.p99)):
        assert tally.quantile(share) == pytest.approx(value, rel=0.06)


def test_a_spike_of_one_minute_is_in_the_curve_of_a_year(tmp_path: Path) -> None:
    for day in range(0, 360, 30):
        begin_s = NOON + day * DAY_S
        rows = minutes(60, begin_s, detect_p95_ms=12.0, detect_p99_ms=13.0, detect_p50_ms=10)
        if day == 120:
            rows[17] = line(rows[17].moment.unix_s, captured_fps=1.0, detect_p95_ms=900.0)
        save(tmp_path, rows, datetime.fromtimestamp(begin_s, UTC).strftime("%Y-%m-%d"))
    found = report(tmp_path, until_s=NOON + 331 * DAY_S)
    curves = found.cameras[0].curves
    assert curves.lows.shape[0] <= 720
    assert np.nanmax(curves.highs[:, FIGURES.index("detect_p95_ms")]) == 900
    assert np.nanmin(curves.lows[:, FIGURES.index("captured_fps")]) == 1
    assert found.cameras[0].slowest[0].detect_p95_ms == 900


def test_the_board_is_counted_once_however_many_cameras(tmp_path: Path) -> None:
    rows = [
        line(NOON + 60 * number, camera, soc_c=60 + number, throttled=number > 5, cpu_cores=1.5)
        for number in range(1, 11)
        for camera in ("door", "yard", "shed")
    ]
    computer = report(save(tmp_path, rows), until_s=NOON + 600).computer
    assert computer.flagged_s == {"throttled": 300}
    assert (computer.hottest_c, computer.hottest_at_s) == (70, NOON + 600)
    assert computer.cpu_cores == pytest.approx(1.5)


def test_a_clock_that_was_wrong_after_boot_is_put_right_by_later_lines(tmp_path: Path) -> None:
    early = [
        other_boot(replace(row, moment=Moment(5.0, 0, "")), "b2", 10 + 60 * number)
        for number, row in enumerate(minutes(5))
    ]
    late = [
        other_boot(row, "b2", 310 + 60 * number)
        for number, row in enumerate(minutes(5, NOON + 3600))
    ]
    first = minutes(10, NOON - HOUR_S)
    found = report(save(tmp_path, [*first, *early, *late]), until_s=NOON + HOUR_S + 300)
    camera = found.cameras[0]
    assert camera.recorded_s == 20 * 60, "none is lost"
    # The clock was set within this boot: its first line is 9 minutes before its last.
    assert camera.last_s == NOON + HOUR_S + 300
    covered = np.isfinite(camera.curves.means[:, FIGURES.index("captured_fps")])
    times_s = camera.curves.since_s + np.flatnonzero(covered) * camera.curves.step_s
    assert times_s.max() - times_s[times_s > NOON].min() < 11 * 60


def in_1970(rows: Sequence[Row], boot: str) -> list[Row]:
    """The same lines of a boot that began in 1970, 10 s after it."""
    begin_s = rows[0].moment.unix_s
    ups_s = [row.moment.unix_s - begin_s + 10 for row in rows]
    return [
        replace(row, moment=Moment(up_s, up_s, boot)) for row, up_s in zip(rows, ups_s, strict=True)
    ]


def test_a_clock_that_was_set_after_the_last_line_puts_all_lines_of_this_boot_right(
    tmp_path: Path,
) -> None:
    before = [happening(NOON - HOUR_S, "start"), *minutes(50, NOON - HOUR_S)]
    after = in_1970([happening(NOON, "start"), *minutes(10)], "b2")
    directory = save(tmp_path, [*before, *after])
    # A minute after the last line, and the clock was set a moment ago.
    now = Moment(NOON + 660, 670.0, "b2")
    found = make_report(directory, now.unix_s - DAY_S, now=now)
    assert found.cameras[0].recorded_s == 60 * 60, "none is lost"
    assert found.cameras[0].last_s == NOON + 600
    (outage,) = found.outages
    assert (outage.cause, outage.began_s, outage.ended_s) == ("power", NOON - 600, NOON)
    assert found.cameras[0].available == pytest.approx(60 / 70)


def test_a_boot_without_the_time_of_day_lies_between_those_around_it(tmp_path: Path) -> None:
    first = [happening(NOON, "start"), *minutes(10)]
    lost = in_1970([happening(NOON, "start"), *minutes(5)], "b2")
    again_s = NOON + HOUR_S
    last = [
        other_boot(row, "c3", row.moment.unix_s - again_s + 30)
        for row in (happening(again_s, "start"), *minutes(10, again_s))
    ]
    found = report(save(tmp_path, [*first, *lost, *last]), until_s=again_s + 600)
    camera = found.cameras[0]
    assert (camera.recorded_s, camera.first_s) == (25 * 60, NOON)
    assert [each.cause for each in found.outages] == ["power", "power"]
    # It did not run for an hour but the quarter of an hour of the first two boots.
    assert camera.down_s == pytest.approx(HOUR_S - 15 * 60, abs=1)


def test_a_clock_that_was_months_ahead_misplaces_no_later_boot(tmp_path: Path) -> None:
    ahead = [happening(NOON + 90 * DAY_S, "start"), *minutes(5, NOON + 90 * DAY_S)]
    later = [
        other_boot(row, "b2", row.moment.unix_s - NOON + 30)
        for row in (happening(NOON, "start"), *minutes(10))
    ]
    last_s = NOON + HOUR_S
    last = [
        other_boot(row, "c3", row.moment.unix_s - last_s + 30)
        for row in (happening(last_s, "start"), *minutes(10, last_s))
    ]
    save(tmp_path, [*ahead, *later, *last], "2026-07-30")
    found = report(tmp_path, until_s=last_s + 600)
    assert (found.cameras[0].first_s, found.cameras[0].recorded_s) == (NOON, 20 * 60)
    assert found.cameras[0].down_s == pytest.approx(HOUR_S - 600)


@pytest.mark.parametrize(
    ("last", "boot", "cause"),
    [("stop", "0a1b2c3d", "stopped"), ("", "0a1b2c3d", "killed"), ("", "b2b2b2b2", "power")],
)
def test_why_nothing_ran_is_told_by_the_lines_around(
    tmp_path: Path, last: Event, boot: str, cause: str
) -> None:
    rows = [happening(NOON, "start"), *minutes(10)]
    if last:
        rows.append(happening(NOON + 600, last))
    again_s = NOON + 600 + 120
    after = [happening(again_s, "start"), *minutes(10, again_s)]
    if boot != "0a1b2c3d":
        after = [other_boot(row, boot, row.moment.unix_s - again_s + 30) for row in after]
    found = report(save(tmp_path, [*rows, *after]), until_s=again_s + 600)
    (outage,) = found.outages
    assert outage.cause == cause
    assert (outage.began_s, outage.ended_s) == pytest.approx((NOON + 600, again_s), abs=1.5)
    assert found.cameras[0].available == pytest.approx(1200 / 1320, abs=0.002)


def test_a_stop_at_the_end_of_a_day_and_a_start_on_the_next_belong_together(
    tmp_path: Path,
) -> None:
    save(tmp_path, [*minutes(10), happening(NOON + 600, "stop")])
    begin_s = NOON + DAY_S
    save(tmp_path, [happening(begin_s, "start"), *minutes(10, begin_s)], "2026-05-02")
    (outage,) = report(tmp_path, until_s=begin_s + 600).outages
    assert (outage.began_s, outage.ended_s, outage.cause) == (NOON + 600, begin_s, "stopped")


def test_a_history_with_other_settings_is_no_restart(tmp_path: Path) -> None:
    rows = [happening(NOON, "start"), *minutes(10), happening(NOON + 600, "stop")]
    # The process is the old one, and so is its start.
    rows += [happening(NOON, "start"), *minutes(10, NOON + 600)]
    found = report(save(tmp_path, rows), until_s=NOON + 1200)
    assert found.outages == []
    assert found.cameras[0].available == 1.0


def test_silence_until_now_is_an_outage_that_has_not_ended(tmp_path: Path) -> None:
    found = report(save(tmp_path, minutes(60)), until_s=NOON + 2 * HOUR_S)
    (outage,) = found.outages
    assert (outage.cause, outage.ended_s) == ("silent", None)
    assert found.cameras[0].available == pytest.approx(0.5)
    assert report(tmp_path, until_s=NOON + HOUR_S + 100).outages == [], "a line is due"


def test_a_gap_while_the_program_ran_counts_neither_way(tmp_path: Path) -> None:
    rows = [*minutes(10), *minutes(10, NOON + HOUR_S)]
    found = report(save(tmp_path, rows), until_s=NOON + HOUR_S + 600)
    assert found.outages == []
    assert found.cameras[0].available == 1.0


def test_a_camera_that_was_taken_away_is_not_missed(tmp_path: Path) -> None:
    rows = [row for at in range(10) for row in (line(NOON + at * 60, "old"), line(NOON + at * 60))]
    rows += [*minutes(60, NOON + 600), happening(NOON + 4300, "stop")]
    rows += [happening(NOON + 8000, "start"), *minutes(60, NOON + 8000)]
    cameras = {
        each.name: each for each in report(save(tmp_path, rows), until_s=NOON + 11_600).cameras
    }
    assert cameras["old"].available == 1.0
    assert cameras["yard"].available < 0.9


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [row.as_line() for row in minutes(10)]
    rows[2] = rows[2][:60] + "\n"
    rows[4] = rows[4].replace("30,20", "30,2\x00")
    rows[6] = "\0" * 100 + "\n"
    tmp_path.joinpath("2026-05-01.csv").write_text(header() + "".join(rows) + "2026-05-01T12")
    found = report(tmp_path, until_s=NOON + 600)
    assert found.unreadable == 4
    assert found.cameras[0].recorded_s == 7 * 60


@pytest.mark.parametrize("damaged", ["60_1,30", "601,1_0", "60,7", "60,-1"])
def test_a_damaged_line_that_looks_like_numbers_is_left_out(tmp_path, damaged):
    rows = [row.as_line() for row in minutes(10)]
    rows[3] = rows[3].replace("60,1", damaged, 1)
    tmp_path.joinpath("2026-05-01.csv").write_text(header() + "".join(rows))
    found = report(tmp_path, until_s=NOON + 600)
    assert found.cameras[0].recorded_s == 9 * 60
    assert 0 <= found.cameras[0].available <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=40)), max_size=6))
def test_damage_of_any_kind_never_stops_a_report(damage: list[tuple[int, bytes]]) -> None:
    data = bytearray((header() + "".join(row.as_line() for row in minutes(30))).encode())
    for place, new in damage:
        data[place : place + len(new)] = new
    with TemporaryDirectory() as directory:
        Path(directory, "2026-05-01.csv").write_bytes(bytes(data))
        try:
            found = report(Path(directory), until_s=NOON + 1800)
        except SourceError as error:
            assert "nothing about this time" in error.message  # noqa: PT017 - only sometimes
        else:
            assert 0 <= found.cameras[0].available <= 1
            assert "</html>" in make_report_html(found)
            assert report_text(found)


def test_files_that_are_no_history_or_broken_do_not_stop_it(tmp_path: Path) -> None:
    save(tmp_path, minutes(10))
    (tmp_path / "2026-04-29.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2026-04-30.csv.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    (tmp_path / "2026-04-28.csv").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")
    assert report(tmp_path, until_s=NOON + 600).cameras[0].recorded_s == 600


def test_a_compressed_file_that_is_damaged_is_said_and_not_left_out_silently(
    tmp_path: Path,
) -> None:
    save(tmp_path, minutes(10))
    assert report(tmp_path, until_s=NOON + 600).unreadable == 0
    (tmp_path / "2026-04-30.csv.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    assert report(tmp_path, until_s=NOON + 600).unreadable == 1


@pytest.mark.parametrize("cell", ["inf", "-5", "1e308", "nan"])
@pytest.mark.parametrize(
    "figure", ["live", "detected_fps", "dropped_fps", "detect_p95_ms", "soc_c"]
)
def test_a_figure_that_cannot_be_spoils_neither_sums_nor_drawings(
    tmp_path: Path, figure: str, cell: str
) -> None:
    delays = {"detect_p50_ms": 5.0, "detect_p95_ms": 7.0, "detect_p99_ms": 9.0}
    rows = [row.as_line() for row in minutes(10, **delays)]
    cells = rows[5].rstrip("\n").split(",")
    cells[COLUMNS.index(figure)] = "-500" if figure == "soc_c" and cell == "-5" else cell
    rows[5] = ",".join(cells) + "\n"
    (tmp_path / "2026-05-01.csv").write_text(header() + "".join(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = report(tmp_path, until_s=NOON + 600)
        assert report_text(found)
        assert make_report_html(found)
        json.loads(report_json(found))
    assert found.unreadable == (cell != "nan")


def test_files_of_another_version_are_read_by_the_names_of_their_columns(tmp_path: Path) -> None:
    text = "time,boot,camera,event,source,up_s,new_thing,captured_fps,interval_s,live\n"
    text += "2026-05-01T12:01:00Z,0a1b2c3d,yard,,live,1060,,25,60,1\n"
    (tmp_path / "2026-05-01.csv").write_text(text)
    camera = report(tmp_path, until_s=NOON + 60).cameras[0]
    assert (camera.captured.p50, camera.detected.p50) == (25, 0)
    assert camera.capture_to_detect.p50 is None


def test_all_that_the_writer_writes_is_read(tmp_path: Path) -> None:
    lines = write_history(tmp_path, NOON, 2.0, ("door", "yard"))
    found = report(tmp_path, until_s=NOON)
    assert sum(each.recorded_s for each in found.cameras) == lines * 60
    assert found.unreadable == 0
    assert [each.cause for each in found.outages] == ["stopped", "power"] * 2
    assert len(found.reloads_s) == 2
    assert found.cameras[0].reconnects == 2


def test_an_unknown_camera_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    save(tmp_path, [line(NOON, "door"), line(NOON, "yard")])
    with pytest.raises(ConfigError, match="there is no camera 'garden'") as raised:
        make_report(tmp_path, NOON - HOUR_S, NOON, ["garden"], now=Moment(NOON, 0.0, ""))
    assert "door, yard" in raised.value.hint


def test_a_time_without_lines_and_an_empty_directory_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds nothing about this time"):
        report(tmp_path, until_s=NOON)
    save(tmp_path, minutes(10))
    with pytest.raises(SourceError, match="holds nothing about this time"):
        report(tmp_path, since_s=NOON + DAY_S, until_s=NOON + 2 * DAY_S)
    with pytest.raises(SourceError, match="cannot read the history"):
        report(tmp_path / "nowhere", until_s=NOON)
    with pytest.raises(ConfigError, match="end before it begins"):
        report(tmp_path, since_s=NOON, until_s=NOON - 1)
