"""What an entry looks like: fields of the journal, JSON lines, lines for people."""

import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from edge_detect.core import DependencyError
from edge_detect.service.logs.entry import Entry, FieldValue
from edge_detect.service.logs.redact import redact, redact_field

__all__ = ["IDENTIFIER", "console_lines", "journal_fields", "json_lines"]

IDENTIFIER = "edge-detect"

_NO_NAME = re.compile(r"[^A-Z0-9_]")
# Of syslog (RFC 5424, table 2), as the journal counts them.
_PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG = 7
# What others say, a camera or a broker, must not steer the terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}


def journal_fields(entry: Entry) -> dict[str, str]:
    """The entry as the journal's fields; our own ones are called as in the code, in capitals."""
    fields = {
        "MESSAGE": redact(entry.text),
        "PRIORITY": str(_priority(entry.level)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "LOGGER": entry.logger,
        "THREAD_NAME": entry.thread,
        "CODE_FILE": entry.file,
        "CODE_LINE": str(entry.line),
        "CODE_FUNC": entry.function,
    }
    if entry.traceback:
        fields["TRACEBACK"] = redact(entry.traceback)
    if entry.repeated > 1:
        fields["REPEATED"] = str(entry.repeated)
    for key, value in entry.fields.items():
        name = _NO_NAME.sub("_", key.upper()).lstrip("_0123456789")[:64]
        if name and name not in fields and value is not None:
            fields[name] = str(_shown(key, value))
    return fields


def json_lines() -> Callable[[Entry], str]:
    """Makes a JSON object of an entry.

    Raises:
        DependencyError: structlog is missing.
    """
    from_structlog = _structlog()
    render = from_structlog.processors.JSONRenderer(ensure_ascii=False)

    def line(entry: Entry) -> str:
        event: dict[str, Any] = {
            "timestamp": _utc(entry.created),
            "level": logging.getLevelName(entry.level).lower(),
            "logger": entry.logger,
            "message": redact(entry.text),
        }
        for key, value in entry.fields.items():
            event.setdefault(key, _shown(key, value))
        if entry.repeated > 1:
            event["repeated"] = entry.repeated
        if entry.traceback:
            event["traceback"] = redact(entry.traceback)
        return str(render(None, "", event))

    return line


def console_lines(*, colors: bool) -> Callable[[Entry], str]:
    """Makes a line for people of an entry; its message says what matters of its fields.

    Args:
        colors: Whether the terminal shows them.

    Raises:
        DependencyError: structlog is missing.
    """
    from_structlog = _structlog()
    render = from_structlog.dev.ConsoleRenderer(columns=_columns(from_structlog.dev, colors=colors))

    def line(entry: Entry) -> str:
        local = datetime.fromtimestamp(entry.created).astimezone()
        event: dict[str, Any] = {
            "timestamp": local.strftime("%Y-%m-%d %H:%M:%S"),
            "level": logging.getLevelName(entry.level).lower(),
            "event": redact(entry.text).translate(_CONTROLS),
        }
        if entry.traceback:
            event["exception"] = redact(entry.traceback).translate(_CONTROLS)
        return str(render(None, "", event))

    return line


def _columns(dev: Any, *, colors: bool) -> list[Any]:
    """Time, level and message; the level alone is coloured."""
    dim, reset = (dev.DIM, dev.RESET_ALL) if colors else ("", "")
    styles = dev.ConsoleRenderer.get_default_level_styles(colors)

    def plain(style: str) -> Any:
        return dev.KeyValueColumnFormatter(
            key_style=None, value_style=style, reset_style=reset if style else "", value_repr=str
        )

    return [
        dev.Column("", plain("")),
        dev.Column("timestamp", plain(dim)),
        dev.Column("level", dev.LogLevelColumnFormatter(styles, reset)),
        dev.Column("event", plain("")),
    ]


def _shown(key: str, value: FieldValue) -> FieldValue:
    return redact_field(key, value) if isinstance(value, str) else value


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)


def _utc(created: float) -> str:
    text = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _structlog() -> Any:
    try:
        import structlog
    except ModuleNotFoundError as error:
        raise DependencyError(
            "the daemon's log needs the package 'structlog', which is not installed",
            f"{sys.executable} -m pip install 'edge-detect[service]'",
        ) from error
    return structlog
