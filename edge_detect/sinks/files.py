"""What all sinks that write files have in common."""

import errno
from pathlib import Path

from edge_detect.core import SinkError

__all__ = ["cannot_write", "make_parent"]

_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EACCES: "choose a directory that this user may write to",
    errno.EPERM: "choose a directory that this user may write to",
    errno.EROFS: "choose a directory that this user may write to",
    errno.EISDIR: "name a file, not a directory",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.EPIPE: "whatever read the output has stopped reading",
}


def cannot_write(name: str, error: OSError) -> SinkError:
    """The error for an output that the system refuses.

    Args:
        name: Of the output.
        error: What the system said.
    """
    reason = error.strerror or str(error)
    return SinkError(f"cannot write {name}: {reason}", _HINTS.get(error.errno or 0, ""))


def make_parent(path: Path) -> None:
    """Create the directory that a file is to lie in, where it is missing.

    Raises:
        SinkError: It cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        not_a_directory = OSError(errno.ENOTDIR, "Not a directory")
        raise cannot_write(str(path), not_a_directory) from error
    except OSError as error:
        raise cannot_write(str(path), error) from error
