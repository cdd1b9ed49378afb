"""Stop a thread for good while it is inside a library: it is never run again, the others are.

python3 hang_thread.py PID NAME LIBRARY

Stops one thread of PID of this name, but not the main one, as a debugger does (ptrace(2)), at
a moment when it runs code of a file whose name has LIBRARY in it; elsewhere, it might hold a
lock that all others wait for. It stays so until the process or this program ends.
"""

import ctypes
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

_DETACH, _SEIZE, _INTERRUPT = 17, 0x4206, 0x4207  # linux/ptrace.h
_WALL = 0x40000000  # __WALL: a thread is no child of ours
_FIND_S = 20
_LIMIT_S = 300
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(pid: int, name: str, library: str) -> int:
    """Stop it, and wait for the process to end; returns the exit status."""
    tid = stop_inside(pid, name, library)
    if tid is None:
        return fail(f"no thread named {name} was seen in {library}")
    # A thread that ends is kept for its debugger, and its process with it, until this asks.
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(tid, _WALL | os.WNOHANG)
        if ended and not os.WIFSTOPPED(status):
            return 0
        time.sleep(0.1)
    return fail(f"{pid} did not end")


def stop_inside(pid: int, name: str, library: str) -> int | None:
    """Stop whatever runs again and again, until it is where it should hang; its number."""
    # Threads that nobody has named have the name of the program, and never run the library.
    tasks = [
        task
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid) and (task / "comm").read_text().strip() == name
    ]
    deadline = time.monotonic() + _FIND_S
    while time.monotonic() < deadline:
        for task in tasks:
            # Threads may end meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                if (task / "syscall").read_text().startswith("running") and hold(task, library):
                    return int(task.name)
        time.sleep(0.0005)
    return None


def hold(task: Path, library: str) -> bool:
    """Stop a thread, and let it go again unless it runs the library's code."""
    tid = int(task.name)
    if not (request(_SEIZE, tid) and request(_INTERRUPT, tid)):
        return False
    os.waitpid(tid, _WALL)
    # Outside of system calls: "-1", stack pointer, program counter.
    number, *rest = (task / "syscall").read_text().split()
    if number == "-1" and library in file_at(task, int(rest[-1], 16)):
        return True
    request(_DETACH, tid)
    return False


def file_at(task: Path, address: int) -> str:
    """The file whose code lies at an address; empty for none."""
    for line in (task / "maps").read_text().splitlines():
        span, _, name = line.partition(" ")
        first, last = (int(each, 16) for each in span.split("-"))
        if first <= address < last:
            return name
    return ""


def request(number: int, tid: int) -> bool:
    """Whether ptrace(2) did it."""
    return _LIBC.ptrace(number, tid, None, None) == 0


def fail(message: str) -> int:
    """Say why; returns the exit status."""
    sys.stderr.write(f"{message} ({os.strerror(ctypes.get_errno())})\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
