"""The report for a terminal: a table, small curves, and what went wrong when."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edge_detect.service.report.curves import Curves
from edge_detect.service.report.reader import FIGURES, Floats
from edge_detect.service.report.summary import CameraSummary, ComputerSummary, Report
from edge_detect.service.report.words import (
    FLAG_NAMES,
    duration,
    local,
    number,
    outage_text,
    percent,
    since_until,
)
from edge_detect.service.report.worst import Minute

__all__ = ["report_text"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 60
_MOST_EVENTS = 12


def report_text(report: Report) -> str:
    """The whole report, in lines of at most 100 characters."""
    lasted = duration(report.until_s - report.since_s)
    interval = duration(report.interval_s)
    period = since_until(report.since_s, report.until_s)
    parts = [
        f"{period}, {lasted}, a line every {interval}\n{report.directory}",
        _table(report.cameras),
        "\n".join(_curves(report)),
        "\n".join(_computer(report.computer)),
        "\n".join(_worst(report.cameras)),
        "\n".join(_events(report)),
    ]
    if report.unreadable:
        parts.append(f"{report.unreadable} damaged lines were left out")
    return "\n\n".join(part for part in parts if part)


def _table(cameras: Sequence[CameraSummary]) -> str:
    width = max(6, *(len(each.name) for each in cameras))
    lines = ["".join(cells) for cells in zip(*_heads(width), strict=True)]
    for each in cameras:
        delays = each.capture_to_detect
        cells = [
            f"{each.name:<{width}} {percent(each.available):>9}",
            f"{number(each.captured.p50):>6} {number(each.captured.least):>6}",
            f"{number(each.detected.p50):>6} {number(each.detected.least):>6}",
            f"{number(delays.p50):>6} {number(delays.p95):>6} {number(delays.p99):>6}",
            f"{number(each.dropped_fps, 2):>7}",
            f"{each.reconnects:>6} {each.restarts:>6}",
        ]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _heads(width: int) -> list[tuple[str, str]]:
    """Two lines above the table, group by group, as wide as `_table` has them."""
    return [
        (" " * width, f"{'camera':<{width}}"),
        (" " * 10, " available"),
        ("    captured fps", "     p50  least"),
        ("    detected fps", "     p50  least"),
        ("    capture→detected ms", "     p50    p95    p99"),
        ("  dropped", "      fps"),
        ("  recon-    re-", "   nects starts"),
    ]


def _curves(report: Report) -> list[str]:
    lines = []
    width = max(8, *(len(each.name) for each in report.cameras))
    for each in report.cameras:
        lines.append(_curve(each.name, width, "detected fps", each.curves, "detected_fps"))
        # Of the slowest frames the worst interval is shown: a mean would hide it.
        lines.append(_curve("", width, "p95 ms", each.curves, "detect_p95_ms", highest=True))
    curves = report.computer.curves
    for title, figure in (("SoC °C", "soc_c"), ("CPU cores", "cpu_cores")):
        line = _curve("", width, title, curves, figure, highest=figure == "soc_c")
        lines.append(line.replace(" " * width, f"{'computer':<{width}}", 1) if line else "")
    return [line for line in lines if line]


def _curve(
    name: str, width: int, title: str, curves: Curves, figure: str, *, highest: bool = False
) -> str:
    place = FIGURES.index(figure)
    values = curves.highs[:, place] if highest else curves.means[:, place]
    if not np.isfinite(values).any():
        return ""
    cells = _squeezed(values, highest=highest)
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    # Rates are shares of their highest value; the others would be flat if they began at 0.
    base = 0.0 if figure.endswith("_fps") else low
    spread = f"{number(low)} to {number(high)}"
    return f"{name:<{width}} {title:<12} {spread:>14}  {_blocks(cells, base, high)}"


def _squeezed(values: Floats, *, highest: bool) -> Floats:
    """As many values as there is room for; NaN where nothing is known."""
    edges = np.linspace(0, len(values), min(_CURVE_WIDTH, len(values)) + 1).astype(int)
    cells = []
    for begin, end in pairwise(edges.tolist()):
        known = values[begin:end][np.isfinite(values[begin:end])]
        value = (known.max() if highest else known.mean()) if len(known) else np.nan
        cells.append(float(value))
    return np.array(cells)


def _blocks(cells: Floats, base: float, high: float) -> str:
    span = max(high - base, 1e-9)
    return "".join(
        " " if np.isnan(cell) else _BLOCKS[min(7, int((cell - base) / span * 8))] for cell in cells
    )


def _computer(computer: ComputerSummary) -> list[str]:
    facts = []
    if computer.hottest_c is not None and computer.hottest_at_s is not None:
        facts.append(f"hottest {number(computer.hottest_c)} °C at {local(computer.hottest_at_s)}")
    if computer.cpu_cores is not None:
        facts.append(f"CPU {number(computer.cpu_cores, 2)} cores")
    if computer.largest_rss_mb is not None:
        facts.append(f"memory up to {number(computer.largest_rss_mb, 0)} MB")
    flags = [
        f"{FLAG_NAMES[flag]} {duration(lasted_s)}"
        for flag, lasted_s in computer.flagged_s.items()
        if lasted_s
    ]
    if computer.flagged_s and not flags:
        flags = ["never throttled, no under-voltage"]
    return [f"computer  {', '.join(each)}" for each in (facts, flags) if each]


def _worst(cameras: Sequence[CameraSummary]) -> list[str]:
    width = max(6, *(len(each.name) for each in cameras))
    lines = []
    for each in cameras:
        for title, minutes in (("slowest", each.slowest[:2]), ("fewest", each.fewest[:1])):
            lines += [f"  {each.name:<{width}}  {title:<8}{_minute(minute)}" for minute in minutes]
    return ["worst intervals", *lines] if lines else []


def _minute(minute: Minute) -> str:
    return (
        f"{local(minute.end_s)}  captured {number(minute.captured_fps):>5}  "
        f"detected {number(minute.detected_fps):>5} fps  "
        f"p95 {number(minute.detect_p95_ms):>6}  p99 {number(minute.detect_p99_ms):>6} ms"
    )


def _events(report: Report) -> list[str]:
    events = [(each.began_s, outage_text(each, report.until_s)) for each in report.outages]
    events += [(each, "configuration applied anew") for each in report.reloads_s]
    for camera in report.cameras:
        events += [(each, f"{camera.name}: source came back") for each in camera.reconnected_s]
        events += [(each, f"{camera.name}: started again") for each in camera.restarted_s]
    if not events:
        return ["no restarts, no reconnects"]
    lines = [f"  {local(at_s)}  {text}" for at_s, text in sorted(events)[-_MOST_EVENTS:]]
    left_out = len(events) - len(lines)
    more = f" (the newest {len(lines)} of {len(events)})" if left_out > 0 else ""
    return [f"what happened{more}", *lines]
