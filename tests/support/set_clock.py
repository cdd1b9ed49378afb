"""The clocks of a computer, moved by a test."""

from dataclasses import dataclass
from datetime import UTC, datetime

from edge_detect.core.clock import NS_PER_S, Clock, Moment

__all__ = ["DAY_S", "YEAR_S", "SetClock"]

DAY_S = 86_400.0
YEAR_S = 365 * DAY_S


@dataclass
class SetClock(Clock):
    """Stands still unless it is moved.

    Attributes:
        unix_s: The time of day; set it for a jump.
        up_s: Since boot, on CLOCK_MONOTONIC and CLOCK_BOOTTIME.
        boots: How often the computer was started.
        synced: Whether the system takes the time of day for right.
    """

    unix_s: float = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
    up_s: float = 3.0
    boots: int = 1
    synced: bool = True

    def monotonic_ns(self) -> int:
        return round(self.up_s * NS_PER_S)

    def unix_ns(self) -> int:
        return round(self.unix_s * NS_PER_S)

    def moment(self) -> Moment:
        return Moment(self.unix_s, self.up_s, f"{self.boots:08x}", self.synced)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.unix_s += seconds
        self.up_s += seconds

    def reboot(self, unix_s: float | None = None) -> None:
        """Start the computer again, at this time of day or with a clock that went on."""
        self.boots += 1
        self.up_s = 3.0
        self.unix_s = self.unix_s + 3.0 if unix_s is None else unix_s
