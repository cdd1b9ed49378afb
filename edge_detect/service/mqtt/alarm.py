"""Waking a thread that waits for the network."""

import os
from contextlib import suppress
from threading import Lock

__all__ = ["Alarm"]


class Alarm:
    """Something to poll that any thread can make ready; never waits."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """What is polled."""
        return self._descriptor

    def ring(self) -> None:
        """Make it ready; nothing happens once it is closed."""
        with self._lock:
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Let it wait for the next `ring`."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1
