"""Stop single threads of a process for good: they are never run again, the others are.

python3 hang_thread.py PID NAME

Stops every thread of PID that has this name, but not the main one, as a debugger does
(ptrace(2)); they stay so until this program or the process ends. Fails if there is none.
"""

import ctypes
import os
import sys
import time
from pathlib import Path

_SEIZE, _INTERRUPT = 0x4206, 0x4207  # linux/ptrace.h
_WALL = 0x40000000  # __WALL: a thread is no child of ours
_LIMIT_S = 300


def main(pid: int, name: str) -> int:
    """Stop them, and wait for the process to end; returns the exit status."""
    libc = ctypes.CDLL(None, use_errno=True)
    stopped = set()
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        tid = int(task.name)
        if tid == pid or (task / "comm").read_text().strip() != name:
            continue
        for request in (_SEIZE, _INTERRUPT):
            if libc.ptrace(request, tid, None, None) != 0:
                sys.stderr.write(f"ptrace: {os.strerror(ctypes.get_errno())}\n")
                return 1
        os.waitpid(tid, _WALL)
        stopped.add(tid)
    if not stopped:
        return 1
    # A thread that ends is kept for its debugger, and its process with it, until this asks.
    deadline = time.monotonic() + _LIMIT_S
    while stopped and time.monotonic() < deadline:
        for tid in list(stopped):
            ended, status = os.waitpid(tid, _WALL | os.WNOHANG)
            if ended and not os.WIFSTOPPED(status):
                stopped.discard(tid)
        time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
