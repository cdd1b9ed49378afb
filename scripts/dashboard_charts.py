"""Charts of a dashboard as SVG: numbers, lines, heat maps, states over time."""

import html
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Series", "heatmap", "lines", "stat", "timeline"]

COLORS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37b7c3", "#fade2a")
NAMED = {"green": "#73bf69", "yellow": "#f2cc0c", "red": "#f2495c"}
TIME_STEPS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 8, 20
# A legend has two lines of so many pixels a letter.
LETTER = 6.2


class Series(NamedTuple):
    """Values over time.

    Attributes:
        name: For the legend.
        points: Seconds since 1970, and the value; ascending, without NaN.
    """

    name: str
    points: list[tuple[float, float]]


Span = tuple[float, float]
Size = tuple[int, int]


def stat(found: Sequence[Series], size: Size, span: Span, defaults: dict[str, Any]) -> str:
    """The newest value in large figures, above its course."""
    width, height = size
    points = found[0].points if found else []
    if not points:
        return _svg(
            size, f'<text x="{width / 2}" y="{height / 2}" text-anchor="middle">no data</text>'
        )
    value = points[-1][1]
    color = NAMED["green"]
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = NAMED[step["color"]]
    low, high = min(v for _, v in points), max(v for _, v in points)
    room = (high - low) or 1.0
    course = [
        (_x(at, span, 0, width), height - 4 - (v - low) / room * height * 0.35) for at, v in points
    ]
    text = format_value(value, defaults["unit"], defaults.get("decimals"))
    area = f"{_path(course)} L {course[-1][0]:.1f} {height} L {course[0][0]:.1f} {height} Z"
    return _svg(
        size,
        f'<path d="{area}" fill="{color}" fill-opacity="0.12"/>'
        f'<path d="{_path(course)}" fill="none" stroke="{color}" stroke-opacity="0.6"/>'
        f'<text class="value" x="{width / 2}" y="{height / 2 + 4}" text-anchor="middle"'
        f' style="fill:{color}">{text}</text>',
    )


def lines(
    found: Sequence[Series], size: Size, span: Span, step: float, defaults: dict[str, Any]
) -> tuple[str, str]:
    """Lines or stacked areas with axes, and the legend."""
    width, height = size
    custom = defaults.get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    if stacked:
        found = _stack(found)
    values = [value for series in found for _, value in series.points]
    low = defaults.get("min", min(values, default=0.0))
    high = max([*values, low])
    if "min" not in defaults:
        low = low - 0.1 * ((high - low) or max(abs(low), 1.0))
    high = defaults.get("max", high + 0.06 * (high - low))
    ticks = _ticks(low, high if high > low else low + 1, defaults["unit"])
    top, bottom = TOP, height - BOTTOM
    high = max(high, ticks[-1])

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    parts = []
    for tick in ticks:
        label = format_value(tick, defaults["unit"], None)
        parts.append(
            f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"'
            f' stroke="#2a2d35"/><text x="{LEFT - 6}" y="{y(tick) + 3:.1f}"'
            f' text-anchor="end">{label}</text>'
        )
    parts.append(_time_axis(size, span))
    # The highest of a stack is drawn first, so that those below stay visible.
    order = range(len(found) - 1, -1, -1) if stacked else range(len(found))
    for index in order:
        color = COLORS[index % len(COLORS)]
        opacity = custom.get("fillOpacity", 0) / 100
        for piece in _pieces(found[index].points, step):
            course = [(_x(at, span, LEFT, width - RIGHT), y(value)) for at, value in piece]
            area = f"{_path(course)} L {course[-1][0]:.1f} {bottom} L {course[0][0]:.1f} {bottom} Z"
            parts.append(
                f'<path d="{area}" fill="{color}" fill-opacity="{opacity}"/>'
                f'<path d="{_path(course)}" fill="none" stroke="{color}" stroke-width="1.5"/>'
            )
    if not found:
        parts.append(_no_data(size))
    return _svg(size, "".join(parts)), _legend(found, width)


def heatmap(found: Sequence[Series], size: Size, span: Span) -> str:
    """Cumulative buckets as cells: the brighter, the more fell in."""
    width, height = size
    rows = sorted((float(series.name), dict(series.points)) for series in found)
    cells: dict[tuple[float, int], float] = {}
    for index, (_, counts) in enumerate(rows):
        below = rows[index - 1][1] if index else {}
        for at, count in counts.items():
            cells[at, index] = max(0.0, count - below.get(at, 0.0))
    used = [index for (_, index), count in cells.items() if count > 0.01]
    if not used:
        return _svg(size, _no_data(size))
    first, last = max(0, min(used) - 1), min(len(rows) - 1, max(used) + 1)
    times = sorted({at for at, _ in cells})
    cell_width = max(1.0, (width - LEFT - RIGHT) / max(1, len(times)))
    cell_height = (height - TOP - BOTTOM) / (last - first + 1)
    most = max(cells.values())
    parts = [_time_axis(size, span)]
    for (at, index), count in cells.items():
        if count > 0.01 and first <= index <= last:
            x = _x(at, span, LEFT, width - RIGHT) - cell_width
            y = height - BOTTOM - (index - first + 1) * cell_height
            opacity = 0.15 + 0.85 * math.sqrt(count / most)
            parts.append(
                f'<rect x="{max(LEFT, x):.1f}" y="{y:.1f}" width="{cell_width + 0.2:.1f}"'
                f' height="{cell_height - 1:.1f}" fill="#ff9830" fill-opacity="{opacity:.2f}"/>'
            )
    for index in range(first, last + 1):
        y = height - BOTTOM - (index - first + 1) * cell_height
        label = "more" if math.isinf(rows[index][0]) else format_value(rows[index][0], "s", None)
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    return _svg(size, "".join(parts))


def timeline(found: Sequence[Series], size: Size, span: Span, defaults: dict[str, Any]) -> str:
    """A bar for each series, coloured by its value."""
    width, height = size
    if not found:
        return _svg(size, _no_data(size))
    colors = {
        float(value): NAMED[shown["color"]]
        for value, shown in defaults["mappings"][0]["options"].items()
    }
    left = 20 + 7 * max(len(series.name) for series in found)
    room = (height - TOP - BOTTOM) / len(found)
    bar = min(34.0, room * 0.8)
    parts = [_time_axis(size, span, left)]
    for index, series in enumerate(found):
        y = TOP + index * room + (room - bar) / 2
        parts.append(
            f'<text x="{left - 8}" y="{y + bar / 2 + 3:.1f}" text-anchor="end">'
            f"{html.escape(series.name)}</text>"
        )
        for at, until, value in _states(series.points, span[1]):
            x, end = (_x(each, span, left, width - RIGHT) for each in (at, until))
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{end - x:.1f}" height="{bar:.1f}"'
                f' fill="{colors.get(value, NAMED["yellow"])}" fill-opacity="0.8"/>'
            )
    return _svg(size, "".join(parts))


def format_value(value: float, unit: str, decimals: int | None) -> str:
    """A number as the panel wants it, such as `12 ms`, `1.2 GHz` or `180 MiB`."""
    if unit == "s" and 0 < abs(value) < 1:
        return f"{_short(value * 1000, decimals)} ms"
    if unit == "s" and value >= 120:
        return f"{_short(value / 60, decimals)} min"
    if unit == "bytes":
        for name in ("B", "KiB", "MiB"):
            if abs(value) < 1024:
                return f"{_short(value, decimals)} {name}"
            value /= 1024
        return f"{_short(value, 1)} GiB"
    if unit == "hertz" and value >= 1e6:
        giga = value >= 1e9
        return f"{_short(value / (1e9 if giga else 1e6), decimals)} {'GHz' if giga else 'MHz'}"
    names = {"hertz": " Hz", "celsius": " °C", "s": " s", "short": ""}
    return _short(value, decimals) + names.get(unit, unit.removeprefix("suffix:"))


def _short(value: float, decimals: int | None) -> str:
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def _legend(found: Sequence[Series], width: int) -> str:
    """As many names as two lines hold, and how many are left out."""
    room, shown = 2 * (width - 20), []
    for index, series in enumerate(found):
        room -= 30 + round(LETTER * len(series.name))
        if room < 60 and index < len(found) - 1:
            shown.append(f"<span>and {len(found) - index} more</span>")
            break
        color = COLORS[index % len(COLORS)]
        shown.append(f'<span><i style="background:{color}"></i>{html.escape(series.name)}</span>')
    return f'<div class="legend">{"".join(shown)}</div>'


def _stack(found: Sequence[Series]) -> list[Series]:
    sums: dict[float, float] = {}
    stacked = []
    for series in found:
        for at, value in series.points:
            sums[at] = sums.get(at, 0.0) + value
        stacked.append(Series(series.name, [(at, sums[at]) for at, _ in series.points]))
    return stacked


def _pieces(points: list[tuple[float, float]], step: float) -> list[list[tuple[float, float]]]:
    """The points without the gaps between them."""
    pieces: list[list[tuple[float, float]]] = []
    for point in points:
        if pieces and point[0] - pieces[-1][-1][0] < 1.5 * step:
            pieces[-1].append(point)
        else:
            pieces.append([point])
    return pieces


def _states(points: list[tuple[float, float]], end: float) -> list[tuple[float, float, float]]:
    """From when to when which value lasted."""
    changes = [
        point for index, point in enumerate(points) if not index or point[1] != points[index - 1][1]
    ]
    ends = [at for at, _ in changes[1:]] + [end]
    return [(at, until, value) for (at, value), until in zip(changes, ends, strict=True)]


def _ticks(low: float, high: float, unit: str) -> list[float]:
    """Four or five numbers between the two that are round in their unit."""
    base = 1.0
    if unit == "bytes":
        base = 2.0**20
    elif unit == "s" and high >= 120:
        base = 60.0
    rough = (high - low) / base / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = base * next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)] or [low]


def _time_axis(size: Size, span: Span, left: int = LEFT) -> str:
    width, height = size
    length = span[1] - span[0]
    most = max(1, (width - left - RIGHT) // 60)
    step = next((each for each in TIME_STEPS if length / each <= most), TIME_STEPS[-1])
    form = "%H:%M" if step >= 60 else "%H:%M:%S"
    parts = []
    for number in range(math.ceil(span[0] / step), math.floor(span[1] / step) + 1):
        x = _x(number * step, span, left, width - RIGHT)
        if left + 20 < x < width - RIGHT - 10:
            text = time.strftime(form, time.localtime(number * step))
            parts.append(f'<text x="{x:.1f}" y="{height - 5}" text-anchor="middle">{text}</text>')
    return "".join(parts)


def _no_data(size: Size) -> str:
    return f'<text x="{size[0] / 2}" y="{size[1] / 2}" text-anchor="middle">no data</text>'


def _x(at: float, span: Span, left: float, right: float) -> float:
    return left + (at - span[0]) / (span[1] - span[0]) * (right - left)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M " + " L ".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _svg(size: Size, content: str) -> str:
    return f'<svg width="{size[0]}" height="{size[1]}">{content}</svg>'
