"""No recording is deleted for an age that it may not have, whatever the clock did."""

import os
from dataclasses import replace

import pytest
from support.set_clock import DAY_S, YEAR_S, SetClock

from edge_detect.core.clock import is_synced
from edge_detect.sinks.recorder.ledger import LEDGER_NAME
from edge_detect.sinks.recorder.store import Keep, Store

WEEK = Keep(None, 7 * DAY_S, 0)


@pytest.fixture
def clock():
    """One that nobody has confirmed."""
    return SetClock(synced=False)


def opened(root, clock):
    store = Store(root, WEEK, clock, rescan_s=-1)
    store.open()
    return store


def record(store, clock):
    path, file = store.create(clock.monotonic_ns())
    os.write(file, b"0" * 100)
    os.close(file)
    clock.advance(1)
    store.finished([path])
    return path


def test_a_clock_put_right_after_the_last_recording_makes_it_no_older(tmp_path, clock) -> None:
    clock.unix_s -= 8 * DAY_S
    store = opened(tmp_path, clock)
    made = record(store, clock)
    clock.unix_s += 8 * DAY_S
    clock.synced = True
    clock.advance(3 * DAY_S)
    store.tend(0)
    store.close()
    clock.reboot(clock.unix_s + 60)
    store = opened(tmp_path, clock)
    assert made.exists()
    clock.advance(4 * DAY_S - 70)
    store.tend(0)
    assert made.exists()
    clock.advance(70)
    store.tend(0)
    assert not made.exists()


@pytest.mark.parametrize("synced", [True, False])
@pytest.mark.parametrize("behind_s", [60 * DAY_S, YEAR_S])
def test_a_boot_whose_clock_was_in_the_past_ended_before_the_next(
    tmp_path, clock, behind_s, synced
) -> None:
    right_s = clock.unix_s
    clock.unix_s -= behind_s
    store = opened(tmp_path, clock)
    made = [record(store, clock) for _ in range(5)]
    store.close()
    clock.reboot(right_s + 100)
    clock.synced = synced
    store = opened(tmp_path, clock)
    clock.advance(7 * DAY_S - 10)
    store.tend(0)
    assert all(path.exists() for path in made)
    clock.advance(10)
    store.tend(0)
    assert not any(path.exists() for path in made)


def test_a_clock_in_the_future_makes_nothing_old(tmp_path, clock) -> None:
    clock.synced = True
    store = opened(tmp_path, clock)
    made = record(store, clock)
    store.close()
    clock.reboot(clock.unix_s + 10 * YEAR_S)
    clock.synced = False
    opened(tmp_path, clock).close()
    assert made.exists()


def test_a_recording_from_the_future_does_not_keep_the_later_ones(tmp_path, clock) -> None:
    right_s = clock.unix_s
    clock.unix_s += 10 * YEAR_S
    store = opened(tmp_path, clock)
    made = [record(store, clock)]
    store.close()
    clock.reboot(right_s + 60)
    clock.synced = True
    for _ in range(20):
        store = opened(tmp_path, clock)
        made.append(record(store, clock))
        clock.advance(DAY_S)
        store.tend(0)
        store.close()
        clock.reboot()
    opened(tmp_path, clock).close()
    assert [path.exists() for path in made] == [False] * 15 + [True] * 6


def test_time_off_counts_where_the_clock_was_right_before_and_after(tmp_path, clock) -> None:
    clock.synced = True
    store = opened(tmp_path, clock)
    made = record(store, clock)
    store.close()
    # In between it is not known, as without a network.
    clock.reboot(clock.unix_s - YEAR_S)
    clock.synced = False
    opened(tmp_path, clock).close()
    assert made.exists()
    clock.reboot(clock.unix_s + YEAR_S + 8 * DAY_S)
    clock.synced = True
    opened(tmp_path, clock).close()
    assert not made.exists()


@pytest.mark.parametrize("end", ["closed", "power cut"])
def test_how_long_a_boot_lasted_is_known_without_recordings(tmp_path, clock, end) -> None:
    store = opened(tmp_path, clock)
    made = record(store, clock)
    for _ in range(4 * 24 + 1):
        clock.advance(3601)
        store.tend(0)
    if end == "closed":
        store.close()
    else:
        # The lock goes with the process, and nothing is written.
        store.close()
        lines = (tmp_path / LEDGER_NAME).read_bytes().splitlines(keepends=True)
        (tmp_path / LEDGER_NAME).write_bytes(b"".join(lines[:-1]))
    # The hourly notes are few and short.
    assert (tmp_path / LEDGER_NAME).stat().st_size < 8000
    clock.reboot()
    store = opened(tmp_path, clock)
    clock.advance(2.9 * DAY_S)
    store.tend(0)
    assert made.exists()
    clock.advance(0.1 * DAY_S)
    store.tend(0)
    assert not made.exists()


def test_without_the_name_of_the_boot_age_counts_in_the_same_process_alone(tmp_path) -> None:
    class Nameless(SetClock):
        def moment(self):
            return replace(super().moment(), boot="")

    clock = Nameless()
    store = opened(tmp_path, clock)
    before = record(store, clock)
    store.close()
    clock.reboot(clock.unix_s + YEAR_S)
    store = opened(tmp_path, clock)
    made = record(store, clock)
    clock.advance(8 * DAY_S)
    store.tend(0)
    # The older one stays, and so do those after it: order is kept.
    assert before.exists()
    assert made.exists()
    before.unlink()
    record(store, clock)
    store.close()
    store = Store(tmp_path, Keep(150, None, 0), clock, rescan_s=-1)
    store.open()
    store.close()
    assert not made.exists()


@pytest.mark.parametrize(
    ("state", "marked", "synced"),
    [(0, False, True), (5, False, False), (5, True, False), (-1, True, True), (-1, False, False)],
)
def test_a_clock_is_right_where_the_system_says_so(tmp_path, state, marked, synced) -> None:
    marker = tmp_path / "synchronized"
    if marked:
        marker.touch()
    assert is_synced(state, marker) == synced
