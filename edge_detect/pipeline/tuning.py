"""Settings of the process that a pipeline needs while it runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

__all__ = ["tuned_process"]

# A thread that comes back from `invoke()` waits at most so long for one that computes in
# Python: with the default of 5 ms a busy loop elsewhere turned 8.2 ms into 13.3 ms.
_SWITCH_INTERVAL_S = 0.0005


@contextmanager
def tuned_process() -> Iterator[None]:
    """Have stages share the cores as threads of their own, and put everything back after.

    OpenCV splits even a small resize over all cores; the pieces then wait behind the
    interpreter. Each stage is one thread, so one thread per call is right (measured: colour
    conversion of 416x416 pixels 0.47 ms with OpenCV's own threads, 0.16 ms without).
    """
    threads, interval_s = cv2.getNumThreads(), sys.getswitchinterval()
    cv2.setNumThreads(1)
    sys.setswitchinterval(min(interval_s, _SWITCH_INTERVAL_S))
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        sys.setswitchinterval(interval_s)
