"""Deciding what becomes of everything that is logged."""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Literal, TextIO

from edge_detect.service.config.settings import LoggingSettings
from edge_detect.service.logs.handler import QueuedHandler
from edge_detect.service.logs.lines import console_lines, journal_fields, json_lines
from edge_detect.service.logs.outputs import JOURNAL_SOCKET, JournalOutput, Output, StreamOutput
from edge_detect.service.logs.repeats import Repeats

__all__ = ["Logs", "configure_logging"]

_log = logging.getLogger(__name__)

Format = Literal["journal", "json", "console"]

_OURS = "edge_detect"

_current: "Logs | None" = None


class Logs:
    """Logging as it was configured, until `close`.

    Args:
        handler: Gets everything that is logged.
        level: Least level that counts.
        format_used: What lines look like; `auto` has been decided.
        replaces: What was configured before, whose place it takes; it is closed.
    """

    def __init__(
        self, handler: QueuedHandler, level: int, format_used: Format, replaces: "Logs | None"
    ) -> None:
        self.format = format_used
        self._handler = handler
        root, ours = logging.getLogger(), logging.getLogger(_OURS)
        self._before = (root.handlers[:], root.level, ours.level, threading.excepthook)
        # At no moment nobody listens: what other threads say just now must not be lost.
        root.handlers[:] = [handler]
        # Debugging means us: libraries tell more than anybody can read.
        root.setLevel(max(level, logging.INFO))
        ours.setLevel(level)
        logging.captureWarnings(capture=True)
        threading.excepthook = _log_ended_thread
        if replaces is not None:
            self._before = replaces._before  # noqa: SLF001 - of its own kind
            replaces._handler.close()  # noqa: SLF001 - likewise

    @property
    def lost(self) -> int:
        """Entries that could not be written so far."""
        return self._handler.lost

    def trouble(self) -> str:
        """What has gone wrong for good; empty if nothing."""
        return "" if self._handler.running else "the thread that writes the log has ended"

    def close(self) -> None:
        """Write what waits, for a second at most, and leave logging as it was before."""
        global _current  # noqa: PLW0603 - logging itself is global
        if _current is self:
            _current = None
            root = logging.getLogger()
            root.handlers[:] = self._before[0]
            root.setLevel(self._before[1])
            logging.getLogger(_OURS).setLevel(self._before[2])
            threading.excepthook = self._before[3]
            logging.captureWarnings(capture=False)
        self._handler.close()


def configure_logging(
    settings: LoggingSettings, stream: TextIO | None = None, *, journal: Path = JOURNAL_SOCKET
) -> Logs:
    """Send everything that is logged, in this whole process, to one place.

    That includes libraries, warnings, and exceptions that end threads. Calling it again
    replaces what was configured before. The end of the program closes it by itself.

    Args:
        settings: What, and in which form. `auto` is the journal where standard error leads
            there, lines for people on a terminal, and JSON lines elsewhere.
        stream: Takes lines; standard error if it is None.
        journal: The journal's socket.

    Raises:
        DependencyError: structlog is missing.
    """
    global _current  # noqa: PLW0603 - logging itself is global
    stream = stream if stream is not None else sys.stderr
    chosen = _choose(settings.format, stream, journal)
    output: Output
    if chosen == "journal":
        output = JournalOutput(journal_fields, journal)
    elif chosen == "console":
        colors = stream.isatty() and "NO_COLOR" not in os.environ
        output = StreamOutput(stream, console_lines(colors=colors))
    else:
        output = StreamOutput(stream, json_lines())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    _current = Logs(QueuedHandler(output, Repeats()), level, chosen, _current)
    if settings.format == "journal" != chosen:
        _log.warning("there is no journal at %s: logging JSON lines instead", journal)
    return _current


def _choose(wanted: str, stream: TextIO, journal: Path) -> Format:
    if wanted == "console":
        return "console"
    if wanted == "json":
        return "json"
    if (wanted == "journal" or _leads_to_journal(stream)) and journal.is_socket():
        return "journal"
    return "console" if wanted == "auto" and stream.isatty() else "json"


def _leads_to_journal(stream: TextIO) -> bool:
    """Whether systemd connected the stream to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _log_ended_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is SystemExit or arguments.exc_value is None:
        return
    name = arguments.thread.name if arguments.thread is not None else "of an unknown name"
    _log.critical("the thread %s has ended by an exception", name, exc_info=arguments.exc_value)
