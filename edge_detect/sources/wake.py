"""A flag that `poll` can wait for."""

import os
import threading

__all__ = ["Wake"]


class Wake:
    """Ends waits on file descriptors, from any thread, once and for good."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_set = False
        # Without it, the number of a descriptor that was closed, and given to another file
        # meanwhile, could be written to.
        self._lock = threading.Lock()

    @property
    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._is_set

    def fileno(self) -> int:
        """The descriptor that becomes readable; -1 after `close`."""
        return self._fd

    def set(self) -> None:
        """End the wait."""
        with self._lock:
            self._is_set = True
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Close the descriptor; may be called twice."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
