"""Signals as something to wait for, instead of something that interrupts."""

import select
import signal
import socket
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Signals"]


class Signals:
    """Collects signals for the time of a `with` statement, in the main thread.

    A handler that did the work itself could interrupt anything, even the holder of a lock; and
    blocking signals is no way, as libraries start threads of their own before anybody is asked.
    So the handlers do nothing, and the interpreter writes the numbers to a socket. As in the
    kernel, a signal that came several times counts once: a storm of reloads keeps no stop waiting.

    Args:
        wanted: Which ones, the most urgent first.
    """

    def __init__(self, wanted: Iterable[signal.Signals]) -> None:
        self._wanted = tuple(wanted)
        self._arrived: set[int] = set()
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
        """The most urgent signal; None when none came within `timeout_s`."""
        if select.select([self._reader], [], [], 0 if self._arrived else timeout_s)[0]:
            self._arrived.update(self._reader.recv(65536))
        for each in self._wanted:
            if each in self._arrived:
                self._arrived.remove(each)
                return each
        self._arrived.clear()
        return None


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The socket tells."""
