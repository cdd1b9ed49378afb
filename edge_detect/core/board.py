"""What the computer says about itself, as plain data."""

from dataclasses import dataclass

__all__ = ["BoardReading", "Throttling"]


@dataclass(slots=True, frozen=True)
class Throttling:
    """What the firmware of a Raspberry Pi does about heat and power (`get_throttled`).

    Each flag comes twice: now, and at any time since boot.
    """

    under_voltage: bool = False
    frequency_capped: bool = False
    throttled: bool = False
    soft_temperature_limit: bool = False
    under_voltage_since_boot: bool = False
    frequency_capped_since_boot: bool = False
    throttled_since_boot: bool = False
    soft_temperature_limit_since_boot: bool = False


@dataclass(slots=True, frozen=True)
class BoardReading:
    """The computer and this process at one moment; None where the system does not tell.

    Attributes:
        read_ns: CLOCK_MONOTONIC time of the reading.
        temperature_c: Of the SoC, degrees Celsius.
        frequency_hz: Current clock of the fastest core.
        frequency_limit_hz: The highest clock that is allowed.
        throttling: Flags of a Raspberry Pi; None on other boards.
        cpu_share: Of this process since the reading before, in cores: 1.0 is one busy core.
        resident_bytes: Memory of this process (RSS).
        threads: Of this process.
        open_files: File descriptors of this process.
    """

    read_ns: int
    temperature_c: float | None = None
    frequency_hz: int | None = None
    frequency_limit_hz: int | None = None
    throttling: Throttling | None = None
    cpu_share: float | None = None
    resident_bytes: int | None = None
    threads: int | None = None
    open_files: int | None = None
