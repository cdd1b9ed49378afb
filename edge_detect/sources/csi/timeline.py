"""When the frames of a CSI camera were taken, and how many were lost between them."""

import time
from collections.abc import Callable

from edge_detect.core import NS_PER_S, monotonic_ns

__all__ = ["TimeLine", "sensor_time"]

# An older stamp is no age but another clock.
_MAX_AGE_NS = 10 * NS_PER_S
_NS_PER_US = 1_000


def sensor_time(stamp_ns: int | None, now_ns: int, asleep_ns: int) -> int:
    """The moment of exposure on CLOCK_MONOTONIC.

    libcamera defines its SensorTimestamp by CLOCK_BOOTTIME, but hands on what the kernel's
    drivers say, and these use CLOCK_MONOTONIC. The two differ by the time that the machine
    was suspended: nothing on most boards, and where it is something, the wrong clock gives
    a time in the future or long past. A stamp of 0 is none, also on a machine that has just
    started.

    Args:
        stamp_ns: What libcamera says; None if it says nothing.
        now_ns: CLOCK_MONOTONIC now.
        asleep_ns: CLOCK_BOOTTIME minus CLOCK_MONOTONIC.

    Returns:
        The stamp on CLOCK_MONOTONIC, or `now_ns` if it fits neither clock.
    """
    if stamp_ns is not None:
        for moment_ns in (stamp_ns, stamp_ns - asleep_ns):
            if max(0, now_ns - _MAX_AGE_NS) < moment_ns <= now_ns:
                return moment_ns
    return now_ns


def _boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class TimeLine:
    """Times and numbers of one camera's frames.

    libcamera's own numbers count requests, not exposures: they show no gap when all buffers
    were busy. The times do.

    Args:
        monotonic: CLOCK_MONOTONIC, in nanoseconds.
        boottime: CLOCK_BOOTTIME, in nanoseconds.
    """

    def __init__(
        self,
        monotonic: Callable[[], int] = monotonic_ns,
        boottime: Callable[[], int] = _boottime_ns,
    ) -> None:
        self._monotonic, self._boottime = monotonic, boottime
        self._first_ns = 0
        self._last_ns = 0
        self._sequence = -1

    def place(self, stamp_ns: int | None, duration_us: int | None) -> tuple[int, int, int]:
        """Find the place of the next frame.

        Args:
            stamp_ns: SensorTimestamp of the frame's metadata.
            duration_us: Time since the camera's previous frame (FrameDuration); None if the
                camera does not tell, and then no loss is seen.

        Returns:
            CLOCK_MONOTONIC time, later than that of the frame before; number from 0, with
            gaps for lost frames; position since the first frame in nanoseconds.
        """
        now_ns = self._monotonic()
        asleep_ns = self._boottime() - now_ns
        captured_ns = sensor_time(stamp_ns, now_ns, asleep_ns)
        if self._sequence < 0:
            self._first_ns, self._sequence = captured_ns, 0
        else:
            captured_ns = max(captured_ns, self._last_ns + 1)
            step_ns = captured_ns - self._last_ns
            steps = round(step_ns / (duration_us * _NS_PER_US)) if duration_us else 1
            self._sequence += max(1, steps)
        self._last_ns = captured_ns
        return captured_ns, self._sequence, captured_ns - self._first_ns
