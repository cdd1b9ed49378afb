"""How numbers, times and outages are said, in the terminal and on the page alike."""

from datetime import datetime

from edge_detect.service.report.outages import Outage

__all__ = ["FLAG_NAMES", "duration", "local", "number", "outage_text", "percent", "since_until"]

_CAUSES = {
    "stopped": "stopped in good order",
    "killed": "ended without a word, while the computer went on",
    "power": "power cut or crash of the computer",
    "silent": "no more lines came",
}
FLAG_NAMES = {
    "under_voltage": "under-voltage",
    "clock_capped": "clock capped",
    "throttled": "throttled",
    "hot_limit": "soft temperature limit",
}
_NOTHING = "-"


def local(unix_s: float, *, seconds: bool = False) -> str:
    """Local date and time."""
    return datetime.fromtimestamp(unix_s).strftime("%Y-%m-%d %H:%M" + ":%S" * seconds)  # noqa: DTZ006 - what people's clocks show


def since_until(since_s: float, until_s: float) -> str:
    """A period, with the name of the time zone."""
    zone = datetime.fromtimestamp(until_s).astimezone().tzname()
    return f"{local(since_s)} to {local(until_s)} ({zone})"


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A number, or a dash where nothing is known."""
    if value is None or value != value:  # noqa: PLR0124 - that is how NaN shows
        return _NOTHING
    # Delays of seconds need no tenths of a millisecond.
    return f"{value:.{0 if abs(value) >= 1000 else digits}f}{unit}"


def percent(share: float) -> str:
    """A share with two decimals, and never rounded up to 100."""
    cut = min(share, 0.9999) if share < 1 else 1.0
    return f"{100 * cut:.2f} %"


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, whole = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {whole} s" if whole and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def outage_text(outage: Outage, until_s: float) -> str:
    """What happened, and for how long nothing ran."""
    ended_s = until_s if outage.ended_s is None else outage.ended_s
    lasted = duration(ended_s - outage.began_s)
    since = "has run for" if outage.ended_s is None else "ran for"
    return f"{_CAUSES[outage.cause]}; nothing {since} {lasted}"
