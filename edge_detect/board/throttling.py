"""What a Raspberry Pi's firmware does about heat and a weak power supply."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from edge_detect.board.files import read_number, read_text
from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.core.board import Throttling

__all__ = ["ThrottlingReader", "parse_flags"]

# soc:firmware on boards up to the Pi 4, soc@107c000000:firmware on a Pi 5.
_SYSFS = ("soc*/soc*:firmware/get_throttled", "soc*:firmware/get_throttled")
_ANSWER = re.compile(r"throttled=(0x[0-9a-fA-F]{1,8})")
_NAMES = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
_SINCE_BOOT_BIT = 16

_COMMAND_EVERY_NS = 5 * NS_PER_S
_COMMAND_TIMEOUT_S = 1.0
# The command is there but refuses (no right to open /dev/vcio, no Raspberry Pi): ask seldom.
_REFUSED_FOR_NS = 600 * NS_PER_S


def parse_flags(flags: int) -> Throttling:
    """The firmware's bits by name: 0 to 3 are now, 16 to 19 since boot."""
    values = {name: bool(flags >> bit & 1) for bit, name in enumerate(_NAMES)}
    for bit, name in enumerate(_NAMES):
        values[f"{name}_since_boot"] = bool(flags >> (bit + _SINCE_BOOT_BIT) & 1)
    return Throttling(**values)


class ThrottlingReader:
    """Asks the kernel, else `vcgencmd`, else the kernel's alarm for low voltage alone.

    Args:
        root: Where `sys` is.
        vcgencmd: Name or path of the command; None: it is not asked.
        timeout_s: A command that takes longer counts as one that refuses.
        clock_ns: CLOCK_MONOTONIC time.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        vcgencmd: str | None = "vcgencmd",
        *,
        timeout_s: float = _COMMAND_TIMEOUT_S,
        clock_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._root = root
        self._command = shutil.which(vcgencmd) if vcgencmd else None
        self._timeout_s = timeout_s
        self._clock_ns = clock_ns
        self._answer: Throttling | None = None
        self._ask_again_ns = 0

    def read(self) -> Throttling | None:
        """The flags; None on other boards. The command runs once in five seconds at most."""
        platform = self._root / "sys/devices/platform"
        for pattern in _SYSFS:
            for path in platform.glob(pattern):
                flags = read_number(path, 16)
                if flags is not None and flags >= 0:
                    return parse_flags(flags)
        return self._from_command() or self._from_alarm()

    def _from_command(self) -> Throttling | None:
        now_ns = self._clock_ns()
        if self._command is None or now_ns < self._ask_again_ns:
            return self._answer
        self._answer = _ask(self._command, self._timeout_s)
        wait_ns = _REFUSED_FOR_NS if self._answer is None else _COMMAND_EVERY_NS
        self._ask_again_ns = now_ns + wait_ns
        return self._answer

    def _from_alarm(self) -> Throttling | None:
        for chip in (self._root / "sys/class/hwmon").glob("hwmon*"):
            if read_text(chip / "name") == "rpi_volt":
                alarms = [read_number(path) for path in chip.glob("in*_lcrit_alarm")]
                if any(alarm is not None for alarm in alarms):
                    return Throttling(under_voltage=any(alarms))
        return None


def _ask(command: str, timeout_s: float) -> Throttling | None:
    try:
        answer = subprocess.run(  # noqa: S603 - the path was looked up, the arguments are ours
            [command, "get_throttled"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _ANSWER.match(answer.stdout[:100].decode("ascii", "replace"))
    return parse_flags(int(match[1], 16)) if match else None
