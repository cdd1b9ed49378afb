"""The processor: what it is called, what it can do, and how its clock is governed."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edge_detect.board.clock import read_frequencies_hz
from edge_detect.board.files import read_number, read_text

__all__ = ["CpuReading", "read_cpu"]

# What the kernels of TFLite runtimes choose between, under the kernel's names for it.
_X86 = ("avx", "avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8")
_ARM_64 = ("asimd", "asimddp", "asimdhp", "i8mm", "sve", "bf16")
_ARM_32 = ("neon", "asimddp", "asimdhp", "i8mm")
# The kernel tells ARM's own cores by number alone (MIDR, "CPU part").
_ARM_PARTS = {
    0xC07: "Cortex-A7",
    0xC08: "Cortex-A8",
    0xC09: "Cortex-A9",
    0xC0F: "Cortex-A15",
    0xB76: "ARM1176",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD49: "Neoverse-N2",
    0xD4B: "Cortex-A78C",
}
_ARM_LIMITED = 0x41


class CpuReading(NamedTuple):
    """The processor; None and empty where the system does not tell.

    Attributes:
        model: Its name, or on ARM the names of its kinds of cores.
        cores: How many the kernel uses.
        usable: The numbers of those that this process may use.
        features: What matters for inference, under the kernel's names, and whether every core
            has it; those of this architecture alone.
        governor: The kernel's rule for the clock; several, if cores differ.
        driver: What carries it out.
        frequency_hz: Of the fastest core now.
        frequency_limit_hz: The highest that is allowed.
        frequency_most_hz: The highest that it is built for.
    """

    model: str
    cores: int
    usable: tuple[int, ...]
    features: dict[str, bool]
    governor: str
    driver: str
    frequency_hz: int | None
    frequency_limit_hz: int | None
    frequency_most_hz: int | None


def read_cpu(root: Path = Path("/"), usable: Iterable[int] | None = None) -> CpuReading:
    """Read what the kernel tells of the processor.

    Args:
        root: Where `proc` and `sys` are.
        usable: The cores that this process may use; None asks the kernel.
    """
    blocks = _read_blocks(root)
    allowed = tuple(sorted(os.sched_getaffinity(0) if usable is None else usable))
    policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    most = [khz for policy in policies if (khz := read_number(policy / "cpuinfo_max_freq"))]
    frequency_hz, limit_hz = read_frequencies_hz(root)
    return CpuReading(
        model=_name(blocks),
        cores=_count(read_text(root / "sys/devices/system/cpu/online")) or len(blocks),
        usable=allowed,
        features=_features(blocks),
        governor=_all_of(policies, "scaling_governor"),
        driver=_all_of(policies, "scaling_driver"),
        frequency_hz=frequency_hz,
        frequency_limit_hz=limit_hz,
        frequency_most_hz=max(most) * 1000 if most else None,
    )


def _read_blocks(root: Path) -> list[dict[str, str]]:
    """`/proc/cpuinfo`, a block for each processor."""
    # Not read_text: with many processors it is longer than the kernel's other small files.
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    blocks = []
    for part in re.split(r"\n\s*\n", text):
        pairs = (line.partition(":") for line in part.splitlines())
        block = {key.strip(): value.strip() for key, colon, value in pairs if colon}
        if "processor" in block:
            blocks.append(block)
    return blocks


def _name(blocks: list[dict[str, str]]) -> str:
    counts = Counter(_name_of(block) for block in blocks)
    counts.pop("", None)
    if len(counts) == 1:
        return next(iter(counts))
    return " + ".join(f"{count} x {name}" for name, count in counts.items())


def _name_of(block: dict[str, str]) -> str:
    implementer, part = (_number(block.get(f"CPU {key}", "")) for key in ("implementer", "part"))
    # 32-bit kernels call every ARM core "ARMv7 Processor rev 3 (v7l)".
    if implementer == _ARM_LIMITED and part in _ARM_PARTS:
        return _ARM_PARTS[part]
    if name := block.get("model name"):
        return " ".join(name.split())
    if implementer is not None and part is not None:
        return f"ARM core {implementer:#x}/{part:#x}"
    return ""


def _features(blocks: list[dict[str, str]]) -> dict[str, bool]:
    told = [block.get("flags") or block.get("Features") for block in blocks]
    sets = [set(words.split()) for words in told if words]
    if not sets:
        return {}
    common = set.intersection(*sets)
    arm = _ARM_64 if "asimd" in common else _ARM_32
    names = _X86 if "flags" in blocks[0] else arm
    return {name: name in common for name in names}


def _count(ranges: str | None) -> int:
    """How many numbers `0-3,6` names; 0 where it makes no sense."""
    found = re.findall(r"(\d{1,5})(?:-(\d{1,5}))?(?:,|$)", ranges or "", re.ASCII)
    return sum(max(0, int(last or first) - int(first) + 1) for first, last in found)


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _all_of(policies: list[Path], name: str) -> str:
    found = {text for policy in policies if (text := read_text(policy / name))}
    return ", ".join(sorted(found))
