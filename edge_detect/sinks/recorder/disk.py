"""Small operations on files that survive a power cut, or files deleted meanwhile."""

import errno
import logging
import os
import stat
from pathlib import Path

__all__ = [
    "FULL",
    "entries",
    "open_regular",
    "read_regular",
    "remove_if_empty",
    "replace_file",
    "size_of",
    "sync_directory",
    "write_all",
]

_LOG = logging.getLogger(__name__)
# What the system says when there is no room.
FULL = (errno.ENOSPC, errno.EDQUOT)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that there is the old or the new content at any moment.

    Raises:
        OSError: The disk is full or the like; the old content is still there.
    """
    partial = path.with_name(path.name + ".part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        file = os.open(partial, flags, 0o644)
    except FileExistsError:
        # Left by a power cut; whatever else it is, it is somebody else's.
        if not stat.S_ISREG(partial.lstat().st_mode):
            raise
        partial.unlink()
        file = os.open(partial, flags, 0o644)
    try:
        write_all(file, content)
        os.fsync(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    partial.replace(path)


def open_regular(path: Path, flags: int) -> int:
    """Open a file that is there: no link, and nothing that would block its opening.

    Raises:
        OSError: The system refuses, or it is not a regular file.
    """
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):
        os.close(file)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def read_regular(path: Path) -> bytes | None:
    """The content of a file; None if there is none.

    Raises:
        OSError: As for `open_regular`.
    """
    try:
        file = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(file, "rb") as stream:
        return stream.read()


def write_all(file: int, content: bytes) -> None:
    """Write everything, in as many calls as it takes.

    Raises:
        OSError: The disk is full or the like; a part may be written.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_directory(folder: Path) -> None:
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


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a directory; nothing if it was deleted meanwhile.

    Raises:
        OSError: That cannot be told, as where it may not be read.
    """
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def size_of(path: Path) -> int | None:
    """Bytes of a file; None if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def remove_if_empty(folder: Path) -> None:
    """Delete a directory unless there is something in it."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            _LOG.warning("cannot delete the directory %s: %s", folder, error.strerror)
