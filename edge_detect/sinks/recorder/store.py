"""The directory of a recorder: names, what is kept, and how much room is left."""

import errno
import logging
import os
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import av.error

from edge_detect.core import NS_PER_S, SinkError
from edge_detect.core.clock import Clock
from edge_detect.sinks.files import cannot_write
from edge_detect.sinks.recorder.disk import (
    FULL,
    entries,
    remove_if_empty,
    size_of,
    sync_directory,
)
from edge_detect.sinks.recorder.ledger import LEDGER_NAME, Entry, Ledger
from edge_detect.sinks.recorder.root import Root

__all__ = ["Keep", "Store", "cannot_record"]

_LOG = logging.getLogger(__name__)
# Only what looks exactly like this and is in the ledger is counted and deleted. A name that is
# taken, after the end of summer time or a jump of the clock, gets a number.
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FILE = re.compile(r"(\d\d-\d\d-\d\d(?:_\d{1,4})?)\.(?:mp4|jpg|json)(?:\.part)?", re.ASCII)
_ENDINGS = ("mp4", "jpg", "json", "mp4.part", "jpg.part", "json.part")
# Somebody may have deleted recordings by hand: older knowledge is not acted upon.
_RESCAN_S = 30.0
# Without limits nothing else has it look whether recordings were deleted by hand.
_MANY = 1000
# How exactly it is known, after a power cut, how long that boot had lasted.
_CLOCK_S = 3600


@dataclass(slots=True, frozen=True)
class Keep:
    """How much is kept; None for no limit. Without any limit nothing is ever deleted.

    Attributes:
        total_bytes: Of all recordings together.
        age_s: Since the end of a recording; since its beginning if it was cut short.
        reserve_bytes: Stay free on the disk.
    """

    total_bytes: int | None
    age_s: float | None
    reserve_bytes: int

    @property
    def limited(self) -> bool:
        """Whether old recordings may go."""
        return self.total_bytes is not None or self.age_s is not None


@dataclass(slots=True)
class _Recording:
    """A video and what lies beside it: all files with the same stem."""

    entry: Entry
    paths: list[Path] = field(default_factory=list)
    size: int = 0


class Store:
    """Creates the files of a recorder, and deletes its oldest ones to make room.

    What is its own, and what is oldest, is in its ledger; neither names nor the time of day
    tell. Not for two threads at once.

    Args:
        root: The directory.
        keep: What stays.
        clock: The computer's.
        rescan_s: Before it deletes anything, it looks what is there if the last look was
            longer ago, in seconds.
    """

    def __init__(
        self, root: Path, keep: Keep, clock: Clock | None = None, rescan_s: float = _RESCAN_S
    ) -> None:
        self.root = root
        self._folder = Root(root)
        self.clock = clock or Clock()
        # How many recordings look like its own, but are not in the ledger.
        self.foreign = 0
        self._keep = keep
        self._ledger = Ledger(root, self.clock)
        self._recordings: deque[_Recording] = deque()
        self._total_bytes = 0
        self._rescan_ns = round(rescan_s * NS_PER_S)
        self._scanned_ns = self.clock.monotonic_ns()
        self._scanned = 0
        self._writing = ""
        self._opened = False
        self._clock_ns = self.clock.monotonic_ns()
        # What is said once: that something cannot be deleted, that a directory cannot be read.
        self._told_stuck = self._told_unreadable = False

    def open(self) -> None:
        """Create the directory, count what is there, and make room.

        Raises:
            SinkError: It cannot be created or written, another recorder uses it, or the
                disk is full.
        """
        self._folder.open()
        try:
            try:
                self._ledger.open()
            except OSError as error:
                raise self._cannot_note(error) from error
            self._scan()
            self.tend(0)
        except OSError as error:
            self._folder.close()
            raise cannot_record(self.root, error) from error
        except BaseException:
            self._folder.close()
            raise
        self._opened = True

    @property
    def unlocked(self) -> str:
        """Why another recorder might use the directory as well; empty if none can."""
        return self._folder.unlocked

    def close(self) -> None:
        """Let another recorder use the directory."""
        if self._opened and self._folder.is_same:
            # Without it, recordings merely count as younger than they are.
            with suppress(OSError):
                self._ledger.note_clock()
        self._opened = False
        self._folder.close()

    def create(self, captured_ns: int) -> tuple[Path, int]:
        """Create the file for a recording that begins with a picture.

        Args:
            captured_ns: CLOCK_MONOTONIC time of the picture.

        Returns:
            Its path, and a file descriptor to write and read it.

        Raises:
            OSError: The system refuses.
            SinkError: Another directory took the place of this one, or the ledger cannot be
                written.
        """
        self._folder.check()
        if len(self._recordings) > 2 * self._scanned + _MANY:
            self._scan()
        day, second = self.clock.local_time(captured_ns).strftime("%Y-%m-%d %H-%M-%S").split()
        folder = self.root / day
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():
            raise SinkError(
                f"cannot record to {folder}: it is a link",
                "a recorder deletes nothing behind links: link its whole directory, or mount a "
                "disk there",
                transient=True,
            )
        for number in range(1, 10_000):
            stem = f"{day}/{second}_{number}" if number > 1 else f"{day}/{second}"
            if not self._is_taken(stem):
                return self._create(stem)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def finished(self, paths: list[Path]) -> None:
        """Count a recording that is complete; from now on it may be deleted.

        Args:
            paths: Of all of its files.

        Raises:
            OSError: The disk is full; it is counted all the same.
            SinkError: The ledger cannot be written; it is counted all the same.
        """
        stem, self._writing = self._writing, ""
        if not self._folder.is_same:
            # What lies there by these names is another's.
            return
        found = [(path, size) for path in paths if (size := size_of(path)) is not None]
        if not found:
            self._ledger.forget(stem)
            return
        size = sum(each for _, each in found)
        self._recordings.append(_Recording(self._ledger[stem], [path for path, _ in found], size))
        self._total_bytes += size
        self._note(lambda: self._ledger.end(stem))

    def tend(self, writing_bytes: int) -> None:
        """Delete what need not be kept, and see that there is room.

        Args:
            writing_bytes: Size of the recording that is being written.

        Raises:
            SinkError: Less is free than is to stay free, and deleting would not help; or
                another directory took the place of this one.
        """
        self._folder.check()
        if self.clock.monotonic_ns() - self._clock_ns > _CLOCK_S * NS_PER_S:
            self._clock_ns = self.clock.monotonic_ns()
            self._note(self._ledger.note_clock)
        keep = self._keep
        if keep.age_s is not None:
            most_s, now = keep.age_s, self.clock.moment()
            self._delete_while(lambda oldest: self._ledger.age_s(oldest.entry, now) > most_s)
        if keep.total_bytes is not None:
            most = keep.total_bytes - writing_bytes
            self._delete_while(lambda _: self._total_bytes > most)
        if self._short_bytes() > 0:
            self.make_room()
            if (short := self._short_bytes()) > 0:
                raise self._too_full(short)

    def make_room(self, least_bytes: int = 0) -> bool:
        """Delete the oldest recordings until enough is free again.

        None is deleted when all together would not be enough, or without any limit on what
        is kept.

        Args:
            least_bytes: Freed in any case.

        Returns:
            Whether anything was deleted.
        """
        wanted = max(self._short_bytes(), least_bytes)
        before = self._total_bytes
        if wanted <= 0 or not self._keep.limited or before < wanted:
            return False
        self._delete_while(lambda _: self._total_bytes > before - wanted)
        return self._total_bytes < before

    def _create(self, stem: str) -> tuple[Path, int]:
        path = self.root / f"{stem}.mp4"
        # First the ledger: a file that is not in it would stay for good after a power cut.
        self._note(lambda: self._ledger.begin(stem))
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError:
            self._ledger.forget(stem)
            raise
        self._writing = stem
        try:
            sync_directory(path.parent)
        except OSError:
            os.close(file)
            raise
        return path, file

    def _delete_while(self, due: Callable[[_Recording], bool]) -> None:
        if self._recordings and due(self._recordings[0]):
            if self.clock.monotonic_ns() - self._scanned_ns > self._rescan_ns:
                self._scan()
            while self._recordings and due(self._recordings[0]):
                self._delete(self._recordings.popleft())

    def _delete(self, recording: _Recording) -> None:
        self._total_bytes -= recording.size
        stuck = False
        for path in recording.paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                stuck = True
                if not self._told_stuck:
                    _LOG.warning("cannot delete old recordings: %s: %s", path, error.strerror)
                self._told_stuck = True
        stem = recording.entry.stem
        # What is stuck is counted no more until the next look, and then tried again.
        if not stuck:
            self._ledger.forget(stem)
        day = stem.partition("/")[0]
        if day != self._writing.partition("/")[0]:
            remove_if_empty(self.root / day)

    def _scan(self) -> None:
        """Find what there is of the recordings in the ledger, and count others."""
        files: dict[str, dict[Path, int]] = {}
        unreadable = set()
        for day in entries(self.root):
            if _DAY.fullmatch(day.name) and day.is_dir(follow_symlinks=False):
                try:
                    found = _files(day)
                except OSError as error:
                    unreadable.add(day.name)
                    self._tell_unreadable(day, error)
                else:
                    files.update(found)
        self._recordings.clear()
        for entry in list(self._ledger):
            sizes = files.pop(entry.stem, None)
            if entry.stem == self._writing:
                continue
            if sizes:
                recording = _Recording(entry, list(sizes), sum(sizes.values()))
                self._recordings.append(recording)
            elif entry.stem.partition("/")[0] not in unreadable:
                self._ledger.forget(entry.stem)
        self.foreign = len(files)
        self._total_bytes = sum(each.size for each in self._recordings)
        self._scanned = len(self._recordings)
        self._scanned_ns = self.clock.monotonic_ns()

    def _tell_unreadable(self, day: os.DirEntry[str], error: OSError) -> None:
        if not self._told_unreadable:
            _LOG.warning(
                "%s: %s: what is in there is neither counted nor deleted", day.path, error.strerror
            )
        self._told_unreadable = True

    def _is_taken(self, stem: str) -> bool:
        """Whether there is a recording of that name, or somebody else's file."""
        paths = (self.root / f"{stem}.{ending}" for ending in _ENDINGS)
        return stem in self._ledger or any(map(os.path.lexists, paths))

    def _note(self, write: Callable[[], None]) -> None:
        """Write to the ledger; on a full disk, old recordings make room for it."""
        try:
            write()
        except OSError as error:
            if error.errno not in FULL:
                raise self._cannot_note(error) from error
            if not self.make_room(least_bytes=1):
                raise
            write()

    def _cannot_note(self, error: OSError) -> SinkError:
        path = error.filename or self._ledger.path
        return SinkError(
            f"cannot write {path}: {error.strerror}",
            f"the recorder lists its recordings in {LEDGER_NAME}: make that a file that this user "
            "may read and write, or delete it; the recordings that it lists then stay for good",
            transient=True,
        )

    def _short_bytes(self) -> int:
        """How much less is free than is to stay free; never negative."""
        status = os.statvfs(self.root)
        return max(0, self._keep.reserve_bytes - status.f_bavail * status.f_frsize)

    def _too_full(self, short_bytes: int) -> SinkError:
        reserve = self._keep.reserve_bytes
        hint = "free some space"
        if not self._keep.limited:
            hint += ", or let the oldest recordings go with ?keep=10GB"
        return SinkError(
            f"recording to {self.root} pauses: {(reserve - short_bytes) / 1e6:.0f} MB are free "
            f"on the disk, and {reserve / 1e6:.0f} MB are to stay free",
            f"{hint}; ?reserve= changes how much stays free",
            transient=True,
        )


def cannot_record(root: Path, error: OSError | av.error.FFmpegError) -> SinkError:
    """The error for a recording that had to stop; it may go on when the cause is gone.

    Args:
        root: Directory of the recorder.
        error: What the system or FFmpeg said.
    """
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return SinkError(
            f"recording to {root} pauses: {reason}",
            "free some space, or keep less with ?keep=10GB",
            transient=True,
        )
    refused = cannot_write(str(root), OSError(error.errno, reason))
    return SinkError(refused.message, refused.hint, transient=True)


def _files(day: os.DirEntry[str]) -> dict[str, dict[Path, int]]:
    """What looks like recordings: the files of each, and their sizes.

    Raises:
        OSError: The directory cannot be read.
    """
    files: dict[str, dict[Path, int]] = {}
    for file in entries(Path(day.path)):
        match = _FILE.fullmatch(file.name)
        if match is not None and file.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):
                size = file.stat(follow_symlinks=False).st_size
                files.setdefault(f"{day.name}/{match[1]}", {})[Path(file.path)] = size
    return files
