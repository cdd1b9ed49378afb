"""Where an axis has its marks, and what stands beside them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Scale", "linear_scale", "log_scale", "time_ticks"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS = (
    *(each * _MINUTE for each in (1, 2, 5, 10, 15, 30)),
    *(each * _HOUR for each in (1, 2, 3, 6, 12)),
    *(each * _DAY for each in (1, 2, 7, 14)),
)
_TIME_MARKS = 9
_VALUE_MARKS = 4


@dataclass(slots=True, frozen=True)
class Scale:
    """An axis for values.

    Attributes:
        place: Where a value is: 0 at the lower end, 1 at the upper one.
        ticks: Values with marks.
    """

    place: Callable[[float], float]
    ticks: tuple[float, ...]


def linear_scale(low: float, high: float) -> Scale:
    """An axis with round numbers, wide enough for both values."""
    span = max(high - low, 1e-6 * max(abs(high), 1.0))
    step = _round_step(span / _VALUE_MARKS)
    begin = math.floor(low / step + 1e-9) * step
    marks = max(1, math.ceil((high - begin) / step - 1e-9))
    end = begin + marks * step
    ticks = tuple(begin + index * step for index in range(marks + 1))
    return Scale(lambda value: (value - begin) / (end - begin), ticks)


def log_scale(low: float, high: float) -> Scale:
    """An axis on which ten times as much is the same way everywhere.

    Args:
        low: Positive.
        high: Positive.
    """
    marks = [1, 2, 5] if high / low < 100 else [1]
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    values = [digit * 10.0**power for power in powers for digit in marks]
    begin = max(each for each in values if each <= low * (1 + 1e-9))
    end = min(each for each in values if each >= high * (1 - 1e-9) and each > begin)
    decades = math.log(end / begin)
    ticks = tuple(each for each in values if begin <= each <= end)
    return Scale(lambda value: math.log(max(value, begin) / begin) / decades, ticks)


def time_ticks(since_s: float, until_s: float) -> list[tuple[float, str]]:
    """Round local times within a period, and what to call them."""
    span_s = until_s - since_s
    step_s = next((each for each in _STEPS if span_s / each <= _TIME_MARKS), 0)
    if step_s == 0:
        return _months(since_s, until_s)
    first = datetime.fromtimestamp(since_s).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006 - local, as people read it
    if step_s >= _DAY:
        moments = _days(first, until_s, step_s // _DAY)
    else:
        # From each midnight anew: a day with a change of the clock has 23 or 25 hours.
        marks = range(0, _DAY, step_s)
        moments = [
            day + timedelta(seconds=each) for day in _days(first, until_s, 1) for each in marks
        ]
    inside = [each for each in moments if since_s <= each.timestamp() <= until_s]
    return [(each.timestamp(), _label(each, step_s)) for each in inside]


def _days(first: datetime, until_s: float, step: int) -> list[datetime]:
    count = int((until_s - first.timestamp()) / _DAY) + 2
    return [first + timedelta(days=each) for each in range(0, count, step)]


def _months(since_s: float, until_s: float) -> list[tuple[float, str]]:
    begin, end = datetime.fromtimestamp(since_s), datetime.fromtimestamp(until_s)  # noqa: DTZ006 - as above
    first, last = begin.year * 12 + begin.month, end.year * 12 + end.month
    step = max(1, math.ceil((last - first) / _TIME_MARKS))
    ticks = []
    for number in range(first, last, step):
        month = datetime(number // 12, number % 12 + 1, 1)  # noqa: DTZ001 - as above
        ticks.append((month.timestamp(), month.strftime("%b %Y")))
    return ticks


def _label(moment: datetime, step_s: int) -> str:
    if step_s >= _DAY or (moment.hour == 0 and moment.minute == 0):
        return f"{moment.day} {moment:%b}"
    return moment.strftime("%H:%M")


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough * (1 - 1e-9))
