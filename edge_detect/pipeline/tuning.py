"""Settings of the process that a pipeline needs while it runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import cv2

__all__ = ["tuned_process"]

# A thread that comes back from `invoke()` waits at most so long for one that computes in
# Python: with the default of 5 ms a busy loop elsewhere turned 8.2 ms into 13.3 ms.
_SWITCH_INTERVAL_S = 0.0005


_lock = Lock()
_users = 0
_before = (0, 0.0)


@contextmanager
def tuned_process() -> Iterator[None]:
    """Have stages share the cores as threads of their own; the last user puts everything back.

    OpenCV splits even a small resize over all cores; the pieces then wait behind the
    interpreter. Each stage is one thread, so one thread per call is right (measured: colour
    conversion of 416x416 pixels 0.47 ms with OpenCV's own threads, 0.16 ms without).
    """
    global _users, _before  # noqa: PLW0603 - settings of the process are global
    with _lock:
        _users += 1
        if _users == 1:
            _before = (cv2.getNumThreads(), sys.getswitchinterval())
            cv2.setNumThreads(1)
            sys.setswitchinterval(min(_before[1], _SWITCH_INTERVAL_S))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                cv2.setNumThreads(_before[0])
                sys.setswitchinterval(_before[1])
