"""Whatever the clock, the power and people do, the oldest recordings go first."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from support.set_clock import DAY_S, SetClock

from edge_detect.sinks.recorder.store import Keep, Store

KEEP_BYTES, KEEP_S = 500, 7 * DAY_S

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(100, 300)),
        st.tuples(st.just("record"), st.integers(100, 300)),
        st.tuples(st.just("cut short"), st.integers(1, 400)),
        st.tuples(st.just("jump"), st.integers(-500, 500)),
        st.tuples(st.just("sync"), st.just(0)),
        st.tuples(st.just("pass"), st.integers(0, 200)),
        st.tuples(st.just("off"), st.integers(4, 20)),
        st.tuples(st.just("reboot"), st.integers(-500, 500)),
        st.tuples(st.just("delete by hand"), st.integers(0, 9)),
        st.tuples(st.just("foreign"), st.integers(1, 400)),
        st.tuples(st.just("tear"), st.integers(1, 200)),
    ),
    min_size=5,
    max_size=25,
)
KEEPS = st.sampled_from(
    [Keep(KEEP_BYTES, None, 0), Keep(None, KEEP_S, 0), Keep(KEEP_BYTES, KEEP_S, 0)]
)


class World:
    """A directory, its recorder, and what is known of each file in it."""

    def __init__(self, root: Path, keep: Keep) -> None:
        self.root, self.keep = root, keep
        self.clock = SetClock()
        # The boot, the time for which the computer had run in all, and the true time.
        self.made: dict[Path, tuple[int, float, float]] = {}
        # The true time, and what of it the computer was off.
        self.real_s, self.off_s = self.clock.unix_s, 0.0
        self.always_synced = True
        self.foreign: set[Path] = set()
        self.open()

    def open(self) -> None:
        """Start the recorder."""
        self.store = Store(self.root, self.keep, self.clock, rescan_s=-1)
        self.store.open()

    def record(self, size: int, *, whole: bool = True) -> None:
        path, file = self.store.create(self.clock.monotonic_ns())
        os.write(file, b"\0" * size)
        os.close(file)
        self.advance(1)
        ago_s = 0 if whole else 1
        run_s = self.real_s - self.off_s
        self.made[path] = (self.clock.boots, run_s - ago_s, self.real_s - ago_s)
        if whole:
            self.store.finished([path])
        else:
            self.restart()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.real_s += seconds

    def reboot(self, off_s: float, wrong_s: float) -> None:
        """Start the computer again after some time, with a clock that went on or is wrong."""
        self.store.close()
        # Booting takes 3 s.
        self.clock.reboot(self.clock.unix_s + off_s + 3 + wrong_s)
        self.real_s += off_s + 3
        self.off_s += off_s
        self.open()

    def restart(self) -> None:
        """Stop the recorder and start it again."""
        self.store.close()
        self.open()

    def act(self, action: str, number: int) -> None:
        """Have something happen."""
        match action:
            case "record":
                self.record(number)
            case "cut short":
                self.record(number, whole=False)
            case "jump":
                # As with the real one, a clock that was set is not synchronized.
                self.clock.unix_s += number * DAY_S
                self.clock.synced = self.always_synced = False
            case "sync":
                self.clock.unix_s, self.clock.synced = self.real_s, True
            case "pass":
                self.advance(number * 3600)
            case "off":
                self.reboot(number * DAY_S, 0)
            case "reboot":
                self.always_synced = False
                self.clock.synced = False
                self.reboot(0, number * DAY_S)
            case "delete by hand" if number < len(self.made):
                path = list(self.made)[number]
                path.unlink()
                del self.made[path]
            case "foreign":
                self.place(number)
            case "tear":
                self.tear(number)

    def place(self, size: int) -> None:
        """Put a file of somebody else's where the next recording would be."""
        stem = self.clock.local_time(self.clock.monotonic_ns()).strftime("%Y-%m-%d/%H-%M-%S")
        path = self.root / f"{stem}_{1 + len(self.foreign) + len(self.made)}.mp4"
        if path not in self.made:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\0" * size)
            self.foreign.add(path)

    def tear(self, count: int) -> None:
        """Cut the power while a line is written: it is half there, and so is its recording."""
        self.store.close()
        ledger = self.root / ".edge-detect-recordings"
        if ledger.exists():
            line = b"begin 2000-01-01/00-00-00 00000009 99999.000 99999.000"
            ledger.write_bytes(ledger.read_bytes() + line[: count % len(line)])
        self.open()

    def check(self) -> None:
        """Hold what is still there against what was made."""
        self.store.tend(0)
        there = [path.exists() for path in self.made]
        # Those that are left are the newest.
        assert there == sorted(there)
        assert all(path.exists() for path in self.foreign)
        for path, (boot, ended_run_s, ended_s) in list(self.made.items()):
            age_s, run_s = self.real_s - ended_s, self.real_s - self.off_s - ended_run_s
            # What ran is certain, and all is while the clock always was right; the ledger has
            # milliseconds.
            certain_s = age_s if self.always_synced or boot == self.clock.boots else run_s
            if path.exists():
                assert not (self.keep.age_s and certain_s > KEEP_S + 0.01)
            else:
                assert self.keep.total_bytes or age_s > KEEP_S - 0.01
                del self.made[path]
        if self.keep.total_bytes:
            assert sum(path.stat().st_size for path in self.made) <= KEEP_BYTES


# In memory where that can be had: each recording waits for the disk twice.
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it


@given(ACTIONS, KEEPS)
def test_none_is_deleted_while_one_that_was_made_before_it_is_there(actions, keep) -> None:
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
        world = World(Path(root), keep)
        try:
            for action, number in actions:
                world.act(action, number)
                world.check()
        finally:
            world.store.close()
