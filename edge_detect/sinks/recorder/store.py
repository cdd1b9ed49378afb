"""The directory of a recorder: names, what is kept, and how much room is left."""

import errno
import fcntl
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
from edge_detect.sinks.recorder.ledger import Entry, Ledger

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
        self._lock = -1
        # What cannot be deleted is somebody else's: it is counted no more.
        self._stuck: set[str] = set()

    def open(self) -> None:
        """Create the directory, count what is there, and make room.

        Raises:
            SinkError: It cannot be created or written, another recorder uses it, or the
                disk is full.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            _check_writable(self.root)
            self._lock = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except FileExistsError as error:
            not_a_directory = OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            raise cannot_write(str(self.root), not_a_directory) from error
        except OSError as error:
            raise cannot_write(str(self.root), error) from error
        try:
            self._take_lock()
            self._ledger.open()
            self._scan()
            self.tend(0)
        except OSError as error:
            self.close()
            raise cannot_record(self.root, error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another recorder use the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def create(self, captured_ns: int) -> tuple[Path, int]:
        """Create the file for a recording that begins with a picture.

        Args:
            captured_ns: CLOCK_MONOTONIC time of the picture.

        Returns:
            Its path, and a file descriptor to write and read it.

        Raises:
            OSError: The system refuses.
        """
        if len(self._recordings) > 2 * self._scanned + _MANY:
            self._scan()
        day, second = self.clock.local_time(captured_ns).strftime("%Y-%m-%d %H-%M-%S").split()
        folder = self.root / day
        folder.mkdir(parents=True, exist_ok=True)
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
            OSError: The system refuses to write to the ledger; it is counted all the same.
        """
        stem, self._writing = self._writing, ""
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
            SinkError: Less is free than is to stay free, and deleting would not help.
        """
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
                if not self._stuck:
                    _LOG.warning("cannot delete old recordings: %s: %s", path, error.strerror)
                self._stuck.add(str(path))
        stem = recording.entry.stem
        if not stuck:
            self._ledger.forget(stem)
        day = stem.partition("/")[0]
        if day != self._writing.partition("/")[0]:
            remove_if_empty(self.root / day)

    def _scan(self) -> None:
        """Find what there is of the recordings in the ledger, and count others."""
        files: dict[str, list[os.DirEntry[str]]] = {}
        for day in entries(self.root):
            if _DAY.fullmatch(day.name) and day.is_dir(follow_symlinks=False):
                for file in entries(Path(day.path)):
                    match = _FILE.fullmatch(file.name)
                    if match is not None and file.is_file(follow_symlinks=False):
                        files.setdefault(f"{day.name}/{match[1]}", []).append(file)
        self._recordings.clear()
        for entry in list(self._ledger):
            found = files.pop(entry.stem, None)
            if entry.stem == self._writing:
                continue
            if found is None:
                self._ledger.forget(entry.stem)
            elif (recording := self._measure(entry, found)).paths:
                self._recordings.append(recording)
        self.foreign = len(files)
        self._total_bytes = sum(each.size for each in self._recordings)
        self._scanned = len(self._recordings)
        self._scanned_ns = self.clock.monotonic_ns()

    def _measure(self, entry: Entry, files: list[os.DirEntry[str]]) -> _Recording:
        recording = _Recording(entry)
        for file in files:
            if file.path not in self._stuck:
                with suppress(FileNotFoundError):
                    recording.size += file.stat(follow_symlinks=False).st_size
                    recording.paths.append(Path(file.path))
        return recording

    def _is_taken(self, stem: str) -> bool:
        """Whether there is a recording of that name, or somebody else's file."""
        paths = (self.root / f"{stem}.{ending}" for ending in _ENDINGS)
        return stem in self._ledger or any(map(os.path.lexists, paths))

    def _note(self, write: Callable[[], None]) -> None:
        """Write to the ledger; on a full disk, old recordings make room for it."""
        try:
            write()
        except OSError as error:
            if error.errno not in FULL or not self.make_room(least_bytes=1):
                raise
            write()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SinkError(
                f"cannot record to {self.root}: another recorder is writing there",
                "give each recorder a directory of its own",
                transient=True,
            ) from error
        except OSError as error:
            # Some network file systems lock no directories.
            _LOG.info("%s cannot be locked: %s", self.root, error.strerror)

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


def _check_writable(folder: Path) -> None:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
