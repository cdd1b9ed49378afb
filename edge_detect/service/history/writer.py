"""Writes the files of a history, one a day, and keeps all of them within bounds."""

import errno
import fcntl
import gzip
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edge_detect.service.history.files import HistoryFile, list_files
from edge_detect.service.history.record import Moment, Row, header

__all__ = ["HistoryWriter"]

_LOG = logging.getLogger(__name__)
_DAY_S = 86_400
# A clock that starts in the past is set long before; one that is then still behind the newest
# file is right, and the file's day is not.
_SETTLED_S = 3600
_LARGEST_FILE = 32_000_000
_BLOCK = 1 << 18
_TAIL = 1 << 16


class HistoryWriter:
    """Appends lines; not for two threads at once.

    Every batch goes out by its own write call and is undone if it did not fit, so that only
    a power cut leaves half a line, which the next `open` cuts off. Nothing is forced to the
    disk line by line: that wears SD cards, and the kernel writes within half a minute anyway.

    Args:
        directory: Of the files; it is created.
        keep_days: So many days that have a file stay. Days are not compared with today: a
            clock that is wrong for an hour must neither delete everything nor keep it for good.
        keep_bytes: All files together are not larger than this.
    """

    def __init__(self, directory: Path, keep_days: int, keep_bytes: int) -> None:
        self.directory = directory
        self._keep_days = keep_days
        self._keep_bytes = keep_bytes
        # Whatever is kept is made of several files: only whole ones are deleted.
        self._largest = min(_LARGEST_FILE, keep_bytes // 8)
        self._lock = -1
        self._output = -1
        self._file: HistoryFile | None = None
        self._size = 0
        self._began_up_s = 0.0
        self._behind_since_up_s: float | None = None
        self._untidy = True

    @property
    def is_open(self) -> bool:
        """Whether this process may write there."""
        return self._lock >= 0

    def open(self) -> None:
        """Create the directory, keep other processes out, and clear up after a power cut.

        Raises:
            BlockingIOError: Another process writes there.
            OSError: The system refuses.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _take_lock(lock)
            self._clear_up()
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def close(self) -> None:
        """Let another process write."""
        self._leave_file()
        self._file = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def write(self, rows: Sequence[Row]) -> None:
        """Append lines, all or none.

        Raises:
            OSError: The disk is full or fails; nothing was written.
        """
        moment = rows[-1].moment
        data = "".join(row.as_line() for row in rows).encode()
        if self._output < 0 or self._is_done(moment, len(data)):
            self._leave_file()
            self._begin_file(moment)
        self._append(data)

    def tidy(self, give_up: Callable[[], bool]) -> None:
        """Compress what is complete, and delete the oldest files beyond the bounds.

        Does nothing but at the start and whenever a file was finished.

        Args:
            give_up: Asked now and then whether to leave the rest for the next time.

        Raises:
            OSError: The disk is full or fails.
        """
        if not self._untidy:
            return
        # Deleting comes first: on a full disk it makes the room to compress in.
        self._delete_oldest(self._keep_bytes)
        current = self._file.path if self._file is not None else None
        for file in list_files(self.directory)[:-1]:
            if not file.packed and file.path != current and not _pack(file, give_up):
                return
        # The newest file grows until the next time.
        room = max(0, self._largest - self._size) if self._output >= 0 else 0
        self._delete_oldest(self._keep_bytes - room)
        self._untidy = False

    def _append(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._output, rest) :]
        except OSError:
            os.ftruncate(self._output, self._size)
            raise
        self._size += len(data)

    def _is_done(self, moment: Moment, more_bytes: int) -> bool:
        assert self._file is not None
        # The clock may be wrong and stand on one day for ever: a file never lasts longer.
        lasted_s = moment.up_s - self._began_up_s
        deleted = os.fstat(self._output).st_nlink == 0
        too_long = lasted_s > _DAY_S or self._size + more_bytes > self._largest
        other_day = _day(moment) > self._file.day or self._was_set_back(moment, self._file)
        return deleted or too_long or other_day

    def _was_set_back(self, moment: Moment, newest: HistoryFile) -> bool:
        """Whether the clock has been on an earlier day than the newest file's for long."""
        if _day(moment) >= newest.day:
            self._behind_since_up_s = None
        elif self._behind_since_up_s is None:
            self._behind_since_up_s = moment.up_s
        since_up_s = self._behind_since_up_s
        return since_up_s is not None and moment.up_s - since_up_s > _SETTLED_S

    def _begin_file(self, moment: Moment) -> None:
        """Go on with the newest file where that fits, else begin one behind it."""
        files = list_files(self.directory)
        newest = files[-1] if files else None
        day = _day(moment)
        if newest is None:
            file = HistoryFile.named(self.directory, 0, day, 1)
        elif self._was_set_back(moment, newest):
            file = HistoryFile.named(self.directory, newest.setbacks + 1, day, 1)
        elif newest.day < day:
            file = HistoryFile.named(self.directory, newest.setbacks, day, 1)
        elif not newest.packed and self._fits(newest):
            file = newest
        else:
            setbacks, number = newest.setbacks, newest.number + 1
            file = HistoryFile.named(self.directory, setbacks, newest.day, number)
        self._enter_file(file, moment)

    def _fits(self, file: HistoryFile) -> bool:
        was_left = file == self._file or file.path.stat().st_size >= self._largest
        return not was_left and _has_our_columns(file.path)

    def _enter_file(self, file: HistoryFile, moment: Moment) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._output = os.open(file.path, flags, 0o644)
        self._size = os.fstat(self._output).st_size
        self._file, self._began_up_s, self._untidy = file, moment.up_s, True
        if self._size == 0:
            try:
                self._append(header().encode())
            except OSError:
                # Not left, but never begun: it is entered again when there is room.
                self._leave_file()
                self._file = None
                raise

    def _leave_file(self) -> None:
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def _clear_up(self) -> None:
        for path in self.directory.glob("*.csv.gz.part"):
            path.unlink(missing_ok=True)
        files = list_files(self.directory)
        for file in files:
            if file.packed:
                # The power went between the renaming and the deletion.
                file.path.with_suffix("").unlink(missing_ok=True)
        if files and not files[-1].packed:
            _cut_half_line(files[-1].path)

    def _delete_oldest(self, keep_bytes: int) -> None:
        files = list_files(self.directory)
        sizes = {file: file.path.stat().st_size for file in files}
        total = sum(sizes.values())
        days = sorted({(file.setbacks, file.day) for file in files})
        kept_from = days[-self._keep_days] if len(days) > self._keep_days else (0, "")
        for file in files[:-1]:
            if (file.setbacks, file.day) >= kept_from and total <= keep_bytes:
                break
            file.path.unlink(missing_ok=True)
            total -= sizes[file]


def _take_lock(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        # Some network file systems lock no directories.
        _LOG.info("the directory of the history cannot be locked: %s", error.strerror)


def _day(moment: Moment) -> str:
    return datetime.fromtimestamp(moment.unix_s, UTC).strftime("%Y-%m-%d")


def _has_our_columns(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(_TAIL)
    return first in (header().encode(), b"")


def _cut_half_line(path: Path) -> None:
    """Remove what a power cut has left at the end: half a line, or zeros."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        while size > 0:
            begin = max(0, size - _TAIL)
            file.seek(begin)
            place = file.read(size - begin).rfind(b"\n")
            if place >= 0:
                size = begin + place + 1
                break
            size = begin
        file.truncate(size)


def _pack(file: HistoryFile, give_up: Callable[[], bool]) -> bool:
    """Compress a complete file; False if it was left for later."""
    part = file.packed_path.with_name(file.packed_path.name + ".part")
    try:
        with file.path.open("rb") as source, part.open("wb") as raw:
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                while block := source.read(_BLOCK):
                    if give_up():
                        part.unlink(missing_ok=True)
                        return False
                    packed.write(block)
            raw.flush()
            os.fsync(raw.fileno())
        shutil.copystat(file.path, part)
        part.rename(file.packed_path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno == errno.ENOENT:
            return True
        raise
    file.path.unlink(missing_ok=True)
    return True
