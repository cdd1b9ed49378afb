"""Where a report places a boot whose clock was wrong from its first line to its last."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_detect.service.history.record import Moment, Row
from edge_detect.service.history.writer import HistoryWriter
from edge_detect.service.report import make_report
from edge_detect.service.report.summary import Report

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
HOUR_S, DAY_S = 3600, 86_400
FINE = {"interval_s": 60.0, "live": 1.0, "captured_fps": 30.0}
# The computer is up for so long when the program starts.
UP_S = 10.0


def write_boots(directory: Path, *boots: tuple[float, int, float]) -> None:
    """Write boots: when each began, how many hours it lasted, and how far its clock was off."""
    writer = HistoryWriter(directory, 90, 10**8)
    writer.open()
    for number, (begin_s, hours, off_s) in enumerate(boots):
        boot = f"boot{number}"
        writer.write([Row(Moment(begin_s + off_s, UP_S, boot), event="start")])
        for passed_s in range(60, hours * HOUR_S + 1, 60):
            moment = Moment(begin_s + passed_s + off_s, UP_S + passed_s, boot)
            writer.write([Row(moment, "yard", source="live", figures=FINE)])
    writer.close()


def check_all_in_place(found: Report, hours: int, ran_until_s: float) -> None:
    """Two hours, a cut of the power, two hours, another cut, and the rest."""
    camera = found.cameras[0]
    assert camera.recorded_s == (4 + hours) * HOUR_S
    assert camera.down_s == pytest.approx(2 * HOUR_S, abs=2 * UP_S)
    assert [each.cause for each in found.outages] == ["power", "power"]
    began_s = [each.began_s for each in found.outages]
    assert began_s == pytest.approx([NOON + 2 * HOUR_S, ran_until_s], abs=2 * UP_S)


@pytest.mark.parametrize("off_days", [0, -400, -15_000, 3, 60, 26_000])
@pytest.mark.parametrize("hours", [1, 2], ids=["in one file", "going back"])
@pytest.mark.parametrize("later_days", [1, 100])
def test_a_boot_between_two_others_stays_between_them(
    tmp_path: Path, off_days: int, hours: int, later_days: int
) -> None:
    write_boots(
        tmp_path,
        (NOON, 2, 0),
        (NOON + 3 * HOUR_S, 2, off_days * DAY_S),
        (NOON + 6 * HOUR_S, hours, 0),
    )
    end_s, later_s = NOON + (6 + hours) * HOUR_S, later_days * DAY_S
    now = Moment(end_s + later_s, UP_S + hours * HOUR_S + later_s, "boot2")
    # A boot that cannot be told by its own clock lies as late as it can.
    ran_until_s = NOON + (6 if off_days else 5) * HOUR_S
    check_all_in_place(make_report(tmp_path, NOON, end_s, now=now), hours, ran_until_s)


@pytest.mark.parametrize("off_days", [60, 26_000])
def test_another_computer_tells_a_clock_that_was_ahead_as_well(
    tmp_path: Path, off_days: int
) -> None:
    write_boots(
        tmp_path,
        (NOON, 2, 0),
        (NOON + 3 * HOUR_S, 2, off_days * DAY_S),
        (NOON + 6 * HOUR_S, 2, 0),
    )
    now = Moment(NOON + 100 * DAY_S, 5.0, "elsewhere")
    found = make_report(tmp_path, NOON, NOON + 8 * HOUR_S, now=now)
    check_all_in_place(found, 2, NOON + 6 * HOUR_S)


def test_a_last_boot_whose_clock_was_never_set_moves_none_of_those_before(tmp_path: Path) -> None:
    write_boots(tmp_path, (NOON, 2, 0), (NOON + 3 * HOUR_S, 3, -NOON))
    assert len(list(tmp_path.iterdir())) == 2
    now = Moment(NOON + 7 * HOUR_S, 5.0, "elsewhere")
    camera = make_report(tmp_path, NOON, NOON + 7 * HOUR_S, now=now).cameras[0]
    assert (camera.first_s, camera.recorded_s) == (NOON, 2 * HOUR_S)


def test_a_report_reaches_behind_files_that_a_wrong_clock_named(tmp_path: Path) -> None:
    day_s = NOON - NOON % DAY_S
    write_boots(
        tmp_path,
        (day_s + 20 * HOUR_S, 3, 0),
        (day_s + 24 * HOUR_S, 3, -15_000 * DAY_S),
        (day_s + 28 * HOUR_S, 3, 26_000 * DAY_S),
        (day_s + 32 * HOUR_S, 3, 0),
    )
    assert len(list(tmp_path.iterdir())) == 4
    end_s = day_s + 35 * HOUR_S
    now = Moment(end_s, UP_S + 3 * HOUR_S, "boot3")
    since_s = day_s + 25 * HOUR_S
    assert make_report(tmp_path, since_s, end_s, now=now).cameras[0].recorded_s == 9 * HOUR_S
