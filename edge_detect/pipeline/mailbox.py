"""The only way from one thread to the next: a bounded box that drops or holds back."""

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

from edge_detect.core import monotonic_ns

__all__ = ["Closed", "Mailbox"]

T = TypeVar("T")

# Waiters are woken by every change of state; the timeout only bounds what a lost
# wake-up could cost.
_WAIT_S = 0.5


class Closed(Exception):  # noqa: N818 - a state that ends a loop, like StopIteration
    """The mailbox gives and takes nothing any more."""


class Mailbox(Generic[T]):
    """A bounded box between its writers, mostly one, and one reader.

    Between live stages it is `lossy`: the newest item wins, the oldest is handed back to
    the writer as dropped, and nobody ever waits for a slow reader. Otherwise the writer
    waits until there is room, and nothing is lost.

    Args:
        capacity: Items that may wait; 1 makes it a slot.
        lossy: Whether a full box drops its oldest item instead of holding back the writer.
        writers: How many writers must call `finish` before the box is finished.
        clock: CLOCK_MONOTONIC, in nanoseconds.
    """

    def __init__(
        self,
        capacity: int = 1,
        *,
        lossy: bool,
        writers: int = 1,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.capacity = capacity
        self._lossy = lossy
        self._clock = clock
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._unfinished = writers
        self._aborted = False
        self._taken_ns: int | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> T | None:
        """Hand an item over.

        Returns:
            The item that was dropped to make room, if any.

        Raises:
            Closed: The box was aborted or finished.
        """
        with self._changed:
            self._wait_for_room()
            dropped = self._items.popleft() if len(self._items) >= self.capacity else None
            self._items.append(item)
            self._changed.notify_all()
            return dropped

    def get(self, timeout_s: float | None = None) -> T:
        """Take the oldest item, waiting for one.

        Raises:
            Closed: The box was aborted, or finished and is now empty.
            TimeoutError: Nothing came within `timeout_s`.
        """
        with self._changed:
            self._wait(timeout_s)
            item = self._items.popleft()
            self._changed.notify_all()
            self._taken_ns = self._clock()
            return item

    def wait(self) -> None:
        """Wait until there is something to take.

        Raises:
            Closed: As `get`.
        """
        with self._changed:
            self._wait(None)

    def wait_for_room(self) -> None:
        """Wait until the only writer can put an item without waiting.

        Raises:
            Closed: As `put`.
        """
        with self._changed:
            self._wait_for_room()

    @property
    def ready(self) -> bool:
        """Whether `get` would not wait; also when it would raise `Closed`."""
        return bool(self._items) or self._closed

    @property
    def has_room(self) -> bool:
        """Whether `put` would not wait; also when it would raise `Closed`."""
        return self._lossy or len(self._items) < self.capacity or self._closed

    def rest(self) -> None:
        """Say that the reader has done with what it took, and does not wait here yet."""
        self._taken_ns = None

    def busy_ns(self, now_ns: int) -> int:
        """For how long the reader has been at work on what it took; 0 while it waits here."""
        taken_ns = self._taken_ns
        return 0 if taken_ns is None else now_ns - taken_ns

    def _wait(self, timeout_s: float | None) -> None:
        self._taken_ns = None
        while not self._items and not self._aborted:
            if not self._unfinished:
                raise Closed
            woken = self._changed.wait(_WAIT_S if timeout_s is None else timeout_s)
            if not woken and timeout_s is not None and not self._items:
                raise TimeoutError
        if self._aborted:
            raise Closed

    def _wait_for_room(self) -> None:
        while not self.has_room:
            self._changed.wait(_WAIT_S)
        self.check()

    @property
    def _closed(self) -> bool:
        """Whether nothing more can be put."""
        return self._aborted or not self._unfinished

    def check(self) -> None:
        """Find out whether the box is still worth filling.

        Raises:
            Closed: It was aborted or finished.
        """
        if self._closed:
            raise Closed

    def finish(self) -> None:
        """Say that a writer is done; after the last, the reader gets what waits and `Closed`."""
        with self._changed:
            self._unfinished = max(0, self._unfinished - 1)
            self._changed.notify_all()

    def abort(self) -> None:
        """Throw away what waits and wake everybody with `Closed`."""
        with self._changed:
            self._aborted = True
            self._items.clear()
            self._changed.notify_all()
