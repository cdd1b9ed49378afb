"""A recorder's directory and ledger when disks, people and other users interfere."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from support.recordings import open_recorder, stream_info
from support.set_clock import SetClock

from edge_detect.core import SinkError
from edge_detect.sinks.recorder.ledger import LEDGER_NAME, Ledger
from edge_detect.sinks.recorder.store import Keep, Store


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def open_store(clock):
    """A function that opens a store in place of the one before, as after a restart."""
    stores = []

    def open_next(root, total_bytes=1000):
        while stores:
            stores.pop().close()
        stores.append(Store(root, Keep(total_bytes, None, 0), clock, rescan_s=-1))
        stores[-1].open()
        return stores[-1]

    yield open_next
    while stores:
        stores.pop().close()


def record(store, count=1):
    made = []
    for _ in range(count):
        path, file = store.create(store.clock.monotonic_ns())
        os.write(file, b"0" * 100)
        os.close(file)
        store.clock.advance(1)
        store.finished([path])
        made.append(path)
    return made


def test_a_disk_that_is_mounted_meanwhile_keeps_its_ledger(tmp_path, open_store) -> None:
    root = tmp_path / "recordings"
    old = record(open_store(root), 8)
    open_store(tmp_path / "elsewhere")
    root.rename(tmp_path / "disk")
    store = open_store(root)
    record(store)
    path, file = store.create(0)
    # Renamed, as mounting needs privileges.
    root.rename(tmp_path / "bare")
    (tmp_path / "disk").rename(root)
    before = (root / LEDGER_NAME).read_bytes()
    with pytest.raises(SinkError, match="no longer the directory") as caught:
        store.tend(0)
    assert caught.value.transient
    os.close(file)
    # Somebody else's has that name here.
    assert not path.exists()
    path.write_bytes(b"0")
    store.finished([path])
    with pytest.raises(SinkError, match="no longer the directory"):
        store.create(0)
    store.close()
    assert (root / LEDGER_NAME).read_bytes() == before
    path.unlink()
    store = open_store(root)
    new = record(store, 12)
    store.tend(0)
    assert store.foreign == 0
    assert [path.exists() for path in [*old, *new]] == [False] * 10 + [True] * 10


def test_a_ledger_that_was_changed_meanwhile_comes_before_what_is_known(tmp_path, clock) -> None:
    disk, own = Ledger(tmp_path, clock), Ledger(tmp_path, clock)
    for ledger, stems in ((own, ["d/2", "d/3", "d/4"]), (disk, ["d/1", "d/2", "d/3"])):
        if ledger is disk:
            # Of the same length, by the way.
            (tmp_path / LEDGER_NAME).rename(tmp_path / "away")
        ledger.open()
        for stem in stems:
            ledger.begin(stem)
            clock.advance(1)
            ledger.end(stem)
    own.forget("d/2")
    own.begin("d/5")
    # Its own d/3 took the place of the one of the file, and what it deleted is gone.
    assert [entry.stem for entry in own] == ["d/1", "d/3", "d/4", "d/5"]
    again = Ledger(tmp_path, clock)
    again.open()
    assert [entry.stem for entry in again] == ["d/1", "d/3", "d/4", "d/5"]


def test_without_locks_two_recorders_know_each_others_recordings(
    tmp_path, clock, monkeypatch, caplog
) -> None:
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    stores = [Store(tmp_path, Keep(1000, None, 0), clock, rescan_s=-1) for _ in range(2)]
    for store in stores:
        store.open()
    for _ in range(20):
        for store in stores:
            record(store)
    for store in stores:
        store.close()
    store = Store(tmp_path, Keep(1000, None, 0), clock, rescan_s=-1)
    store.open()
    store.close()
    assert store.foreign == 0
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.mp4")) <= 1000
    sink = open_recorder(f"mp4://{tmp_path}?reserve=0MB")
    for _ in range(2):
        sink.open(stream_info())
        sink.close()
    warnings = [each for each in caplog.records if "cannot be locked" in each.getMessage()]
    assert [each.levelname for each in warnings] == ["WARNING"]


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO])
def test_a_day_that_cannot_be_read_for_a_moment_is_not_forgotten(
    tmp_path, open_store, clock, monkeypatch, caplog, error
) -> None:
    (old,) = record(open_store(tmp_path))
    clock.advance(86_400)
    scan = os.scandir

    def broken(path):
        if Path(path) == old.parent:
            raise OSError(error, os.strerror(error))
        return scan(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", broken)
        store = open_store(tmp_path, 50)
        record(store, 2)
        store.tend(0)
        assert old.exists()
    assert caplog.text.count("neither counted nor deleted") == 1
    assert open_store(tmp_path, 100).foreign == 0
    open_store(tmp_path, 99)
    assert not old.exists()


def test_what_could_not_be_deleted_once_is_tried_again(tmp_path, open_store, monkeypatch) -> None:
    store = open_store(tmp_path, 500)
    made = record(store, 5)

    def busy(*_, **__):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", busy)
        made += record(store, 2)
        store.tend(0)
        assert all(path.exists() for path in made)
    made += record(store)
    store.tend(0)
    assert [path.exists() for path in made] == [False] * 3 + [True] * 5


def test_nothing_is_recorded_into_a_day_that_is_a_link(tmp_path, open_store, clock) -> None:
    other = tmp_path / "other"
    other.mkdir()
    store = open_store(tmp_path / "root")
    (tmp_path / "root" / "2026-05-01").symlink_to(other)
    with pytest.raises(SinkError, match="link") as caught:
        store.create(clock.monotonic_ns())
    assert caught.value.transient
    assert list(other.iterdir()) == []


def place(path, kind):
    """Put something at a path that no ledger is."""
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.with_name("victim").write_bytes(b"")
            path.symlink_to(path.with_name("victim"))
        case "dangling link":
            path.symlink_to(path.with_name("nothing"))


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "dangling link"])
@pytest.mark.parametrize("name", [LEDGER_NAME, f"{LEDGER_NAME}.part"])
def test_what_is_no_file_is_not_the_ledger_and_is_named(tmp_path, open_store, name, kind) -> None:
    place(tmp_path / name, kind)

    def start():
        open_store(tmp_path).create(0)

    with pytest.raises(SinkError, match=f"{name}: ") as caught:
        start()
    assert caught.value.transient
    assert LEDGER_NAME in caught.value.hint
    if kind == "link":
        assert (tmp_path / "victim").read_bytes() == b""


def test_a_ledger_left_half_written_by_a_power_cut_is_replaced(tmp_path, open_store) -> None:
    part = tmp_path / f"{LEDGER_NAME}.part"
    part.write_bytes(b"half")
    record(open_store(tmp_path))
    assert not part.exists()


@pytest.mark.parametrize("refused", ["write", "read"])
def test_a_ledger_of_another_user_is_replaced_if_it_can_be_read(
    tmp_path, open_store, monkeypatch, refused
) -> None:
    old = record(open_store(tmp_path))
    opened = os.open

    def deny(path, flags, *args, **options):
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        if Path(path).name == LEDGER_NAME and (writes or refused == "read"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", deny)
    if refused == "read":
        with pytest.raises(SinkError, match=f"{LEDGER_NAME}: Permission denied"):
            open_store(tmp_path)
        return
    new = record(open_store(tmp_path))
    monkeypatch.undo()
    assert open_store(tmp_path).foreign == 0
    open_store(tmp_path, 100)
    assert [path.exists() for path in [*old, *new]] == [False, True]


def test_a_line_that_was_written_in_part_is_cut_off(tmp_path, open_store, monkeypatch) -> None:
    store = open_store(tmp_path)
    record(store)
    path = tmp_path / LEDGER_NAME
    before = path.read_bytes()
    write, calls = os.write, []

    def full(file, data):
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(file, bytes(data)[:10])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(SinkError, match="Input/output error"):
            store.create(0)
    assert len(calls) == 2
    assert path.read_bytes() == before
    record(store)
    assert path.read_bytes().startswith(before)


def test_a_recording_whose_file_cannot_be_created_is_forgotten(
    tmp_path, open_store, monkeypatch
) -> None:
    store = open_store(tmp_path)
    opened = os.open

    def deny(path, flags, *args, **options):
        if str(path).endswith(".mp4"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, flags, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", deny)
        with pytest.raises(OSError, match="Input/output"):
            store.create(0)
    (made,) = record(store)
    text = (tmp_path / LEDGER_NAME).read_text()
    assert text.count("gone ") == 1
    assert not made.stem.endswith("_2")


def test_a_line_is_safe_before_its_file_is_there_and_so_is_the_name(
    tmp_path, open_store, monkeypatch
) -> None:
    store = open_store(tmp_path)
    record(store)
    events = []
    opened = os.open

    def spy(name):
        real = getattr(os, name)

        def call(file):
            events.append((name, Path(f"/proc/self/fd/{file}").readlink().name))
            return real(file)

        return call

    def open_spy(path, flags, *args, **options):
        if flags & os.O_CREAT:
            events.append(("create", Path(path).name))
        return opened(path, flags, *args, **options)

    monkeypatch.setattr(os, "fdatasync", spy("fdatasync"))
    monkeypatch.setattr(os, "fsync", spy("fsync"))
    monkeypatch.setattr(os, "open", open_spy)
    (made,) = record(store)
    assert events == [
        ("fdatasync", LEDGER_NAME),
        ("create", made.name),
        ("fsync", made.parent.name),
    ]
    events.clear()
    (tmp_path / LEDGER_NAME).unlink()
    (made,) = record(store)
    part = f"{LEDGER_NAME}.part"
    assert events[:4] == [
        ("create", part),
        ("fsync", part),
        ("fsync", tmp_path.name),
        ("create", made.name),
    ]


def test_what_is_known_of_the_clock_survives_a_rewrite(tmp_path, clock) -> None:
    ledger = Ledger(tmp_path, clock, spare_bytes=100)
    ledger.open()
    ledger.begin("d/1")
    ledger.end("d/1")
    lasted_s = 5000 - clock.up_s
    clock.advance(lasted_s)
    ledger.note_clock()
    for boot in range(3):
        clock.reboot()
        clock.synced = False
        ledger = Ledger(tmp_path, clock, spare_bytes=100)
        ledger.open()
        for number in range(20):
            ledger.begin(f"d/{boot}-{number}")
            ledger.forget(f"d/{boot}-{number}")
        clock.advance(1000)
        ledger.note_clock()
    assert (tmp_path / LEDGER_NAME).stat().st_size < 2000
    again = Ledger(tmp_path, clock)
    again.open()
    (entry,) = list(again)
    assert again.age_s(entry, clock.moment()) == pytest.approx(lasted_s + 3 * 1003)
