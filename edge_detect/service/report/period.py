"""Which time a report is about."""

import re
import time
from datetime import datetime

from edge_detect.core import ConfigError

__all__ = ["parse_moment"]

_AGO = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(min|m|h|d|w)", re.ASCII)
_SECONDS = {"m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def parse_moment(text: str, option: str, now_s: float | None = None) -> float:
    """When `24h`, `7d`, `2026-05-01` or `2026-05-01 14:30` was.

    Args:
        text: So long ago, or a date with or without a time: local unless it says otherwise.
        option: What the user called it, for the error.
        now_s: Unix time; None takes that of now.

    Returns:
        Unix time, seconds; 0 for what lies before: there is no history of it.

    Raises:
        ConfigError: It is none of these.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        ago_s = float(ago[1]) * _SECONDS[ago[2]]
        return max(0.0, (time.time() if now_s is None else now_s) - ago_s)
    try:
        return max(0.0, datetime.fromisoformat(text.strip()).timestamp())
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"{option} {text!r} is neither a time ago nor a date",
            f"use for example {option} 24h, {option} 7d, {option} 2026-05-01 or "
            f'{option} "2026-05-01 14:30"',
        ) from error
