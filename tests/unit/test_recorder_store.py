"""What a recorder keeps, and what it never touches."""

import contextlib
import os
import subprocess
import time

import pytest

from edge_detect.core import SinkError, monotonic_ns
from edge_detect.sinks.recorder.store import Keep, Store, cannot_record, local_time

DAY_S = 86_400


def recording(root, name, size=100, *, age_s=0.0):
    """A recording as it is found on the disk."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * size)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def names(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@contextlib.contextmanager
def undeletable(path):
    """Have the system refuse to delete a file, also to root."""
    if os.geteuid():
        path.parent.chmod(0o555)
        yield
        path.parent.chmod(0o755)
        return
    done = subprocess.run(["chattr", "+i", path], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a file system with attributes: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


@pytest.fixture
def open_store():
    """A function that opens a store in place of the one before, as after a restart."""
    opened = []

    def open_next(root, total_bytes=None, age_s=None, reserve_bytes=0):
        while opened:
            opened.pop().close()
        store = Store(root, Keep(total_bytes, age_s, reserve_bytes))
        store.open()
        opened.append(store)
        return store

    yield open_next
    while opened:
        opened.pop().close()


def test_the_oldest_go_first_until_the_rest_fits(tmp_path, open_store) -> None:
    recording(tmp_path, "2026-02-28/23-59-59.mp4")
    recording(tmp_path, "2026-03-01/00-00-00.mp4")
    recording(tmp_path, "2026-03-01/00-00-00_2.mp4")
    recording(tmp_path, "2026-03-01/00-00-00_10.mp4")
    open_store(tmp_path, 250)
    assert names(tmp_path) == ["2026-03-01/00-00-00_10.mp4", "2026-03-01/00-00-00_2.mp4"]
    assert not (tmp_path / "2026-02-28").exists()


def test_what_lies_beside_a_recording_goes_with_it_and_counts(tmp_path, open_store) -> None:
    for ending in ("mp4", "jpg", "json", "json.part"):
        recording(tmp_path, f"2026-03-01/10-00-00.{ending}")
    recording(tmp_path, "2026-03-01/11-00-00.mp4")
    open_store(tmp_path, 500)
    assert len(names(tmp_path)) == 5
    open_store(tmp_path, 499)
    assert names(tmp_path) == ["2026-03-01/11-00-00.mp4"]


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
        recording(tmp_path, name)
    outside = recording(tmp_path.parent / f"{tmp_path.name}-outside", "11-00-00.mp4")
    (tmp_path / "2026-03-02").symlink_to(outside.parent)
    (tmp_path / "2026-03-01" / "12-00-00.mp4").symlink_to(outside)
    recording(tmp_path, "2026-03-01/13-00-00.mp4")
    open_store(tmp_path, 1)
    assert not (tmp_path / "2026-03-01" / "13-00-00.mp4").exists()
    assert outside.exists()
    assert [name for name in foreign if not (tmp_path / name).exists()] == []


def test_without_a_limit_nothing_is_deleted(tmp_path, open_store) -> None:
    recording(tmp_path, "2020-01-01/10-00-00.mp4", age_s=5000 * DAY_S)
    store = open_store(tmp_path)
    store.tend(10**12)
    assert not store.make_room(1)
    assert names(tmp_path) == ["2020-01-01/10-00-00.mp4"]


def test_recordings_older_than_wanted_go(tmp_path, open_store) -> None:
    recording(tmp_path, "2026-03-01/10-00-00.mp4", age_s=8 * DAY_S)
    recording(tmp_path, "2026-03-01/11-00-00.mp4", age_s=6 * DAY_S)
    open_store(tmp_path, age_s=7 * DAY_S)
    assert names(tmp_path) == ["2026-03-01/11-00-00.mp4"]


def test_a_name_that_is_taken_is_not_taken_twice(tmp_path, open_store) -> None:
    store = open_store(tmp_path)
    now_ns = monotonic_ns()
    made = []
    for text in (b"first", b"second", b"third"):
        path, file = store.create(now_ns)
        os.write(file, text)
        os.close(file)
        store.finished([path])
        made.append(path)
    assert [path.read_bytes() for path in made] == [b"first", b"second", b"third"]
    assert made == sorted(made)
    stem = local_time(now_ns).strftime("%H-%M-%S")
    assert made[1].name == f"{stem}_2.mp4"


def test_what_is_being_written_counts_but_stays(tmp_path, monkeypatch, open_store) -> None:
    monkeypatch.setattr("edge_detect.sinks.recorder.store._RESCAN_NS", 0)
    for hour in ("10", "11", "12"):
        recording(tmp_path, f"2020-03-01/{hour}-00-00.mp4")
    store = open_store(tmp_path, 350)
    path, file = store.create(monotonic_ns())
    os.close(file)
    store.tend(100)
    assert len(names(tmp_path)) == 3
    store.tend(10_000)
    assert names(tmp_path) == [str(path.relative_to(tmp_path))]
    path.write_bytes(b"\0" * 360)
    store.finished([path])
    store.tend(0)
    assert names(tmp_path) == []


def test_what_was_deleted_by_hand_does_not_cost_others_their_place(
    tmp_path, monkeypatch, open_store
) -> None:
    monkeypatch.setattr("edge_detect.sinks.recorder.store._RESCAN_NS", 0)
    paths = [recording(tmp_path, f"2020-03-01/1{n}-00-00.mp4") for n in range(5)]
    store = open_store(tmp_path, 500)
    for path in paths[2:]:
        path.unlink()
    store.tend(250)
    assert len(names(tmp_path)) == 2


def test_what_cannot_be_deleted_is_said_once_and_does_not_stop_the_rest(
    tmp_path, monkeypatch, open_store, caplog
) -> None:
    monkeypatch.setattr("edge_detect.sinks.recorder.store._RESCAN_NS", 0)
    fixed = recording(tmp_path, "2020-02-01/10-00-00.mp4")
    for hour in range(11, 15):
        recording(tmp_path, f"2020-03-01/{hour}-00-00.mp4")
    with undeletable(fixed):
        store = open_store(tmp_path, 450)
        store.tend(100)
        store.tend(200)
        assert len(names(tmp_path)) == 3
    assert len(caplog.records) == 1


def test_a_directory_that_vanished_is_no_reason_to_fail(tmp_path, open_store) -> None:
    recording(tmp_path, "2020-03-01/10-00-00.mp4").unlink()
    store = open_store(tmp_path, 500)
    (tmp_path / "2020-03-01").rmdir()
    path, file = store.create(monotonic_ns())
    os.close(file)
    assert path.exists()


def test_too_little_room_is_an_error_that_says_how_to_get_some(tmp_path, open_store) -> None:
    with pytest.raises(SinkError, match=r"pauses: \d+ MB are free") as caught:
        open_store(tmp_path, reserve_bytes=10**18)
    assert caught.value.transient
    assert "keep=10GB" in caught.value.hint
    assert "reserve=" in caught.value.hint
    open_store(tmp_path)


def test_nothing_is_deleted_when_that_would_not_make_enough_room(tmp_path, open_store) -> None:
    recording(tmp_path, "2020-03-01/10-00-00.mp4")
    with pytest.raises(SinkError, match="pauses"):
        open_store(tmp_path, 10**9, reserve_bytes=10**18)
    assert names(tmp_path) == ["2020-03-01/10-00-00.mp4"]


def test_errors_while_recording_may_pass() -> None:
    from pathlib import Path

    full = cannot_record(Path("/x"), OSError(28, "No space left on device"))
    gone = cannot_record(Path("/x"), OSError(5, "Input/output error"))
    assert full.transient
    assert gone.transient
    assert "pauses" in full.message
    assert gone.message == "cannot write /x: Input/output error"
