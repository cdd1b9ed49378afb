"""The clocks of the computer: CLOCK_MONOTONIC, which times all frames, and the time of day.

A Raspberry Pi has no clock of its own. It starts in the past, and the time of day jumps by
months when the network is there; so whatever is kept beyond the process carries a `Moment`.
"""

import ctypes
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from time import monotonic_ns

__all__ = ["NS_PER_MS", "NS_PER_S", "Clock", "Moment", "is_synced", "monotonic_ns"]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
# sys/timex.h: more than a struct timex takes, and the clock's state when nothing adjusts it.
_TIMEX_BYTES, _TIME_ERROR = 512, 5
# systemd-timesyncd makes it, and deletes it when it is stopped.
_MARKER = Path("/run/systemd/timesync/synchronized")


@dataclass(slots=True, frozen=True)
class Moment:
    """A point in time on both clocks.

    The time of day is to be trusted where it is synchronized. That of other moments of the same
    boot follows from `up_s`.

    Attributes:
        unix_s: Seconds since 1970, as the clock stands.
        up_s: Seconds since boot, suspension included: never jumps.
        boot: Which boot, eight hexadecimal digits; empty if the system does not tell.
        synced: Whether the system says that the time of day is synchronized (NTP).
    """

    unix_s: float
    up_s: float
    boot: str
    synced: bool = False


class Clock:
    """The clocks of this computer; an argument wherever others are of use."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return monotonic_ns()

    def unix_ns(self) -> int:
        """Unix time, as the clock stands."""
        return time.time_ns()

    def moment(self) -> Moment:
        """This moment."""
        return Moment(
            time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _boot(), is_synced(_state())
        )

    def wall_ns(self, captured_ns: int) -> int:
        """Unix time of a CLOCK_MONOTONIC moment, as the system's clock stands now."""
        return self.unix_ns() - self.monotonic_ns() + captured_ns

    def local_time(self, captured_ns: int) -> datetime:
        """Local time of a CLOCK_MONOTONIC moment, with its offset from UTC."""
        return datetime.fromtimestamp(self.wall_ns(captured_ns) / NS_PER_S).astimezone()


@cache
def _boot() -> str:
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""
    return text.replace("-", "")[:8]


def is_synced(state: int, marker: Path = _MARKER) -> bool:
    """Whether something adjusts the clock; one that is set by hand no longer counts.

    Args:
        state: What the system says; negative where it does not, as in a confined service.
        marker: A file that is there once the time was fetched from the network.
    """
    return marker.exists() if state < 0 else state < _TIME_ERROR


def _state() -> int:
    try:
        # All zero, it changes nothing.
        return int(_libc().adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return -1


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
