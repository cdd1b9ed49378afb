"""The clocks of the computer: CLOCK_MONOTONIC, which times all frames, and the time of day.

A Raspberry Pi has no clock of its own. It starts in the past, and the time of day jumps by
months when the network is there; so whatever is kept beyond the process carries a `Moment`.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from time import monotonic_ns

__all__ = ["NS_PER_MS", "NS_PER_S", "Clock", "Moment", "monotonic_ns"]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


@dataclass(slots=True, frozen=True)
class Moment:
    """A point in time on both clocks.

    The time of day of the last moment of a boot is the one to trust: by then the clock was most
    likely right. That of earlier moments of the same boot follows from `up_s`.

    Attributes:
        unix_s: Seconds since 1970, as the clock stands.
        up_s: Seconds since boot, suspension included: never jumps.
        boot: Which boot, eight hexadecimal digits.
    """

    unix_s: float
    up_s: float
    boot: str


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
        return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _boot())

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
