"""The directory of a recorder: that it can be written, is used by one alone, and stays the same."""

import errno
import fcntl
import os
from pathlib import Path

from edge_detect.core import SinkError
from edge_detect.sinks.files import cannot_write

__all__ = ["Root"]


class Root:
    """Holds a directory for one recorder.

    Args:
        path: Of the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Why the system cannot keep other recorders away; empty if it does.
        self.unlocked = ""
        self._file = -1

    def open(self) -> None:
        """Create the directory where it is missing, and take it.

        Raises:
            SinkError: It cannot be created or written, or another recorder uses it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _check_writable(self.path)
            self._file = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileExistsError as error:
            not_a_directory = OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            raise cannot_write(str(self.path), not_a_directory) from error
        except OSError as error:
            raise cannot_write(str(self.path), error) from error
        try:
            self._lock()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another recorder use it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def is_same(self) -> bool:
        """Whether it is open, and no other lies at its path by now, like a disk just mounted."""
        try:
            return self._file >= 0 and os.path.samestat(os.fstat(self._file), self.path.stat())
        except OSError:
            return False

    def check(self) -> None:
        """See that it still is the same.

        Raises:
            SinkError: Something else took its place; it must be opened again.
        """
        if not self.is_same:
            raise SinkError(
                f"{self.path} is no longer the directory that it was",
                "a disk was mounted there, or removed: recording goes on in what is there now",
                transient=True,
            )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SinkError(
                f"cannot record to {self.path}: another recorder is writing there",
                "give each recorder a directory of its own",
                transient=True,
            ) from error
        except OSError as error:
            # Some network file systems lock no directories.
            self.unlocked = error.strerror or str(error)


def _check_writable(folder: Path) -> None:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
