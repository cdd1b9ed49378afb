"""Keeping a C++ library's announcements off the user's terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

__all__ = ["without_announcements"]

_STDERR = 2
_one_at_a_time = Lock()


@contextmanager
def without_announcements(prefix: bytes) -> Iterator[None]:
    """Drop the lines on standard error that begin with `prefix`; all others come out at the end.

    The runtime writes to the file descriptor itself and offers Python no way to say less, so
    the descriptor is led into memory for the moment that a model takes to load.

    Args:
        prefix: How the unwanted lines begin.
    """
    with _one_at_a_time:
        sys.stderr.flush()
        kept = os.dup(_STDERR)
        memory = os.memfd_create("announcements")
        os.dup2(memory, _STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, _STDERR)
            with open(memory, "rb") as caught:  # noqa: PTH123 - a descriptor has no path
                caught.seek(0)
                lines = [line for line in caught if not line.startswith(prefix)]
            os.write(kept, b"".join(lines))
            os.close(kept)
