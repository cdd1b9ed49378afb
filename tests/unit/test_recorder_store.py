"""What a recorder keeps, and what it never touches."""

import contextlib
import fcntl
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.requirements import not_allowed
from support.set_clock import DAY_S, YEAR_S, SetClock

from edge_detect.core import SinkError
from edge_detect.sinks.recorder.ledger import LEDGER_NAME
from edge_detect.sinks.recorder.store import Keep, Store, cannot_record

# linux/fs.h: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL
_LONG = struct.calcsize("l") << 16
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80006601 | _LONG, 0x40006602 | _LONG, 0x10


def record(store, *endings, size=100, lasts_s=1.0):
    """Make a recording in a store whose clock can be set; its files have these endings."""
    path, file = store.create(store.clock.monotonic_ns())
    os.close(file)
    paths = [path.with_suffix(f".{ending}") for ending in endings or ("mp4",)]
    for each in paths:
        each.write_bytes(b"\0" * size)
    store.clock.advance(lasts_s)
    store.finished(paths)
    return path


def place(root, name, size=100):
    """Put a file where others or an earlier version might have put it."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * size)
    return path


def names(root):
    """All files but the ledger."""
    files = [path for path in root.rglob("*") if path.is_file() and path.name != LEDGER_NAME]
    return sorted(str(path.relative_to(root)) for path in files)


def named(root, *paths):
    return sorted(str(path.relative_to(root)) for path in paths)


@contextlib.contextmanager
def undeletable(path):
    """Have the system refuse to delete a file, also to root."""
    if os.geteuid():
        path.parent.chmod(0o555)
        yield
        path.parent.chmod(0o755)
        return
    with path.open("rb") as file:
        try:
            flags = fcntl.ioctl(file, _GET_FLAGS, struct.pack("l", 0))
            immutable = struct.pack("l", struct.unpack("l", flags)[0] | _IMMUTABLE)
            fcntl.ioctl(file, _SET_FLAGS, immutable)
        except OSError as error:
            not_allowed(f"needs a file system with attributes: {error}")
        try:
            yield
        finally:
            fcntl.ioctl(file, _SET_FLAGS, flags)


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def open_store(clock):
    """A function that opens a store in place of the one before, as after a restart."""
    opened = []

    def open_next(root, total_bytes=None, age_s=None, reserve_bytes=0):
        while opened:
            opened.pop().close()
        store = Store(root, Keep(total_bytes, age_s, reserve_bytes), clock, rescan_s=-1)
        store.open()
        opened.append(store)
        return store

    yield open_next
    while opened:
        opened.pop().close()


@pytest.fixture
def local_zone(monkeypatch):
    """A function that sets the time zone until the test ends."""

    def set_zone(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


def test_the_oldest_go_first_until_the_rest_fits(tmp_path, open_store, clock) -> None:
    store = open_store(tmp_path)
    first = record(store)
    clock.advance(DAY_S)
    rest = [record(store, lasts_s=0) for _ in range(11)]
    assert [path.stem[8:] for path in rest] == ["", *(f"_{number}" for number in range(2, 12))]
    open_store(tmp_path, 250)
    assert names(tmp_path) == named(tmp_path, *rest[-2:])
    assert not first.parent.exists()


def test_what_lies_beside_a_recording_goes_with_it_and_counts(tmp_path, open_store) -> None:
    store = open_store(tmp_path)
    record(store, "mp4", "jpg", "json", "json.part")
    newer = record(store)
    open_store(tmp_path, 500)
    assert len(names(tmp_path)) == 5
    open_store(tmp_path, 499)
    assert names(tmp_path) == named(tmp_path, newer)


def test_what_a_recorder_did_not_make_is_never_counted_or_deleted(tmp_path, open_store) -> None:
    foreign = [
        "holiday.mp4",
        "2026-03-01/holiday.mp4",
        "2026-03-01/10-00-00.txt",
        "2026-03-01/10-00-00_copy.mp4",
        "2026-03-01/10-00-00/10-00-00.mp4",
        "2026-03-01x/10-00-00.mp4",
        "archive/2026-03-01/10-00-00.mp4",
    ]
    for name in foreign:
        place(tmp_path, name)
    outside = place(tmp_path.parent / f"{tmp_path.name}-outside", "11-00-00.mp4")
    (tmp_path / "2026-03-02").symlink_to(outside.parent)
    (tmp_path / "2026-03-01" / "12-00-00.mp4").symlink_to(outside)
    made = record(open_store(tmp_path))
    store = open_store(tmp_path, 1)
    assert not made.exists()
    assert outside.exists()
    assert [name for name in foreign if not (tmp_path / name).exists()] == []
    assert store.foreign == 0


def test_what_looks_like_a_recording_but_is_not_in_the_ledger_stays(tmp_path, open_store) -> None:
    foreign = [f"2020-01-0{day}/10-00-00.{end}" for day in (1, 2) for end in ("json", "mp4")]
    for name in foreign:
        place(tmp_path, name)
    made = record(open_store(tmp_path), size=500)
    store = open_store(tmp_path, 500, age_s=DAY_S)
    assert store.foreign == 2
    assert names(tmp_path) == sorted([*foreign, *named(tmp_path, made)])
    store = open_store(tmp_path, 1)
    assert names(tmp_path) == foreign
    assert not store.make_room(1)


def test_a_recording_is_never_put_beside_files_that_are_somebody_elses(
    tmp_path, open_store
) -> None:
    store = open_store(tmp_path, 1)
    gone = record(store, lasts_s=0)
    store.tend(0)
    picture = place(tmp_path, str(gone.with_suffix(".jpg").relative_to(tmp_path)))
    other = record(store, "mp4", "jpg", "json", lasts_s=0)
    assert other.stem == f"{gone.stem}_2"
    store.tend(0)
    assert names(tmp_path) == named(tmp_path, picture)


def test_a_file_that_takes_the_name_of_a_deleted_recording_stays(tmp_path, open_store) -> None:
    store = open_store(tmp_path, 150)
    gone = record(store)
    record(store)
    store.tend(0)
    assert not gone.exists()
    place(tmp_path, str(gone.relative_to(tmp_path)))
    record(store)
    open_store(tmp_path, 1)
    assert names(tmp_path) == named(tmp_path, gone)


def test_without_a_limit_nothing_is_deleted(tmp_path, open_store, clock) -> None:
    made = record(open_store(tmp_path))
    clock.advance(5000 * DAY_S)
    store = open_store(tmp_path)
    store.tend(10**12)
    assert not store.make_room(1)
    assert names(tmp_path) == named(tmp_path, made)


def test_recordings_older_than_wanted_go(tmp_path, open_store, clock) -> None:
    store = open_store(tmp_path, age_s=7 * DAY_S)
    record(store)
    clock.advance(2 * DAY_S)
    newer = record(store)
    clock.advance(6 * DAY_S)
    store.tend(0)
    assert names(tmp_path) == named(tmp_path, newer)
    clock.advance(DAY_S + 1)
    open_store(tmp_path, age_s=7 * DAY_S)
    assert names(tmp_path) == []


@pytest.mark.parametrize("jump_s", [-YEAR_S, YEAR_S, -30.0])
def test_after_a_jump_of_the_clock_the_oldest_made_still_go_first(
    tmp_path, open_store, clock, jump_s
) -> None:
    store = open_store(tmp_path)
    old = [record(store) for _ in range(2)]
    clock.unix_s += jump_s
    new = [record(store) for _ in range(2)]
    store = open_store(tmp_path, 350)
    assert names(tmp_path) == named(tmp_path, old[1], *new)
    clock.reboot(clock.unix_s + YEAR_S)
    open_store(tmp_path, 200)
    assert names(tmp_path) == named(tmp_path, *new)


def test_a_clock_that_jumps_forward_makes_nothing_old(tmp_path, open_store, clock) -> None:
    store = open_store(tmp_path, age_s=7 * DAY_S)
    made = record(store)
    clock.unix_s += YEAR_S
    clock.advance(300)
    store.tend(0)
    clock.advance(7 * DAY_S - 301)
    store = open_store(tmp_path, age_s=7 * DAY_S)
    assert names(tmp_path) == named(tmp_path, made)
    clock.advance(2)
    store.tend(0)
    assert names(tmp_path) == []


def test_what_was_recorded_before_the_clock_was_right_is_not_old(
    tmp_path, open_store, clock
) -> None:
    right_s = clock.unix_s
    clock.unix_s -= YEAR_S
    store = open_store(tmp_path, age_s=7 * DAY_S)
    early = record(store)
    clock.unix_s = right_s
    late = record(store)
    clock.reboot(right_s + DAY_S)
    store = open_store(tmp_path, age_s=7 * DAY_S)
    assert names(tmp_path) == named(tmp_path, early, late)
    clock.advance(6 * DAY_S + 2)
    store.tend(0)
    assert names(tmp_path) == []


def test_a_clock_that_is_not_yet_right_makes_nothing_old(tmp_path, open_store, clock) -> None:
    made = record(open_store(tmp_path))
    clock.reboot(clock.unix_s - YEAR_S)
    store = open_store(tmp_path, age_s=7 * DAY_S)
    store.tend(0)
    assert names(tmp_path) == named(tmp_path, made)
    # But what was made before this boot is as old as this boot.
    clock.advance(7 * DAY_S)
    store.tend(0)
    assert names(tmp_path) == []


def test_in_the_hour_that_comes_twice_the_oldest_made_go_first(
    tmp_path, open_store, clock, local_zone
) -> None:
    local_zone("Europe/Berlin")
    clock.unix_s = datetime(2026, 10, 25, 0, 50, tzinfo=UTC).timestamp()
    store = open_store(tmp_path)
    summer = record(store)
    clock.advance(1200)
    winter = record(store)
    assert (summer.stem, winter.stem) == ("02-50-00", "02-10-01")
    open_store(tmp_path, 100)
    assert names(tmp_path) == named(tmp_path, winter)


def test_what_the_recorder_did_not_live_to_finish_is_its_own(tmp_path, open_store) -> None:
    path, file = open_store(tmp_path).create(0)
    os.write(file, b"\0" * 100)
    os.close(file)
    open_store(tmp_path, 100)
    assert path.exists()
    open_store(tmp_path, 99)
    assert not path.exists()


def test_a_recording_that_never_came_to_be_is_forgotten(tmp_path, open_store, clock) -> None:
    # The power went between the line in the ledger and the file.
    store = open_store(tmp_path)
    made = record(store, lasts_s=0)
    made.unlink()
    store = open_store(tmp_path, 100)
    assert record(store, lasts_s=0) == made
    assert record(open_store(tmp_path, 100)).exists()
    assert store.foreign == 0


def test_after_the_ledger_was_deleted_nothing_before_is_and_all_after_can_be(
    tmp_path, open_store
) -> None:
    store = open_store(tmp_path)
    old = record(store)
    store.close()
    (tmp_path / LEDGER_NAME).unlink()
    store = open_store(tmp_path, 100)
    assert store.foreign == 1
    record(store)
    # While it runs, it knows what it made, and writes that again.
    (tmp_path / LEDGER_NAME).unlink()
    new = record(store)
    store.tend(0)
    assert names(tmp_path) == named(tmp_path, old, new)
    open_store(tmp_path, 99)
    assert names(tmp_path) == named(tmp_path, old)


def test_a_ledger_that_cannot_be_read_is_an_error_that_may_pass(tmp_path, open_store) -> None:
    (tmp_path / LEDGER_NAME).mkdir()
    with pytest.raises(SinkError, match="cannot write") as caught:
        open_store(tmp_path)
    assert caught.value.transient
    (tmp_path / LEDGER_NAME).rmdir()
    open_store(tmp_path)


def test_no_recording_begins_that_cannot_be_put_into_the_ledger(tmp_path, open_store) -> None:
    store = open_store(tmp_path)
    (tmp_path / LEDGER_NAME).mkdir()
    with pytest.raises(SinkError, match="directory"):
        store.create(0)
    assert names(tmp_path) == []
    (tmp_path / LEDGER_NAME).rmdir()
    record(store)


def test_a_name_that_is_taken_is_not_taken_twice(tmp_path, open_store, clock) -> None:
    store = open_store(tmp_path)
    made = []
    for text in (b"first", b"second", b"third"):
        path, file = store.create(clock.monotonic_ns())
        os.write(file, text)
        os.close(file)
        store.finished([path])
        made.append(path)
    assert [path.read_bytes() for path in made] == [b"first", b"second", b"third"]
    assert made == sorted(made)
    stem = clock.local_time(clock.monotonic_ns()).strftime("%H-%M-%S")
    assert made[1].name == f"{stem}_2.mp4"


def test_what_is_being_written_counts_but_stays(tmp_path, open_store, clock) -> None:
    store = open_store(tmp_path, 350)
    for _ in range(3):
        record(store)
    path, file = store.create(clock.monotonic_ns())
    os.close(file)
    store.tend(100)
    assert len(names(tmp_path)) == 3
    store.tend(10_000)
    assert names(tmp_path) == named(tmp_path, path)
    path.write_bytes(b"\0" * 360)
    store.finished([path])
    store.tend(0)
    assert names(tmp_path) == []


def test_what_was_deleted_by_hand_does_not_cost_others_their_place(tmp_path, open_store) -> None:
    store = open_store(tmp_path, 500)
    paths = [record(store) for _ in range(5)]
    for path in paths[2:]:
        path.unlink()
    store.tend(250)
    assert names(tmp_path) == named(tmp_path, *paths[:2])


def test_what_cannot_be_deleted_is_said_once_and_does_not_stop_the_rest(
    tmp_path, open_store, clock, caplog
) -> None:
    store = open_store(tmp_path)
    fixed = record(store)
    clock.advance(DAY_S)
    for _ in range(4):
        record(store)
    with undeletable(fixed):
        store = open_store(tmp_path, 450)
        store.tend(100)
        store.tend(200)
        assert len(names(tmp_path)) == 3
    assert len(caplog.records) == 1
    open_store(tmp_path, 299)
    assert not fixed.exists()


def test_a_directory_that_vanished_is_no_reason_to_fail(tmp_path, open_store) -> None:
    store = open_store(tmp_path / "new", 500)
    record(store).unlink()
    for folder in (tmp_path / "new").glob("2026-*"):
        folder.rmdir()
    assert record(store).exists()
    path, file = store.create(0)
    os.close(file)
    path.unlink()
    path.parent.rename(tmp_path / "away")
    store.finished([path])
    assert record(store).exists()


def test_too_little_room_is_an_error_that_says_how_to_get_some(tmp_path, open_store) -> None:
    with pytest.raises(SinkError, match=r"pauses: \d+ MB are free") as caught:
        open_store(tmp_path, reserve_bytes=10**18)
    assert caught.value.transient
    assert "keep=10GB" in caught.value.hint
    assert "reserve=" in caught.value.hint
    open_store(tmp_path)


def test_nothing_is_deleted_when_that_would_not_make_enough_room(tmp_path, open_store) -> None:
    made = record(open_store(tmp_path))
    with pytest.raises(SinkError, match="pauses"):
        open_store(tmp_path, 10**9, reserve_bytes=10**18)
    assert names(tmp_path) == named(tmp_path, made)


def test_errors_while_recording_may_pass() -> None:
    full = cannot_record(Path("/x"), OSError(28, "No space left on device"))
    gone = cannot_record(Path("/x"), OSError(5, "Input/output error"))
    assert full.transient
    assert gone.transient
    assert "pauses" in full.message
    assert gone.message == "cannot write /x: Input/output error"
