"""The way of entries from any thread to the one that writes them."""

import logging
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import time

from edge_detect.core import monotonic_ns
from edge_detect.core.about import camera_name
from edge_detect.service.logs.entry import Entry, describe_exception, entry_of
from edge_detect.service.logs.outputs import Output
from edge_detect.service.logs.repeats import Repeats, repeat_key

__all__ = ["QueuedHandler"]

_LOGGER = "edge_detect.service.logs"
_CAPACITY = 2000
_LOOK_S = 0.5
_FLUSH_S = 1.0
_GIVE_UP_S = 0.5


class QueuedHandler(logging.Handler):
    """Hands entries to a thread "edge-log", which writes them.

    So nobody who logs ever waits: a terminal that was stopped or a journal that hangs costs
    the newest entries, once `capacity` of them wait; how many is said when it goes on.

    Args:
        output: Where entries go; closed at the end.
        repeats: What is said too often; None lets everything pass.
        capacity: Most entries that wait.
    """

    def __init__(self, output: Output, repeats: Repeats | None, capacity: int = _CAPACITY) -> None:
        super().__init__()
        self._output = output
        self._repeats = repeats
        self._capacity = capacity
        # It has no bound of its own, but can be put to in a signal handler.
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._lost = 0
        self._told = 0
        self._closing = False
        self._given_up = Event()
        self._thread = Thread(target=self._run, name="edge-log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Entries that could not be written so far."""
        return self._lost

    @property
    def running(self) -> bool:
        """Whether the thread that writes is there."""
        return self._thread.is_alive()

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what was said; never waits."""
        if not hasattr(record, "camera") and camera_name.get():
            record.camera = camera_name.get()
        entry = entry_of(record)
        # Who asks for details gets them all; figures come at an interval that was chosen.
        all_of_them = record.levelno < logging.INFO or getattr(record, "every_time", False)
        if self._repeats is None or all_of_them:
            self._put(entry)
            return
        for each in self._repeats.admit(repeat_key(record), entry, monotonic_ns()):
            self._put(each)

    def close(self) -> None:
        """Write what waits, for a second at most; what is held back as a repetition, too."""
        super().close()
        if self._closing:
            return
        self._closing = True
        if self._repeats is not None:
            for entry in self._repeats.rest(monotonic_ns()):
                self._put(entry)
        self._queue.put(None)
        self._thread.join(_FLUSH_S)
        if self._thread.is_alive():
            self._given_up.set()
            self._thread.join(_GIVE_UP_S)

    def _put(self, entry: Entry) -> None:
        if self._queue.qsize() < self._capacity:
            self._queue.put(entry)
        else:
            self._lost += 1

    def _run(self) -> None:
        try:
            while not self._given_up.is_set():
                try:
                    entry = self._queue.get(timeout=_LOOK_S)
                except Empty:
                    pass
                else:
                    if entry is None:
                        return
                    self._write(entry)
                if self._repeats is not None:
                    for each in self._repeats.due(monotonic_ns()):
                        self._write(each)
                self._tell_losses()
        finally:
            self._output.close()

    def _write(self, entry: Entry) -> None:
        try:
            written = self._output.write(entry, self._given_up)
        except Exception as error:  # noqa: BLE001 - the next entry must not miss its writer
            written = self._output.write(_defect(error), self._given_up)
        if not written:
            self._lost += 1

    def _tell_losses(self) -> None:
        new = self._lost - self._told
        if new and self._queue.empty():
            self._told = self._lost
            message = f"{new} messages are missing here: nobody took them"
            self._write(Entry(time(), logging.WARNING, _LOGGER, message, fields={"lost": new}))


def _defect(error: Exception) -> Entry:
    message = "an entry of the log could not be written as it is"
    return Entry(time(), logging.ERROR, _LOGGER, message, traceback=describe_exception(error))
