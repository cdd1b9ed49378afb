"""A year in as many steps as a screen has room for, without losing a single spike."""

import numpy as np
from numpy.typing import NDArray

from edge_detect.service.report.reader import FIGURES, Floats, Lines

__all__ = ["Curves", "Tally", "add_durations"]

STEPS = 720
_PER_OCTAVE = 48
_OCTAVES = 28
_LEAST = 2.0**-7
# Parts of an interval's frames, each with the place of its middle in their order. Its three
# percentiles say how long those took: see `_places`.
_PARTS = np.array([0.05, *[0.1] * 9, 0.02, 0.02, 0.01])
_MIDDLES = np.array([0.025, *np.arange(1, 10) / 10, 0.96, 0.98, 0.99])


class Curves:
    """Lowest, mean and highest of every figure in each of up to 720 steps of time.

    Args:
        since_s: Unix time at which the first step begins.
        until_s: Unix time at which the last one ends.
        interval_s: Steps are no shorter than this.

    Attributes:
        since_s: As given.
        step_s: Length of a step.
        longest_s: The longest interval seen; gaps that are not longer are none.
        lows: (steps, len(FIGURES)); NaN where nothing is known, as in the other two.
        highs: As `lows`.
    """

    def __init__(self, since_s: float, until_s: float, interval_s: float) -> None:
        span_s = max(until_s - since_s, interval_s, 1.0)
        steps = int(np.clip(span_s // max(interval_s, 1.0), 1, STEPS))
        self.since_s, self.step_s = since_s, span_s / steps
        self.longest_s = interval_s
        self.lows = np.full((steps, len(FIGURES)), np.nan)
        self.highs = self.lows.copy()
        self._sums = np.zeros(self.lows.shape)
        self._weights = np.zeros(self.lows.shape)

    @property
    def means(self) -> Floats:
        """Means over time, as `lows`."""
        weights = np.where(self._weights > 0, self._weights, np.nan)
        means: Floats = self._sums / weights
        return means

    def add(self, lines: Lines) -> None:
        """Take lines of one camera into account."""
        interval_s = lines.figures[:, FIGURES.index("interval_s")]
        places = ((lines.end_s - interval_s / 2 - self.since_s) // self.step_s).astype(np.int64)
        places = np.clip(places, 0, len(self.lows) - 1)
        figures = lines.figures
        if np.any(np.diff(places) < 0):
            order = np.argsort(places, kind="stable")
            places, figures, interval_s = places[order], figures[order], interval_s[order]
        begins = np.flatnonzero(np.diff(places, prepend=-1))
        steps = places[begins]
        known = np.isfinite(figures)
        weights = known * interval_s[:, None]
        self.longest_s = max(self.longest_s, float(interval_s.max()))
        self.lows[steps] = np.fmin(self.lows[steps], np.fmin.reduceat(figures, begins))
        self.highs[steps] = np.fmax(self.highs[steps], np.fmax.reduceat(figures, begins))
        self._weights[steps] += np.add.reduceat(weights, begins)
        self._sums[steps] += np.add.reduceat(np.where(known, figures, 0) * weights, begins)


class Tally:
    """Which values there were and how often, to 1.5 %, in a fixed size."""

    def __init__(self) -> None:
        self._counts = np.zeros(_PER_OCTAVE * _OCTAVES)
        self._sums = np.zeros(_PER_OCTAVE * _OCTAVES)

    def add(self, values: Floats, weights: Floats) -> None:
        """Count values.

        Args:
            values: Finite, not negative.
            weights: As many, how often each one counts.
        """
        self._count(np.log2(np.maximum(values, _LEAST)), values, weights)

    def add_exponents(self, exponents: Floats, weights: Floats) -> None:
        """Count values of which the binary logarithms are known."""
        self._count(exponents, np.exp2(exponents), weights)

    def _count(self, exponents: Floats, values: Floats, weights: Floats) -> None:
        places = _bins(exponents)
        self._counts += np.bincount(places, weights, len(self._counts))
        self._sums += np.bincount(places, weights * values, len(self._sums))

    def quantile(self, share: float) -> float | None:
        """The value that `share` of all are not above; None if there are none."""
        total = np.cumsum(self._counts)
        if total[-1] <= 0:
            return None
        # Sums of many weights are not exact: a hair less is as good.
        place = int(np.searchsorted(total, total[-1] * share * (1 - 1e-9)))
        return float(self._sums[place] / self._counts[place])


def add_durations(tally: Tally, figures: Floats, name: str, frames: Floats) -> None:
    """Count the frames of many intervals, of which three percentiles are known.

    Between them the logarithm of the duration is taken as linear in the share of frames, and
    below the median as its mirror image: what is between the percentiles is an estimate.

    Args:
        tally: Counts them.
        figures: (n, len(FIGURES)).
        name: `detect` for the columns `detect_p50_ms` and so on.
        frames: (n,) how many there were in each interval.
    """
    known = [figures[:, FIGURES.index(f"{name}_{each}_ms")] for each in ("p50", "p95", "p99")]
    some = np.isfinite(known).all(axis=0) & (frames > 0)
    if not some.any():
        return
    p50, p95, p99 = (np.log2(np.maximum(each[some], _LEAST)) for each in known)
    for part, middle in zip(_PARTS, _MIDDLES, strict=True):
        upper = max(middle, 1 - middle)
        if upper <= 0.95:
            rise = (p95 - p50) * (upper - 0.5) / 0.45
        else:
            rise = p95 - p50 + (p99 - p95) * (upper - 0.95) / 0.04
        place = p50 + rise if middle >= 0.5 else p50 - rise
        tally.add_exponents(place, frames[some] * part)


def _bins(exponents: Floats) -> NDArray[np.int64]:
    places = ((exponents - np.log2(_LEAST)) * _PER_OCTAVE).astype(np.int64)
    clipped: NDArray[np.int64] = np.clip(places, 0, _PER_OCTAVE * _OCTAVES - 1)
    return clipped
