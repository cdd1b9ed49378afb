"""One thing that was said, as texts and numbers: what it was said about may change or go."""

import logging
import math
import traceback
from dataclasses import dataclass, field

__all__ = ["Entry", "describe_exception", "entry_of"]

FieldValue = str | int | float | bool | None

_MOST_MESSAGE = 8_000
_MOST_FIELD = 1_000
_MOST_TRACEBACK = 16_000
# What every record has, in this Python. `color_message` is uvicorn's, for terminals.
_ORDINARY = {
    *vars(logging.LogRecord("", 0, "", 0, "", (), None)),
    *("asctime", "color_message", "every_time", "message"),
}


@dataclass(slots=True, frozen=True)
class Entry:
    """One thing that was said.

    Attributes:
        created: Seconds since 1970.
        level: As in `logging`.
        logger: Who said it.
        message: In words, complete.
        camera: Which camera it is about; empty for none.
        fields: What else is known, by name; the camera is among them.
        traceback: Of the exception that it is about; empty for none.
        thread: Name of the thread.
        file: Of the line of code.
        line: Number of the line.
        function: That has the line.
        repeated: How often it was said since it was last let through, this time included.
        within_s: How long ago that was.
    """

    created: float
    level: int
    logger: str
    message: str
    camera: str = ""
    fields: dict[str, FieldValue] = field(default_factory=dict)
    traceback: str = ""
    thread: str = ""
    file: str = ""
    line: int = 0
    function: str = ""
    repeated: int = 1
    within_s: float = 0.0

    @property
    def text(self) -> str:
        """The message, which camera it is about, and how often it was said."""
        about = self.camera and not self.message.startswith(self.camera)
        text = f"{self.camera}: {self.message}" if about else self.message
        if self.repeated > 1:
            text += f" ({self.repeated} times in {_span(self.within_s)})"
        return text


def entry_of(record: logging.LogRecord) -> Entry:
    """Take from a record what will be shown; of long texts the beginning."""
    fields = {
        name: _as_field(value) for name, value in vars(record).items() if name not in _ORDINARY
    }
    return Entry(
        created=record.created,
        level=record.levelno,
        logger=record.name,
        message=_shortened(_message(record), _MOST_MESSAGE),
        camera=str(fields.get("camera") or ""),
        fields=fields,
        traceback=_traceback(record),
        thread=record.threadName or "",
        file=record.pathname,
        line=record.lineno,
        function=record.funcName or "",
    )


def describe_exception(error: BaseException) -> str:
    """Its traceback; of a long one the end, where it happened."""
    text = "".join(traceback.format_exception(error)).rstrip()
    return text if len(text) <= _MOST_TRACEBACK else f"…{text[-_MOST_TRACEBACK:]}"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage().rstrip()
    except Exception as error:  # noqa: BLE001 - anything may be logged, and its text may fail
        return f"{record.msg!r} (its arguments do not fit: {type(error).__name__})"


def _traceback(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        return describe_exception(error)
    return record.exc_text or record.stack_info or ""


def _as_field(value: object) -> FieldValue:
    if value is None or isinstance(value, bool | int):
        return value
    # JSON has no word for what is not finite.
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _shortened(str(value), _MOST_FIELD)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
