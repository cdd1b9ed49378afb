"""Small operations on files that survive a power cut, or files deleted meanwhile."""

import errno
import logging
import os
from pathlib import Path

__all__ = [
    "FULL",
    "entries",
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
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(file, content)
        os.fsync(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    partial.replace(path)


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
    """What is in a directory; nothing if it was deleted meanwhile, or is somebody else's."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, PermissionError):
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
