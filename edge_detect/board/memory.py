"""Memory of the computer, and the part that cameras take theirs from (CMA)."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_detect.board.files import read_number, read_text

__all__ = ["MemoryReading", "free_memory", "read_memory"]

# Of each version of control groups: where they are, the files of limit and usage, and what
# memory.stat calls the part of the usage that is cache of files.
_GROUPS = {
    1: ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("", "memory.max", "memory.current", "inactive_file"),
}


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


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still have; None where the kernel does not tell.

    Memory and swap that are available, and not more than the control groups of the process
    (containers, systemd's MemoryMax) leave it.

    Args:
        root: Where `proc` and `sys` are.
    """
    reading = read_memory(root)
    rooms = list(_group_rooms(root))
    if reading.available_bytes is not None:
        rooms.append(reading.available_bytes + (reading.swap_free_bytes or 0))
    return max(0, min(rooms)) if rooms else None


def _group_rooms(root: Path) -> Iterator[int]:
    """What each control group of this process leaves, both versions of them."""
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount, limit, usage, cache = _GROUPS[2]
        elif "memory" in controllers.split(","):
            mount, limit, usage, cache = _GROUPS[1]
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        if ".." in group.parts:
            group = PurePosixPath()
        # In a container the path may be the host's, and its own group the root.
        for folder in (group, *group.parents):
            place = root / "sys/fs/cgroup" / mount / folder
            most, used = (read_number(place / name) for name in (limit, usage))
            if most is not None and used is not None:
                # The cache of files is given back when memory is needed.
                stat = read_text(place / "memory.stat") or ""
                found = re.search(rf"^{cache} (\d{{1,18}})$", stat, re.MULTILINE | re.ASCII)
                yield most - used + (int(found[1]) if found else 0)
