"""The directory of a recorder: names, what is kept, and how much room is left."""

import errno
import fcntl
import logging
import os
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import av.error

from edge_detect.core import NS_PER_S, SinkError, monotonic_ns
from edge_detect.sinks.files import cannot_write

__all__ = ["Keep", "Store", "cannot_record", "local_time", "wall_ns"]

_LOG = logging.getLogger(__name__)
# Only what looks exactly like this is counted and deleted. A name that is taken, after the
# end of summer time or a jump of the clock, gets a number, which sorts behind it.
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FILE = re.compile(r"(\d\d-\d\d-\d\d)(?:_(\d{1,4}))?\.(?:mp4|jpg|json)(?:\.part)?", re.ASCII)
# Somebody may have deleted recordings by hand: older knowledge is not acted upon.
_RESCAN_NS = 30 * NS_PER_S
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True, frozen=True)
class Keep:
    """How much is kept; None for no limit. Without any limit nothing is ever deleted.

    Attributes:
        total_bytes: Of all recordings together.
        age_s: Since the end of a recording.
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

    order: tuple[str, str, int]
    paths: list[Path]
    size: int
    ended_s: float


class Store:
    """Creates the files of a recorder, and deletes its oldest ones to make room.

    Not for two threads at once.

    Args:
        root: The directory.
        keep: What stays.
    """

    def __init__(self, root: Path, keep: Keep) -> None:
        self.root = root
        self._keep = keep
        self._recordings: deque[_Recording] = deque()
        self._total_bytes = 0
        self._scanned_ns = 0
        self._writing = ("", "", 0)
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
        day, second = local_time(captured_ns).strftime("%Y-%m-%d %H-%M-%S").split()
        folder = self.root / day
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            path = folder / (f"{second}_{number}.mp4" if number > 1 else f"{second}.mp4")
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                continue
            self._writing = (day, second, number if number > 1 else 0)
            _sync_directory(folder)
            return path, file
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def finished(self, paths: list[Path]) -> None:
        """Count a recording that is complete; from now on it may be deleted.

        Args:
            paths: Of all of its files.
        """
        order, self._writing = self._writing, ("", "", 0)
        recording = _Recording(order, [], 0, time.time())
        for path in paths:
            size = _size(path)
            if size is not None:
                recording.paths.append(path)
                recording.size += size
        if recording.paths:
            self._recordings.append(recording)
            self._total_bytes += recording.size

    def tend(self, writing_bytes: int) -> None:
        """Delete what need not be kept, and see that there is room.

        Args:
            writing_bytes: Size of the recording that is being written.

        Raises:
            SinkError: Less is free than is to stay free, and deleting would not help.
        """
        keep = self._keep
        if keep.age_s is not None:
            oldest_s = time.time() - keep.age_s
            self._delete_while(lambda oldest: oldest.ended_s < oldest_s)
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

    def _delete_while(self, due: Callable[[_Recording], bool]) -> None:
        if self._recordings and due(self._recordings[0]):
            if monotonic_ns() - self._scanned_ns > _RESCAN_NS:
                self._scan()
            while self._recordings and due(self._recordings[0]):
                self._delete(self._recordings.popleft())

    def _delete(self, recording: _Recording) -> None:
        self._total_bytes -= recording.size
        for path in recording.paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                if not self._stuck:
                    _LOG.warning("cannot delete old recordings: %s: %s", path, error.strerror)
                self._stuck.add(str(path))
        day = recording.order[0]
        if day != self._writing[0]:
            _remove_if_empty(self.root / day)

    def _scan(self) -> None:
        found: dict[tuple[str, str, int], _Recording] = {}
        for day in _entries(self.root):
            if _DAY.fullmatch(day.name) and day.is_dir(follow_symlinks=False):
                for entry in _entries(Path(day.path)):
                    self._count(day.name, entry, found)
        found.pop(self._writing, None)
        self._recordings = deque(sorted(found.values(), key=lambda each: each.order))
        self._total_bytes = sum(each.size for each in self._recordings)
        self._scanned_ns = monotonic_ns()

    def _count(
        self,
        day: str,
        entry: os.DirEntry[str],
        found: dict[tuple[str, str, int], _Recording],
    ) -> None:
        match = _FILE.fullmatch(entry.name)
        if match is None or entry.path in self._stuck:
            return
        if not entry.is_file(follow_symlinks=False):
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        order = (day, match[1], int(match[2] or 0))
        recording = found.setdefault(order, _Recording(order, [], 0, 0.0))
        recording.paths.append(Path(entry.path))
        recording.size += status.st_size
        recording.ended_s = max(recording.ended_s, status.st_mtime)

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
    if error.errno in _FULL:
        return SinkError(
            f"recording to {root} pauses: {reason}",
            "free some space, or keep less with ?keep=10GB",
            transient=True,
        )
    refused = cannot_write(str(root), OSError(error.errno, reason))
    return SinkError(refused.message, refused.hint, transient=True)


def wall_ns(captured_ns: int) -> int:
    """Unix time of a CLOCK_MONOTONIC moment, as the system's clock stands now."""
    return time.time_ns() - monotonic_ns() + captured_ns


def local_time(captured_ns: int) -> datetime:
    """Local time of a CLOCK_MONOTONIC moment, with its offset from UTC."""
    return datetime.fromtimestamp(wall_ns(captured_ns) / NS_PER_S).astimezone()


def _check_writable(folder: Path) -> None:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, PermissionError):
        # Deleted meanwhile, or somebody else's.
        return []


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            _LOG.warning("cannot delete the directory %s: %s", folder, error.strerror)


def _sync_directory(folder: Path) -> None:
    """Have the names in a directory survive a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    except OSError as error:
        # Some file systems cannot do that; they have the names safe, or do not care.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(file)
