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

__all__ = ["NS_PER_MS", "NS_PER_S", "Clock", "Moment", "monotonic_ns"]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
# sys/timex.h: more than a struct timex takes, and the clock's state when nothing adjusts it.
_TIMEX_BYTES, _TIME_ERROR = 512, 5


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
        return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _boot(), _is_synced())

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


def _is_synced() -> bool:
    """Whether something adjusts the clock; a clock that is set by hand no longer counts."""
    try:
        # All zero, it changes nothing.
        state = _libc().adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return False
    return 0 <= int(state) < _TIME_ERROR


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
