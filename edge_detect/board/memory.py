"""Memory of the computer, and the part that cameras take theirs from (CMA)."""

import re
from pathlib import Path
from typing import NamedTuple

from edge_detect.board.files import read_text

__all__ = ["MemoryReading", "read_memory"]


class MemoryReading(NamedTuple):
    """Bytes; None where the kernel does not tell.

    Attributes:
        total_bytes: All memory.
        available_bytes: What programs can still have.
        swap_total_bytes: All swap; 0: none.
        swap_free_bytes: Of it, unused.
        cma_total_bytes: Reserved for large pieces in one, which cameras and codecs need.
        cma_free_bytes: Of it, unused.
    """

    total_bytes: int | None
    available_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    cma_total_bytes: int | None
    cma_free_bytes: int | None


def read_memory(root: Path = Path("/")) -> MemoryReading:
    """Read /proc/meminfo.

    Args:
        root: Where `proc` is.
    """
    text = read_text(root / "proc/meminfo") or ""
    lines = re.findall(r"^(\w+):\s+(\d{1,15}) kB", text, re.MULTILINE | re.ASCII)
    found = {name: int(kilobytes) * 1024 for name, kilobytes in lines}
    names = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree", "CmaTotal", "CmaFree")
    return MemoryReading(*(found.get(name) for name in names))
