"""Honest figures: rates over a window, durations as histograms, drops by stage.

Everything here has a fixed size, however long the pipeline runs. Each counter has one
writing thread; readers take copies.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from threading import Lock

from edge_detect.core import NS_PER_MS, NS_PER_S, Percentiles, monotonic_ns

__all__ = ["Histogram", "RateMeter", "RecentHistogram", "Statistics"]

# 32 bins per octave: a percentile is off by at most 1/64 of its value.
_SUB_BITS = 5
_SUB = 1 << _SUB_BITS
_OCTAVES = 45  # up to 2**50 ns, 13 days
_BINS = _SUB * _OCTAVES


class Histogram:
    """Durations in bins that grow with their value (as in HdrHistogram).

    Attributes:
        total_ns: Sum of all durations.
    """

    __slots__ = ("_counts", "total_ns")

    def __init__(self, counts: Sequence[int] | None = None, total_ns: int = 0) -> None:
        self._counts = list(counts) if counts is not None else [0] * _BINS
        self.total_ns = total_ns

    def add(self, duration_ns: int) -> None:
        """Count one duration; negative ones count as 0, endless ones as the last bin."""
        value = max(0, duration_ns)
        shift = value.bit_length() - _SUB_BITS - 1
        place = (shift << _SUB_BITS) + (value >> shift) if shift > 0 else value
        self._counts[place if place < _BINS else _BINS - 1] += 1
        self.total_ns += value

    def copy(self) -> "Histogram":
        """The state of now."""
        return Histogram(self._counts, self.total_ns)

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was counted after the copy `earlier` was taken."""
        pairs = zip(self._counts, earlier._counts, strict=True)  # noqa: SLF001 - of its own kind
        total_ns = self.total_ns - earlier.total_ns
        return Histogram([now - then for now, then in pairs], total_ns)

    def merged(self, other: "Histogram") -> "Histogram":
        """Both together."""
        pairs = zip(self._counts, other._counts, strict=True)  # noqa: SLF001 - of its own kind
        return Histogram([one + another for one, another in pairs], self.total_ns + other.total_ns)

    def counts_up_to(self, bounds_ns: Sequence[int]) -> list[int]:
        """How many durations were at most as long as each bound, to the width of a bin.

        Args:
            bounds_ns: Ascending.
        """
        counts = self._counts
        ends = _bins_up_to(tuple(bounds_ns))
        parts = [sum(counts[begin:end]) for begin, end in pairwise((0, *ends))]
        return list(accumulate(parts))

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self._counts)

    def percentiles(self) -> Percentiles:
        """Count and p50, p95, p99."""
        counts = self._counts
        n = sum(counts)
        if n == 0:
            return Percentiles(0, 0.0, 0.0, 0.0)
        wanted = [n * share for share in (0.50, 0.95, 0.99)]
        found: list[float] = []
        seen = 0
        for index, count in enumerate(counts):
            seen += count
            while len(found) < len(wanted) and seen >= wanted[len(found)]:
                found.append(_bin_centre_ns(index) / NS_PER_MS)
        return Percentiles(n, *found)


@lru_cache(maxsize=8)
def _bins_up_to(bounds_ns: tuple[int, ...]) -> list[int]:
    """How many bins are centred at or below each bound."""
    centres = [_bin_centre_ns(index) for index in range(_BINS)]
    return [bisect_right(centres, bound_ns) for bound_ns in bounds_ns]


def _bin_centre_ns(index: int) -> float:
    shift = max(0, (index >> _SUB_BITS) - 1)
    lower = (index - (shift << _SUB_BITS)) << shift
    return lower + (1 << shift) / 2 if shift else float(lower)


class RateMeter:
    """Events per second over the last seconds, and in all.

    Args:
        window_s: How far back the rate looks.
    """

    __slots__ = ("_bucket_ns", "_buckets", "_newest", "_started_ns", "count")

    _BUCKETS = 16

    def __init__(self, window_s: float = 4.0) -> None:
        self._bucket_ns = round(window_s * NS_PER_S / self._BUCKETS)
        self._buckets = [0] * self._BUCKETS
        self._newest = 0
        self._started_ns = 0
        self.count = 0

    def add(self, now_ns: int | None = None) -> None:
        """Count one event."""
        now = monotonic_ns() if now_ns is None else now_ns
        if not self.count:
            self._started_ns = now
            self._newest = now // self._bucket_ns
        self._advance(now)
        self._buckets[self._newest % self._BUCKETS] += 1
        self.count += 1

    def per_second(self, now_ns: int | None = None) -> float:
        """The rate over the window, or since the first event if that is shorter."""
        now = monotonic_ns() if now_ns is None else now_ns
        if not self.count or now <= self._started_ns:
            return 0.0
        current = now // self._bucket_ns
        # The bucket in progress is left out: half-filled, it would make the rate flicker.
        oldest = current - self._BUCKETS + 1
        total = sum(
            self._buckets[number % self._BUCKETS]
            for number in range(max(oldest, self._newest - self._BUCKETS + 1), self._newest + 1)
            if number < current
        )
        begin_ns = oldest * self._bucket_ns
        if begin_ns <= self._started_ns:
            # Measured from the first event on, which therefore is none of those counted.
            begin_ns, total = self._started_ns, total - 1
        span_ns = current * self._bucket_ns - begin_ns
        return max(0, total) * NS_PER_S / span_ns if span_ns > 0 else 0.0

    def _advance(self, now: int) -> None:
        current = now // self._bucket_ns
        for number in range(max(self._newest, current - self._BUCKETS) + 1, current + 1):
            self._buckets[number % self._BUCKETS] = 0
        self._newest = max(self._newest, current)


class RecentHistogram(Histogram):
    """A histogram that also knows what was counted of late.

    Args:
        span_s: `recent` looks back at least so far, and at most twice as far.
    """

    __slots__ = ("_lock", "_marks", "_span_ns")

    def __init__(self, span_s: float = 5.0) -> None:
        super().__init__()
        self._lock = Lock()
        self._span_ns = round(span_s * NS_PER_S)
        now_ns = monotonic_ns()
        self._marks = [(now_ns, self.copy()), (now_ns, self.copy())]

    def recent(self) -> Percentiles:
        """Count and p50, p95, p99 of the last seconds; from any thread."""
        with self._lock:
            now_ns = monotonic_ns()
            if now_ns - self._marks[1][0] >= self._span_ns:
                self._marks = [self._marks[1], (now_ns, self.copy())]
            earlier = self._marks[0][1]
        return self.since(earlier).percentiles()


class Statistics:
    """Everything that a pipeline counts, but for its sinks, which count for themselves.

    Attributes:
        rates: Frames per stage: captured, detected, rendered.
        dropped: Frames that a stage was too slow for, by the stage's name.
        durations: Histograms by name: capture_to_detect, capture_to_render, preprocess,
            invoke, postprocess, overlay, boxes_age (how much older than the picture the
            frame is in which its boxes were found).
        detections: Objects found, in all.
    """

    STAGES = ("captured", "detected", "rendered")
    DURATIONS = (
        "capture_to_detect",
        "capture_to_render",
        "preprocess",
        "invoke",
        "postprocess",
        "overlay",
        "boxes_age",
    )

    def __init__(self) -> None:
        self.started_ns = monotonic_ns()
        self.rates = {name: RateMeter() for name in self.STAGES}
        self.durations = {name: RecentHistogram() for name in self.DURATIONS}
        self.dropped: dict[str, int] = {}
        self.detections = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the pipeline started."""
        return (monotonic_ns() - self.started_ns) / NS_PER_S

    def count_drop(self, stage: str) -> None:
        """Count a frame that `stage` was too slow for."""
        self.dropped[stage] = self.dropped.get(stage, 0) + 1
