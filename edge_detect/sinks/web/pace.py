"""Leaving out what comes too often."""

from edge_detect.core import NS_PER_S

__all__ = ["Pace"]

# Of an interval: cameras do not keep time to the millisecond.
_SLACK = 0.1


class Pace:
    """Tells when the next of something is due, so that the mean rate is kept.

    Args:
        fps: Most a second; None for all.
    """

    def __init__(self, fps: float | None) -> None:
        self._interval_ns = round(NS_PER_S / fps) if fps else 0
        # None until the first one: a clock may begin at 0, and an interval last longer than it ran.
        self._next_ns: int | None = None

    def due(self, now_ns: int) -> bool:
        """Whether one may be taken now."""
        return self._next_ns is None or now_ns >= self._next_ns - _SLACK * self._interval_ns

    def take(self, now_ns: int) -> None:
        """One is taken now; after a longer break the rhythm begins anew."""
        due_ns = self._next_ns
        if due_ns is None or now_ns - due_ns >= self._interval_ns:
            due_ns = now_ns
        self._next_ns = due_ns + self._interval_ns
