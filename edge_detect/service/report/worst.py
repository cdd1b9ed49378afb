"""The few intervals of a year that somebody should look at."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from edge_detect.service.report.reader import FIGURES, Floats

__all__ = ["Minute", "WorstMinutes"]

_MOST = 5
# One bad hour should not fill the whole list.
_APART_S = 1800.0
_CANDIDATES = 200


@dataclass(slots=True, frozen=True)
class Minute:
    """One interval of one camera; None where nothing is known.

    Attributes:
        end_s: Unix time at which it ends.
        live: Share of it in which the source was live.
        captured_fps: Frames from the source.
        detected_fps: Frames that went through the detector.
        detect_p95_ms: Capture to detected.
        detect_p99_ms: Capture to detected.
    """

    end_s: float
    live: float | None
    captured_fps: float | None
    detected_fps: float | None
    detect_p95_ms: float | None
    detect_p99_ms: float | None


_FIELDS = ("live", "captured_fps", "detected_fps", "detect_p95_ms", "detect_p99_ms")
_PLACES = [FIGURES.index(name) for name in _FIELDS]


class WorstMinutes:
    """Keeps the worst intervals by one figure, at least half an hour apart.

    Args:
        figure: A column.
        highest: Whether high values are bad.
    """

    def __init__(self, figure: str, *, highest: bool) -> None:
        self._place = FIGURES.index(figure)
        self._sign = -1.0 if highest else 1.0
        self._found: list[tuple[float, Minute]] = []

    def add(self, end_s: Floats, figures: Floats) -> None:
        """Look at many intervals.

        Args:
            end_s: (n,) unix times.
            figures: (n, len(FIGURES)).
        """
        ranks = self._sign * figures[:, self._place]
        known = np.flatnonzero(np.isfinite(ranks))
        if len(self._found) == _MOST:
            # What is no worse than all that were kept need not be looked at.
            known = known[ranks[known] < self._found[-1][0]]
        order = known[np.argsort(ranks[known], kind="stable")][:_CANDIDATES]
        new = ((float(ranks[each]), _minute(float(end_s[each]), figures[each])) for each in order)
        self._found = _apart(sorted(chain(self._found, new), key=lambda each: each[0]))

    def chosen(self) -> list[Minute]:
        """At most five, the worst one first."""
        return [minute for _, minute in self._found]


def _apart(ranked: list[tuple[float, Minute]]) -> list[tuple[float, Minute]]:
    kept: list[tuple[float, Minute]] = []
    for rank, minute in ranked:
        if all(abs(minute.end_s - other.end_s) >= _APART_S for _, other in kept):
            kept.append((rank, minute))
            if len(kept) == _MOST:
                break
    return kept


def _minute(end_s: float, figures: Floats) -> Minute:
    values = (float(figures[place]) for place in _PLACES)
    return Minute(end_s, *(None if np.isnan(value) else value for value in values))
