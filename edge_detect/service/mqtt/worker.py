"""Work that may have to wait, in a thread that nobody waits for."""

import logging
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

_MOST = 64
_WAIT_S = 60.0


class Worker:
    """Does one job after another.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._jobs: Queue[Callable[[], None]] = Queue(_MOST)
        self._stopping = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self.error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, job: Callable[[], None]) -> bool:
        """Have something done; returns at once.

        Args:
            job: Raises only what is a defect.

        Returns:
            False where so much waits already that it will not be done.
        """
        if self._stopping.is_set():
            return False
        try:
            self._jobs.put_nowait(job)
        except Full:
            return False
        return True

    def stop(self) -> None:
        """Do nothing further; does not wait for the job in progress."""
        self._stopping.set()
        # Where the queue is full, the thread wakes anyway.
        with suppress(Full):
            self._jobs.put_nowait(_nothing)

    def join(self, timeout_s: float) -> None:
        """Wait for its end; may be called without `start`."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    job = self._jobs.get(timeout=_WAIT_S)
                except Empty:
                    continue
                if not self._stopping.is_set():
                    job()
        except Exception as error:  # noqa: BLE001 - kept for `trouble`
            self.error = f"{self._thread.name}: {type(error).__name__}: {error}"
            _log.exception("%s has ended for good", self._thread.name)


def _nothing() -> None:
    """A job that only wakes the thread."""
