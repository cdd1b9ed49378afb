"""The newest result, and those who want to hear of every one."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from edge_detect.core import Result, monotonic_ns
from edge_detect.sinks.jsonl import format_result
from edge_detect.sinks.web.pace import Pace

__all__ = ["Feed", "FeedFullError", "Listener"]

# A listener that is slower than the detector hears of the newest ones.
_MOST_WAITING = 8


class FeedFullError(Exception):
    """There are as many listeners as the machine should serve."""


class Listener:
    """One who hears of results; lives in the event loop.

    Args:
        fps: No more results than that a second; None for all.
        clock: Gives the time in nanoseconds.
    """

    def __init__(self, fps: float | None, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._pace = Pace(fps)
        self._ended = False
        self._waiting: deque[tuple[int, str]] = deque(maxlen=_MOST_WAITING)
        self._arrived = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._ended

    def give(self, sequence: int, text: str) -> None:
        """Hand over a result; the oldest waiting one is forgotten where there are too many."""
        now_ns = self._clock()
        if self._pace.due(now_ns):
            self._pace.take(now_ns)
            self._waiting.append((sequence, text))
            self._arrived.set()

    async def next(self, timeout_s: float) -> tuple[int, str] | None:
        """Number of a frame and its result as JSON; None when none comes in time, and at the end.

        Args:
            timeout_s: Longest wait.
        """
        if not self._waiting and not self._ended:
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting and not self._ended else None

    def end(self) -> None:
        """Have `next` return None from now on."""
        self._ended = True
        self._arrived.set()


class Feed:
    """Results on their way to listeners, formatted once for all, and for nobody not at all.

    Args:
        most: How many listeners there may be.
        clock: Gives the time in nanoseconds, for their rates.
    """

    def __init__(self, most: int, clock: Callable[[], int] = monotonic_ns) -> None:
        self._most = most
        self._clock = clock
        self._listeners: tuple[Listener, ...] = ()
        self._newest: Result | None = None
        self._arriving: deque[Result] = deque(maxlen=_MOST_WAITING)

    @property
    def newest(self) -> Result | None:
        """The newest result; None before the first."""
        return self._newest

    def join(self, fps: float | None) -> Listener:
        """Let one more listen, until `leave`.

        Raises:
            FeedFullError: There are too many.
        """
        if len(self._listeners) >= self._most:
            raise FeedFullError(f"{self._most} are listening already, and no more may at a time")
        if not self._listeners:
            # Left over from a server that has ended; who looks for it did not come.
            self._arriving.clear()
        listener = Listener(fps, self._clock)
        self._listeners = (*self._listeners, listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Let it hear no more."""
        self._listeners = tuple(each for each in self._listeners if each is not listener)

    def end(self) -> None:
        """Tell all that there will be no more."""
        for listener in self._listeners:
            listener.end()

    def publish(self, result: Result, call_soon: Callable[..., Any]) -> None:
        """Take in a result, in the pipeline's thread.

        Args:
            result: The newest.
            call_soon: Runs a function in the event loop.
        """
        self._newest = result
        if self._listeners:
            # A loop that is behind finds the newest few here, not a heap of calls with results.
            self._arriving.append(result)
            if len(self._arriving) == 1:
                call_soon(self._spread)

    def _spread(self) -> None:
        while self._arriving:
            result = self._arriving.popleft()
            text = format_result(result)
            for listener in self._listeners:
                listener.give(result.frame.sequence, text)
