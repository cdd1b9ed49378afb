"""Signals as something to wait for, instead of something that interrupts."""

import select
import signal
import socket
from collections import deque
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Signals"]


class Signals:
    """Collects signals for the time of a `with` statement, in the main thread.

    A handler that did the work itself could interrupt anything, even the holder of a lock; and
    blocking signals is no way, as libraries start threads of their own before anybody is asked.
    So the handlers do nothing, and the interpreter writes the numbers to a socket.

    Args:
        wanted: Which ones.
    """

    def __init__(self, wanted: Iterable[signal.Signals]) -> None:
        self._wanted = tuple(wanted)
        self._arrived: deque[int] = deque()
        self._before: dict[signal.Signals, signal._HANDLER] = {}
        self._fd_before = -1

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before = {each: signal.signal(each, _do_nothing) for each in self._wanted}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout_s: float) -> int | None:
        """The next signal; None when none came within `timeout_s`."""
        if not self._arrived and select.select([self._reader], [], [], timeout_s)[0]:
            numbers = self._reader.recv(4096)
            self._arrived.extend(number for number in numbers if number in self._wanted)
        return self._arrived.popleft() if self._arrived else None


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The socket tells."""
