"""Heat, power and memory."""

from collections.abc import Iterator
from dataclasses import asdict

from edge_detect.board import Board
from edge_detect.board.memory import read_memory
from edge_detect.core.board import Throttling
from edge_detect.tools.doctor.finding import Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place

__all__ = ["look_at_heat_and_power", "look_at_memory"]

_HOT_C = 75.0
_MB = 1 << 20
_LITTLE_MEMORY, _NO_MEMORY = 300 * _MB, 100 * _MB
_LITTLE_CMA = 48 * _MB
_SMALL_BOARD = 1500 * _MB
_COOL = "a heat sink or fan; `[thermal]` slows detection down before the board does"
_POWER = "use the board's own power supply and a short cable; USB devices on a powered hub"
_MORE_CMA = "dtoverlay=vc4-kms-v3d,cma-512 in /boot/firmware/config.txt, then reboot"


def look_at_heat_and_power(place: Place) -> Iterator[Finding]:
    """Temperature, clock, and what the firmware does about heat and power."""
    command = "vcgencmd" if place.has("vcgencmd") else None
    reading = Board(place.root, command).read()
    celsius = reading.temperature_c
    if celsius is None:
        yield ok("temperature", "no sensor tells it")
    elif celsius >= _HOT_C:
        yield warn("temperature", f"{celsius:.0f} °C", _COOL)
    else:
        yield ok("temperature", f"{celsius:.0f} °C")
    if reading.frequency_hz and reading.frequency_limit_hz:
        now, limit = reading.frequency_hz / 1e6, reading.frequency_limit_hz / 1e6
        yield ok("clock", f"{now:.0f} of {limit:.0f} MHz")
    if reading.throttling is not None:
        yield from _judge_flags(reading.throttling)
    elif place.is_raspberry_pi:
        yield warn(
            "power",
            "the firmware does not tell whether it throttles",
            "sudo usermod -aG video $USER, then log in again; or install raspi-utils",
        )


def look_at_memory(place: Place) -> Iterator[Finding]:
    """Memory, swap, and the memory that cameras and codecs need."""
    memory = read_memory(place.root)
    if memory.total_bytes is None or memory.available_bytes is None:
        yield ok("memory", "the kernel does not tell")
        return
    text = f"{_size(memory.available_bytes)} of {_size(memory.total_bytes)} available"
    if memory.available_bytes < _LITTLE_MEMORY:
        report = fail if memory.available_bytes < _NO_MEMORY else warn
        yield report("memory", text, "close other programs; one detector needs about 200 MB")
    else:
        yield ok("memory", text)
    swap, free = memory.swap_total_bytes or 0, memory.swap_free_bytes or 0
    if not swap and memory.total_bytes < _SMALL_BOARD:
        yield warn("swap", "none on a small board", "sudo apt install zram-tools")
    elif swap and free < swap // 4:
        yield warn("swap", f"{_size(free)} of {_size(swap)} left", "too little memory: see above")
    else:
        yield ok("swap", f"{_size(swap)}, {_size(swap - free)} in use" if swap else "none")
    if memory.cma_total_bytes:
        cma_free = memory.cma_free_bytes or 0
        text = f"{_size(cma_free)} of {_size(memory.cma_total_bytes)} free"
        if place.is_raspberry_pi and cma_free < _LITTLE_CMA:
            yield warn("camera memory (CMA)", text, _MORE_CMA)
        else:
            yield ok("camera memory (CMA)", text)


def _judge_flags(flags: Throttling) -> Iterator[Finding]:
    told = {name: name.removesuffix("_since_boot").replace("_", " ") for name in asdict(flags)}
    raised = [name for name, value in asdict(flags).items() if value]
    now = [told[name] for name in raised if not name.endswith("_since_boot")]
    earlier = [
        told[name] for name in raised if name.endswith("_since_boot") and told[name] not in now
    ]
    weak = flags.under_voltage or flags.under_voltage_since_boot
    advice = _POWER if weak else _COOL
    if now:
        report = fail if flags.under_voltage else warn
        yield report("power", f"at this moment: {', '.join(now)}", advice)
    if earlier:
        yield warn("power", f"since boot: {', '.join(earlier)}", advice)
    if not raised:
        yield ok("power", "no low voltage and no throttling since boot")


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB" if size >= 1 << 30 else f"{size / _MB:.0f} MB"
