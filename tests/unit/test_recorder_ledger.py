"""What a recorder made, and when, is known whatever becomes of the clock and the file."""

import pytest
from support.set_clock import DAY_S, YEAR_S, SetClock

from edge_detect.sinks.recorder.ledger import LEDGER_NAME, Ledger


@pytest.fixture
def clock():
    return SetClock()


def reopened(root, clock, **options):
    ledger = Ledger(root, clock, **options)
    ledger.open()
    return ledger


def record(ledger, clock, *stems, lasts_s=1.0):
    for stem in stems:
        ledger.begin(stem)
        clock.advance(lasts_s)
        ledger.end(stem)


def stems(ledger):
    return [entry.stem for entry in ledger]


def ages_s(ledger, clock):
    return [round(ledger.age_s(entry, clock.moment()), 3) for entry in ledger]


def test_recordings_are_listed_in_the_order_of_making_and_not_of_names(tmp_path, clock) -> None:
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "2026-05-01/c", "2026-05-01/a", "2025-05-01/b")
    assert stems(ledger) == ["2026-05-01/c", "2026-05-01/a", "2025-05-01/b"]
    assert stems(reopened(tmp_path, clock)) == stems(ledger)
    assert "2026-05-01/a" in ledger
    assert "2026-05-01/x" not in ledger


def test_nothing_is_written_before_the_first_recording(tmp_path, clock) -> None:
    assert stems(reopened(tmp_path, clock)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_used_again_is_the_newest(tmp_path, clock) -> None:
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "d/1", "d/2")
    ledger.forget("d/1")
    assert stems(ledger) == ["d/2"]
    record(ledger, clock, "d/1")
    assert stems(ledger) == ["d/2", "d/1"]
    assert stems(reopened(tmp_path, clock)) == ["d/2", "d/1"]


def test_what_is_forgotten_stays_forgotten_after_the_next_line(tmp_path, clock) -> None:
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "d/1", "d/2")
    ledger.forget("d/1")
    ledger.begin("d/3")
    assert stems(reopened(tmp_path, clock)) == ["d/2", "d/3"]


def test_an_age_within_one_boot_does_not_depend_on_the_time_of_day(tmp_path, clock) -> None:
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "d/1")
    clock.advance(60)
    clock.unix_s += YEAR_S
    assert ages_s(ledger, clock) == [60]
    clock.unix_s -= 3 * YEAR_S
    assert ages_s(reopened(tmp_path, clock), clock) == [60]


def test_the_last_line_of_a_boot_corrects_the_times_of_all_its_recordings(tmp_path, clock) -> None:
    right_s = clock.unix_s
    clock.unix_s -= 3 * YEAR_S
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "d/1")
    clock.advance(99)
    clock.unix_s = right_s + 100
    record(ledger, clock, "d/2")
    clock.reboot(right_s + DAY_S)
    assert ages_s(reopened(tmp_path, clock), clock) == [DAY_S - 1, DAY_S - 101]


def test_a_line_about_what_was_deleted_corrects_them_as_well(tmp_path, clock) -> None:
    right_s = clock.unix_s
    clock.unix_s -= 3 * YEAR_S
    ledger = reopened(tmp_path, clock, spare_bytes=100)
    record(ledger, clock, "d/1")
    clock.unix_s = right_s
    for number in range(2, 30):
        # Rewritten in between, about the first one alone.
        record(ledger, clock, f"d/{number}", lasts_s=0)
        ledger.forget(f"d/{number}")
    clock.reboot(right_s + DAY_S)
    again = reopened(tmp_path, clock)
    assert stems(again)[0] == "d/1"
    assert ages_s(again, clock)[0] == DAY_S


def test_no_recording_is_older_than_the_one_before_it(tmp_path, clock) -> None:
    right_s = clock.unix_s
    record(reopened(tmp_path, clock), clock, "d/1")
    clock.reboot(right_s - 20 * YEAR_S)
    clock.synced = False
    record(reopened(tmp_path, clock), clock, "d/2")
    clock.reboot(right_s + DAY_S)
    clock.synced = True
    # The second may have been made right before this boot, 3 s ago.
    assert ages_s(reopened(tmp_path, clock), clock) == [DAY_S - 1, 3]


def test_before_the_clock_is_right_an_age_is_what_this_boot_has_lasted(tmp_path, clock) -> None:
    record(reopened(tmp_path, clock), clock, "d/1")
    clock.reboot(clock.unix_s - YEAR_S)
    clock.advance(57)
    assert ages_s(reopened(tmp_path, clock), clock) == [60]


def test_a_recording_that_was_cut_short_counts_from_its_beginning(tmp_path, clock) -> None:
    reopened(tmp_path, clock).begin("d/1")
    clock.advance(60)
    (entry,) = again = reopened(tmp_path, clock)
    assert entry.ended is None
    assert ages_s(again, clock) == [60]


@pytest.mark.parametrize("cut", [1, 2, 5, 20, 60])
def test_a_half_line_at_the_end_is_lost_alone(tmp_path, clock, cut) -> None:
    path = tmp_path / LEDGER_NAME
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "d/1")
    whole = path.read_bytes()
    ledger.begin("d/2")
    path.write_bytes(path.read_bytes()[:-cut] if cut < 60 else whole + b"b")
    again = reopened(tmp_path, clock)
    assert stems(again) == ["d/1"]
    record(again, clock, "d/3")
    assert stems(reopened(tmp_path, clock)) == ["d/1", "d/3"]
    assert b"\nb\n" not in path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 40,
        b"\xff\xfe garbage",
        b"begin",
        b"begin d/9 00000001 12.000 1e9",
        b"begin d/9 00000001 nan nan",
        b"begin d/9 00000001 -5.000 100.000",
        b"begin d/9 d/10 00000001 5.000 100.000",
        b"erase d/1 00000001 5.000 100.000",
    ],
)
def test_a_damaged_line_is_lost_alone(tmp_path, clock, damage) -> None:
    path = tmp_path / LEDGER_NAME
    record(reopened(tmp_path, clock), clock, "d/1", "d/2")
    lines = path.read_bytes().split(b"\n")
    lines.insert(3, damage)
    path.write_bytes(b"\n".join(lines))
    again = reopened(tmp_path, clock)
    assert stems(again) == ["d/1", "d/2"]
    record(again, clock, "d/3")
    assert stems(reopened(tmp_path, clock)) == ["d/1", "d/2", "d/3"]
    assert damage not in path.read_bytes().split(b"\n")


def test_a_file_that_is_rewritten_keeps_order_and_times_and_stays_small(tmp_path, clock) -> None:
    path = tmp_path / LEDGER_NAME
    ledger = reopened(tmp_path, clock, spare_bytes=500)
    record(ledger, clock, "d/z", "d/y")
    clock.unix_s += YEAR_S
    sizes = []
    for number in range(100):
        record(ledger, clock, f"d/{number}")
        if number >= 3:
            ledger.forget(f"d/{number - 3}")
        sizes.append(path.stat().st_size)
    left = ["d/z", "d/y", "d/97", "d/98", "d/99"]
    assert stems(ledger) == left
    assert max(sizes) < 2 * (7 * 144 + 500) + 200
    assert sorted(sizes) != sizes
    ages = ages_s(ledger, clock)
    ledger.begin("d/last")
    again = reopened(tmp_path, clock)
    assert stems(again) == [*left, "d/last"]
    assert ages_s(again, clock)[:-1] == ages
    assert not path.with_name(path.name + ".part").exists()


@pytest.mark.parametrize("loss", ["deleted", "emptied", "replaced"])
def test_a_file_that_is_lost_while_it_is_in_use_is_written_again(tmp_path, clock, loss) -> None:
    path = tmp_path / LEDGER_NAME
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "d/1")
    path.unlink()
    if loss != "deleted":
        path.write_bytes(b"" if loss == "emptied" else b"something else\n")
    record(ledger, clock, "d/2")
    assert stems(reopened(tmp_path, clock)) == ["d/1", "d/2"]


def test_what_cannot_be_noted_is_not_and_the_next_line_is_whole(tmp_path, clock) -> None:
    path = tmp_path / LEDGER_NAME
    ledger = reopened(tmp_path, clock)
    record(ledger, clock, "d/1")
    path.rename(tmp_path / "away")
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        ledger.begin("d/2")
    assert stems(ledger) == ["d/1"]
    path.rmdir()
    (tmp_path / "away").rename(path)
    record(ledger, clock, "d/3")
    assert stems(reopened(tmp_path, clock)) == ["d/1", "d/3"]
