"""What this process takes of the computer."""

import os
import re
import time
from pathlib import Path
from typing import NamedTuple

from edge_detect.board.files import read_text

__all__ = ["CpuMeter", "ProcessReading", "read_process"]


class ProcessReading(NamedTuple):
    """One moment of this process; None where the system does not tell."""

    resident_bytes: int | None
    threads: int | None
    open_files: int | None


def read_process(root: Path = Path("/")) -> ProcessReading:
    """Memory, threads and open files of this process.

    Args:
        root: Where `proc` is.
    """
    me = root / "proc/self"
    status = read_text(me / "status") or ""
    kilobytes = _field(status, "VmRSS")
    try:
        # Reading the folder takes one descriptor more.
        open_files = max(0, len(os.listdir(me / "fd")) - 1)  # noqa: PTH208 - names suffice, and are cheap
    except OSError:
        open_files = None
    resident = None if kilobytes is None else kilobytes * 1024
    return ProcessReading(resident, _field(status, "Threads"), open_files)


class CpuMeter:
    """How many cores this process keeps busy."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def read(self) -> float | None:
        """Busy cores since the call before; None at the first call."""
        now = time.monotonic_ns(), time.process_time_ns()
        last, self._last = self._last, now
        if last is None or now[0] <= last[0]:
            return None
        return max(0.0, (now[1] - last[1]) / (now[0] - last[0]))


def _field(status: str, name: str) -> int | None:
    match = re.search(rf"^{name}:\s+(\d{{1,15}})\b", status, re.MULTILINE | re.ASCII)
    return int(match[1]) if match else None
