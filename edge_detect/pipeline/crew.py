"""Threads that never die silently: one object starts them, stops them and hears them fail."""

import ctypes
from collections.abc import Callable
from contextvars import copy_context
from threading import Event, Lock, Thread

from edge_detect.core import NS_PER_S, EdgeDetectError, StageError, monotonic_ns
from edge_detect.pipeline.mailbox import Closed, Mailbox

__all__ = ["Crew"]

# For the interpreter to take a thread down that has done its work.
_LEAVE_S = 0.2
_PR_SET_NAME = 15  # linux/prctl.h
_NAME_BYTES = 15


class Crew:
    """The threads of one pipeline and the mailboxes between them.

    The first thread that raises decides the outcome: its error is kept, all mailboxes are
    aborted, and the other threads come to their end through `Closed`.
    """

    def __init__(self) -> None:
        # Each with an event for its end: before Python 3.13, a signal handler that raises within
        # `Thread.join` has the thread count as ended while it is at work.
        self._threads: list[tuple[Thread, Event]] = []
        # What the work is about holds for the threads, too, whoever adds them.
        self._context = copy_context()
        self._boxes: list[Mailbox[object]] = []
        self._wakers: list[Callable[[], None]] = []
        self._lock = Lock()
        self._stopping = Event()
        self._started = False
        self.error: EdgeDetectError | None = None

    @property
    def stopping(self) -> bool:
        """Whether everybody was asked to come to an end."""
        return self._stopping.is_set()

    @property
    def running(self) -> bool:
        """Whether any thread is still at work."""
        return bool(self.alive())

    def add_box(self, box: "Mailbox[object]") -> None:
        """Have a mailbox aborted when the crew stops; also when it has stopped already."""
        with self._lock:
            self._boxes.append(box)
            if self._stopping.is_set():
                box.abort()

    def drop_box(self, box: "Mailbox[object]") -> None:
        """Forget a mailbox that is no longer used."""
        with self._lock:
            if box in self._boxes:
                self._boxes.remove(box)

    def add_waker(self, wake: Callable[[], None]) -> None:
        """Have `wake` called at the stop, to end waits that are not for a mailbox."""
        self._wakers.append(wake)

    def add(self, name: str, work: Callable[[], None], last: Callable[[], None]) -> Event:
        """Add a thread, which starts with the others, or at once when these have started.

        Args:
            name: Of the stage, for error messages and profilers.
            work: Runs until its input ends; `Closed` is a normal end.
            last: Runs after `work` in any case: passes the end on, closes what the stage owns.

        Returns:
            Set when the thread has done its work.
        """
        ended = Event()
        thread = Thread(
            target=self._context.copy().run,
            args=(self._run, name, work, last, ended),
            name=f"edge-{name}",
            daemon=True,
        )
        self._threads.append((thread, ended))
        if self._started:
            thread.start()
        return ended

    def release(self, ended: Event, timeout_s: float) -> bool:
        """Wait for a thread to end, and forget it.

        Args:
            ended: What `add` returned.
            timeout_s: To wait at most; a thread that is still at work is not forgotten.

        Returns:
            Whether it has ended.
        """
        if not ended.wait(timeout_s):
            return False
        self._threads = [each for each in self._threads if each[1] is not ended]
        return True

    def start(self) -> None:
        """Start all threads, the last added first, so that readers wait for writers."""
        self._started = True
        for thread, _ in reversed(self._threads):
            thread.start()

    def stop(self) -> None:
        """Ask everybody to come to an end; returns at once."""
        with self._lock:
            self._stopping.set()
            boxes = list(self._boxes)
        for box in boxes:
            box.abort()
        for wake in self._wakers:
            wake()

    def join(self, timeout_s: float | None) -> bool:
        """Wait for all threads.

        Returns:
            Whether all have come to an end within `timeout_s`.
        """
        deadline_ns = None if timeout_s is None else monotonic_ns() + round(timeout_s * NS_PER_S)
        for thread, ended in self._threads:
            # A thread that was never started has no end to wait for.
            while thread.ident is not None and not ended.is_set():
                # Short waits, so that Ctrl-C reaches the main thread in between.
                wait_s = 0.2
                if deadline_ns is not None:
                    wait_s = min(wait_s, (deadline_ns - monotonic_ns()) / NS_PER_S)
                    if wait_s <= 0:
                        return False
                ended.wait(wait_s)
            if thread.ident is not None:
                # Nothing of ours is left to be done in it.
                thread.join(_LEAVE_S)
        return True

    def alive(self) -> list[str]:
        """Names of the stages that are still at work."""
        return [
            thread.name.removeprefix("edge-")
            for thread, ended in self._threads
            if thread.ident is not None and not ended.is_set()
        ]

    def _run(
        self, name: str, work: Callable[[], None], last: Callable[[], None], ended: Event
    ) -> None:
        _name_thread(f"edge-{name}")
        try:
            try:
                work()
            except Closed:
                pass
            except BaseException as error:  # noqa: BLE001 - kept, reported and re-raised by the owner
                self._fail(name, error)
        finally:
            try:
                last()
            except Closed:
                pass
            except BaseException as error:  # noqa: BLE001 - as above
                self._fail(name, error)
            finally:
                ended.set()

    def _fail(self, name: str, error: BaseException) -> None:
        if not isinstance(error, EdgeDetectError):
            unforeseen = StageError(
                f"{type(error).__name__}: {error}",
                "this is a defect; please report it with the lines above",
            )
            unforeseen.__cause__ = error
            error = unforeseen
        error.stage = error.stage or name
        with self._lock:
            first = self.error is None
            if first:
                self.error = error
        if first:
            self.stop()


def _name_thread(name: str) -> None:
    """Have the system show the thread's name too, in `top -H` and /proc, cut to 15 bytes."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:_NAME_BYTES], 0, 0, 0)
