"""The newest reading of the computer, for all who want it."""

import logging
from threading import Event, Thread

from edge_detect.board.reader import Board
from edge_detect.core import monotonic_ns
from edge_detect.core.board import BoardReading

__all__ = ["BoardMonitor"]

_log = logging.getLogger(__name__)
_STOP_S = 3.0


class BoardMonitor:
    """Reads a board again and again, in a thread of its own.

    Args:
        board: What is read; this computer by default.
        interval_s: Seconds between readings.
    """

    def __init__(self, board: Board | None = None, interval_s: float = 2.0) -> None:
        if interval_s <= 0:
            raise ValueError(f"interval_s must be above 0, got {interval_s}")
        self._board = board or Board()
        self._interval_s = interval_s
        self._latest = BoardReading(monotonic_ns())
        self._defect = ""
        self._stopped = Event()
        self._thread: Thread | None = None

    @property
    def latest(self) -> BoardReading:
        """The newest reading; one without values before the first."""
        return self._latest

    def start(self) -> None:
        """Begin to read; the first reading is there a moment later."""
        if self._thread is not None:
            raise ValueError("the monitor must not be started twice")
        self._thread = Thread(target=self._run, name="edge-board", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; may be called twice, and without `start`."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def trouble(self) -> str:
        """Why there are no readings any more; empty while all is well."""
        if self._defect:
            return self._defect
        ended = self._thread is not None and not self._thread.is_alive()
        return (
            "the thread that reads the board ended" if ended and not self._stopped.is_set() else ""
        )

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._latest = self._board.read()
            except Exception as error:  # noqa: BLE001 - a defect is told by `trouble`, not by silence
                # Nobody may act on old figures; and what was odd may be right the next time.
                self._latest = BoardReading(monotonic_ns())
                if not self._defect:
                    _log.exception("the board cannot be read")
                self._defect = f"the board cannot be read: {type(error).__name__}: {error}"
            else:
                self._defect = ""
            self._stopped.wait(self._interval_s)
