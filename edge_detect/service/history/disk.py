"""The thread that waits for the disk, so that nobody else does."""

import logging
from collections import deque
from collections.abc import Sequence
from threading import Condition, Thread

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.service.history.record import Row
from edge_detect.service.history.writer import HistoryWriter

__all__ = ["DiskThread"]

_LOG = logging.getLogger(__name__)
# Four hours of four cameras by the minute, about 2 MB. While a disk is full or hangs, the
# oldest lines are lost first.
_MOST_ROWS = 1000
_RETRY_S = 10.0
_HANGING_NS = 30 * NS_PER_S


class DiskThread:
    """Takes lines at once, and writes them when the disk is ready.

    Args:
        writer: Used by this thread alone from now on.
        retry_s: A disk that failed is tried again after so many seconds.
    """

    def __init__(self, writer: HistoryWriter, retry_s: float = _RETRY_S) -> None:
        self._writer = writer
        self._retry_s = retry_s
        self._changed = Condition()
        self._rows: deque[Row] = deque()
        self._lost = 0
        self._busy_since_ns = 0
        self._stopping = False
        self._trouble = ""
        # A daemon: a disk that hangs for ever must not keep the process from ending.
        self._thread = Thread(target=self._run, name="edge-history-disk", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def lost(self) -> int:
        """Lines that found room neither on the disk nor in memory."""
        return self._lost

    def put(self, rows: Sequence[Row]) -> None:
        """Hand over lines; never waits for the disk."""
        with self._changed:
            self._rows.extend(rows)
            self._forget_oldest()
            since_ns = self._busy_since_ns
            self._changed.notify()
        if since_ns and monotonic_ns() - since_ns > _HANGING_NS:
            self._say("the disk does not answer")

    def stop(self, timeout_s: float) -> None:
        """Write what is left, and end.

        Args:
            timeout_s: If that takes longer, the thread is left to itself.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._say("the disk does not answer, the last lines may be lost")

    def _run(self) -> None:
        worked = True
        while not self._wait(can_write=worked):
            worked = self._work()
        self._work()
        self._writer.close()

    def _wait(self, *, can_write: bool) -> bool:
        """Wait for lines, or until it is time to try again; True when all is to end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or (can_write and self._rows), self._retry_s
            )
            return self._stopping

    def _work(self) -> bool:
        with self._changed:
            rows = list(self._rows)
            self._rows.clear()
            self._busy_since_ns = monotonic_ns()
        try:
            self._write(rows)
        except OSError as error:
            # Opened anew the next time: the directory itself may have been removed.
            self._writer.close()
            with self._changed:
                self._rows.extendleft(reversed(rows))
                self._forget_oldest()
            busy = isinstance(error, BlockingIOError)
            self._say("another process writes there" if busy else error.strerror or str(error))
            return False
        finally:
            self._busy_since_ns = 0
        self._say("")
        return True

    def _write(self, rows: list[Row]) -> None:
        writer = self._writer
        if not writer.is_open:
            writer.open()
        if rows:
            writer.write(rows)
            rows.clear()
        writer.tidy(lambda: self._stopping)

    def _forget_oldest(self) -> None:
        while len(self._rows) > _MOST_ROWS:
            self._rows.popleft()
            self._lost += 1

    def _say(self, trouble: str) -> None:
        """Log the change from well to trouble, to other trouble, or back."""
        with self._changed:
            before, self._trouble = self._trouble, trouble
        where = self._writer.directory
        if trouble and trouble != before:
            _LOG.warning("the history in %s pauses: %s", where, trouble)
        elif before and not trouble:
            _LOG.warning("the history in %s goes on; lines lost so far: %d", where, self._lost)
