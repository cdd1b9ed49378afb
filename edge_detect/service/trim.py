"""Keeping the process small: few arenas, and nothing that only the start needed."""

import ctypes
import gc
import re
from pathlib import Path

__all__ = ["limit_arenas", "trim_memory"]

_MADV_DONTNEED = 4  # linux/mman.h, the same on x86-64 and aarch64
_LEAST_KB = 256
_M_ARENA_MAX = -8  # malloc.h of glibc
_ARENAS = 2
# Code, private and from a file, as the kernel's proc_pid_smaps(5) has it; of the compiler its
# constants, too. Others' constants are left alone: while another thread loads a library, they
# share their mapping for a moment with what the loader is about to write.
_MAPPING = re.compile(
    r"([0-9a-f]+)-([0-9a-f]+) r-(?:xp \S+ \S+ [1-9]\d* +/(?!dev/)|-p .*/libllvmlite\.so)"
)
_FIGURE = re.compile(r"(Rss|Anonymous): +(\d+) kB")


def limit_arenas() -> None:
    """Have all threads allocate from the same two arenas; before the threads are started.

    The C library's default of eight a core spreads what forty threads free now and then over as
    many heaps, none of which shrinks: the process grows for hours.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def trim_memory(smaps: Path = Path("/proc/self/smaps")) -> None:
    """Let go of library pages that were read while everything was loaded, and of free heap.

    The compiler of the kernels alone is 68 MB of such pages, and is never called again once
    the kernels are loaded. What is in use comes back from the page cache by itself, within
    milliseconds. Modules and classes stay for good: the collector need not look at them again,
    neither in service nor at the end, where that takes a second on a small board.

    Args:
        smaps: What the kernel says of this process' memory.
    """
    gc.collect()
    gc.freeze()
    libc = ctypes.CDLL(None, use_errno=True)
    # Some kernels are built without it.
    said = smaps.read_text(errors="replace") if smaps.exists() else ""
    for begin, end in _unchanged(said):
        # Refused (EINVAL) for locked pages: these stay.
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_DONTNEED)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _unchanged(smaps: str) -> list[tuple[int, int]]:
    """Mappings that are the same as their file, from address to address.

    A mapping that is read-only by now may have been written by the loader before (RELRO): it
    holds anonymous pages, and would be lost.
    """
    found = []
    mapping: re.Match[str] | None = None
    resident_kb = 0
    for line in smaps.splitlines():
        if "-" in line.partition(" ")[0]:
            mapping = _MAPPING.match(line)
        figure = _FIGURE.match(line) if mapping else None
        if figure and figure[1] == "Rss":
            resident_kb = int(figure[2])
        elif mapping and figure and figure[2] == "0" and resident_kb >= _LEAST_KB:
            found.append((int(mapping[1], 16), int(mapping[2], 16)))
    return found
