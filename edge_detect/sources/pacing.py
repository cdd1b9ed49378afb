"""Emitting recorded frames at the rate at which they were recorded."""

import threading

from edge_detect.core import NS_PER_MS, NS_PER_S, monotonic_ns

__all__ = ["Pacer"]

# A reader that is later than this does not get the missed frames in a burst; the time line
# is moved instead.
_MAX_LAG_NS = 200 * NS_PER_MS


class Pacer:
    """Holds each frame back until its time has come.

    Due times are computed from one start, never from the previous frame, so rounding and
    late wake-ups do not add up to drift.

    Args:
        active: False lets every frame pass at once.

    Attributes:
        waiting: Whether a frame is being held back now.
    """

    def __init__(self, *, active: bool) -> None:
        self._active = active
        self._start_ns: int | None = None
        self._closed = threading.Event()
        self.waiting = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def wait(self, media_ns: int) -> bool:
        """Wait until a frame is due.

        Args:
            media_ns: Position of the frame on the source's time line.

        Returns:
            False if `close` was called, before or during the wait.
        """
        if not self._active:
            return not self.closed
        now = monotonic_ns()
        if self._start_ns is None:
            self._start_ns = now - media_ns
        due = self._start_ns + media_ns
        if now - due > _MAX_LAG_NS:
            self._start_ns += now - due
        elif due > now:
            self.waiting = True
            try:
                return not self._closed.wait((due - now) / NS_PER_S)
            finally:
                self.waiting = False
        return not self.closed

    def close(self) -> None:
        """End the wait, for good."""
        self._closed.set()
