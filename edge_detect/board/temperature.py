"""How hot the SoC is."""

import re
from collections.abc import Iterable
from pathlib import Path

from edge_detect.board.files import read_number, read_text

__all__ = ["read_temperature_c"]

# How the sensors of processors are called: cpu-thermal (Raspberry Pi, many others), soc-thermal,
# bigcore0-thermal (Rockchip), x86_pkg_temp. Battery, radio, disk and memory have zones as well.
_PROCESSOR_ZONES = re.compile(r"cpu|soc|core|x86_pkg|package")
# Boards whose only zone is the firmware's, which is near the processor.
_FIRMWARE_ZONES = re.compile(r"acpitz")
# Where a driver gives no thermal zone (AMD processors).
_PROCESSOR_CHIPS = {"coretemp", "k10temp", "zenpower", "cpu_thermal"}
# Sensors that are switched off or broken answer 0 K, -1 or the largest number they have.
_LEAST_C, _MOST_C = -40.0, 150.0


def read_temperature_c(root: Path = Path("/")) -> float | None:
    """The hottest of the processor's sensors in degrees Celsius; None where there is none.

    Args:
        root: Where `sys` is.
    """
    zones: list[tuple[str, Path]] = [
        ((read_text(zone / "type") or "").lower(), zone)
        for zone in (root / "sys/class/thermal").glob("thermal_zone*")
    ]
    for pattern in (_PROCESSOR_ZONES, _FIRMWARE_ZONES):
        found = _hottest(zone / "temp" for kind, zone in zones if pattern.search(kind))
        if found is not None:
            return found
    chips = (root / "sys/class/hwmon").glob("hwmon*")
    return _hottest(
        sensor
        for chip in chips
        if read_text(chip / "name") in _PROCESSOR_CHIPS
        for sensor in chip.glob("temp*_input")
    )


def _hottest(sensors: Iterable[Path]) -> float | None:
    readings = [
        milli / 1000
        for sensor in sensors
        if (milli := read_number(sensor)) is not None and _LEAST_C <= milli / 1000 <= _MOST_C
    ]
    return max(readings, default=None)
