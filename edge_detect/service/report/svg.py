"""Draws curves as inline SVG that stretches to any width; what is written is HTML beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_detect.service.report.axis import Scale, linear_scale, log_scale, time_ticks
from edge_detect.service.report.curves import Curves
from edge_detect.service.report.reader import FIGURES, Floats
from edge_detect.service.report.words import local, number

__all__ = ["KINDS", "Chart", "Mark", "Series", "Span", "flagged_spans"]

# The drawing's own units; its width and height follow the page.
_WIDTH, _HEIGHT = 1000.0, 100.0
_HOVER_COLUMNS = 96
_STRIP = 5.0
# A restart of a few seconds is to be seen in a year, too.
_THINNEST = 1.5
_APART = 3
# What spans and marks are called in the legend.
KINDS = {
    "off": "did not run",
    "under_voltage": "under-voltage",
    "throttled": "throttled or capped",
    "back": "source came back",
    "again": "started again",
    "reload": "new configuration",
}


@dataclass(slots=True, frozen=True)
class Series:
    """One curve.

    Attributes:
        figure: The column.
        label: What it is called.
        css: Class that has its colour.
        line: Of each step: its mean or its highest value.
        band: Whether the range from lowest to highest is shaded.
    """

    figure: str
    label: str
    css: str
    line: Literal["mean", "high"] = "mean"
    band: bool = False

    def values(self, curves: Curves) -> Floats:
        """(steps,), NaN where nothing is known."""
        place = FIGURES.index(self.figure)
        found: Floats = (curves.means if self.line == "mean" else curves.highs)[:, place]
        return found


@dataclass(slots=True, frozen=True)
class Span:
    """A time in which something was so.

    Attributes:
        begin_s: Unix time.
        end_s: Unix time.
        css: One of `KINDS`: `off` is as high as the chart, the others are a strip below.
        label: What it was.
    """

    begin_s: float
    end_s: float
    css: str
    label: str


@dataclass(slots=True, frozen=True)
class Mark:
    """A moment at which something happened.

    Attributes:
        at_s: Unix time.
        css: One of `KINDS`.
        label: What it was.
    """

    at_s: float
    css: str
    label: str


@dataclass(slots=True)
class Chart:
    """One drawing with its axes, legend and text for screen readers.

    Attributes:
        title: What is drawn.
        unit: Of all values.
        curves: The figures.
        series: Which of them.
        until_s: Unix time of the right edge.
        logarithmic: Whether ten times as much is the same way everywhere.
        from_zero: Whether the axis begins at 0.
        spans: Shaded.
        marks: Ticks along the upper edge.
    """

    title: str
    unit: str
    curves: Curves
    series: Sequence[Series]
    until_s: float
    logarithmic: bool = False
    from_zero: bool = True
    spans: Sequence[Span] = ()
    marks: Sequence[Mark] = ()
    _known: list[tuple[Series, Floats]] = field(default_factory=list)

    def as_html(self) -> str:
        """The drawing; empty if nothing is known of any of its curves."""
        values = [(each, each.values(self.curves)) for each in self.series]
        self._known = [(each, found) for each, found in values if np.isfinite(found).any()]
        if not self._known:
            return ""
        scale = self._scale()
        ticks = [(scale.place(value), _tick(value)) for value in scale.ticks]
        grid = "".join(f'<path class="grid" d="M0 {_y(place)}H{_WIDTH:g}"/>' for place, _ in ticks)
        lines = [self._line(each, found, scale) for each, found in self._known]
        bands = [self._band(each, scale) for each, _ in self._known if each.band]
        drawing = "".join([*self._spans(), grid, *bands, *lines, *self._marks(), *self._hovers()])
        beside = "".join(
            f'<span style="bottom:{100 * place:.2f}%">{text}</span>' for place, text in ticks
        )
        below = "".join(
            f'<span style="left:{self._x(at_s) / _WIDTH:.2%}">{escape(text)}</span>'
            for at_s, text in time_ticks(self.curves.since_s, self.until_s)
        )
        return (
            f"<figure><figcaption><b>{escape(self.title)}</b> <i>{escape(self._unit_text())}</i>"
            f'{self._legend()}</figcaption><div class="plot"><div class="y" aria-hidden="true">'
            f'{beside}</div><svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" '
            f'role="img" aria-label="{escape(self._spoken())}">{drawing}</svg>'
            f'<div class="x" aria-hidden="true">{below}</div></div></figure>'
        )

    def _scale(self) -> Scale:
        extremes: list[float] = []
        for each, found in self._known:
            place = FIGURES.index(each.figure)
            drawn = [self.curves.lows[:, place], self.curves.highs[:, place]]
            for values in drawn if each.band else [found]:
                extremes += [float(np.nanmin(values)), float(np.nanmax(values))]
        low, high = min(extremes), max(extremes)
        if self.logarithmic:
            return log_scale(max(low, 0.1), max(high, 0.2))
        return linear_scale(0.0 if self.from_zero else low, max(high, 0.0))

    def _unit_text(self) -> str:
        return f"{self.unit}, logarithmic" if self.logarithmic else self.unit

    def _legend(self) -> str:
        entries = [(each.css, each.label) for each, _ in self._known]
        seen = {span.css for span in self.spans} | {mark.css for mark in self.marks}
        entries += [(css, label) for css, label in KINDS.items() if css in seen]
        return "".join(
            f'<span class="key"><svg viewBox="0 0 16 10" aria-hidden="true">'
            f"{_swatch(css)}</svg>{escape(label)}</span>"
            for css, label in entries
        )

    def _spoken(self) -> str:
        parts = [
            f"{each.label} from {number(float(np.nanmin(found)))} to "
            f"{number(float(np.nanmax(found)))}"
            for each, found in self._known
        ]
        return f"{self.title} in {self.unit}: {'; '.join(parts)}"

    def _x(self, at_s: float) -> float:
        share = (at_s - self.curves.since_s) / (self.until_s - self.curves.since_s)
        return _WIDTH * min(max(share, 0.0), 1.0)

    def _runs(self, known: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
        """Steps that are joined by a line: not across times of which nothing is known."""
        places = np.flatnonzero(known)
        # An interval that is longer than a step leaves steps out between two lines.
        most = 1.6 * max(self.curves.longest_s / self.curves.step_s, 1.0)
        return np.split(places, np.flatnonzero(np.diff(places) > most) + 1)

    def _points(self, places: Iterable[int], values: Floats, scale: Scale) -> list[str]:
        wide = _WIDTH / len(values)
        return [
            f"{(place + 0.5) * wide:.1f} {_y(scale.place(float(values[place])))}"
            for place in places
        ]

    def _line(self, series: Series, values: Floats, scale: Scale) -> str:
        parts = []
        for run in self._runs(np.isfinite(values)):
            points = self._points(run, values, scale)
            # A single point would be no line at all.
            parts.append(f"M{'L'.join(points)}" + ("h.1" if len(points) == 1 else ""))
        return f'<path class="line {series.css}" d="{"".join(parts)}"/>'

    def _band(self, series: Series, scale: Scale) -> str:
        place = FIGURES.index(series.figure)
        lows, highs = self.curves.lows[:, place], self.curves.highs[:, place]
        parts = []
        for run in self._runs(np.isfinite(lows)):
            there = self._points(run, highs, scale)
            back = self._points(run[::-1], lows, scale)
            parts.append(f"M{'L'.join([*there, *back])}Z")
        return f'<path class="band {series.css}" d="{"".join(parts)}"/>'

    def _spans(self) -> list[str]:
        drawn = []
        for span in self.spans:
            left, right = self._x(span.begin_s), self._x(span.end_s)
            top = 0.0 if span.css == "off" else _HEIGHT - _STRIP
            drawn.append(
                f'<rect class="{span.css}" x="{left:.1f}" y="{top:g}" '
                f'width="{max(right - left, _THINNEST):.1f}" height="{_HEIGHT - top:g}"/>'
            )
        return drawn

    def _marks(self) -> list[str]:
        # So many as can be told apart: each one may stand for several.
        places = {(mark.css, round(self._x(mark.at_s) / _APART) * _APART) for mark in self.marks}
        return [f'<path class="mark {css}" d="M{x} 0v9"/>' for css, x in sorted(places)]

    def _hovers(self) -> list[str]:
        """What a pointer is told: the figures of a part of the time, and what happened."""
        steps = len(self.curves.lows)
        edges = np.unique(np.linspace(0, steps, min(_HOVER_COLUMNS, steps) + 1).astype(int))
        wide = _WIDTH / steps
        return [
            f'<rect class="hover" x="{begin * wide:.1f}" y="0" width="{(end - begin) * wide:.1f}" '
            f'height="{_HEIGHT:g}"><title>{escape(self._told(begin, end))}</title></rect>'
            for begin, end in pairwise(edges.tolist())
        ]

    def _told(self, begin: int, end: int) -> str:
        begin_s = self.curves.since_s + begin * self.curves.step_s
        end_s = self.curves.since_s + end * self.curves.step_s
        lines = [f"{local(begin_s)} to {local(end_s)[-5:]}"]
        for each, found in self._known:
            part = found[begin:end]
            if np.isfinite(part).any():
                low, high = number(float(np.nanmin(part))), number(float(np.nanmax(part)))
                lines.append(f"{each.label} {low if low == high else f'{low} to {high}'}")
        lines += [each.label for each in self.marks if begin_s <= each.at_s < end_s][:3]
        spans = [each for each in self.spans if each.begin_s < end_s and begin_s < each.end_s]
        return "\n".join([*lines, *(each.label for each in spans[:3])])


def flagged_spans(curves: Curves, flags: Sequence[str], css: str, label: str) -> list[Span]:
    """When any of the board's flags was up.

    Args:
        curves: The figures.
        flags: Columns.
        css: Class of the spans.
        label: What they are called.
    """
    places = [FIGURES.index(flag) for flag in flags]
    raised = np.flatnonzero((np.nan_to_num(curves.highs[:, places]) > 0).any(axis=1))
    if not len(raised):
        return []
    runs = np.split(raised, np.flatnonzero(np.diff(raised) > 1) + 1)
    return [
        Span(
            curves.since_s + float(run[0]) * curves.step_s,
            curves.since_s + float(run[-1] + 1) * curves.step_s,
            css,
            label,
        )
        for run in runs
    ]


def _y(place: float) -> str:
    return f"{_HEIGHT * (1 - min(max(place, 0.0), 1.0)):.1f}"


def _tick(value: float) -> str:
    return f"{value:g}" if abs(value) < 10_000 else f"{value:.0f}"


def _swatch(css: str) -> str:
    if css == "off" or css in ("throttled", "under_voltage"):
        return f'<rect class="{css}" width="16" height="10"/>'
    if css in KINDS:
        return f'<path class="mark {css}" d="M8 0v10"/>'
    return f'<path class="line {css}" d="M0 5h16"/>'
