"""Figures that are honest: rates, percentiles, drops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core import NS_PER_MS, NS_PER_S
from edge_detect.pipeline.statistics import Histogram, RateMeter


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
def test_percentiles_are_within_a_bins_width_of_the_sorted_samples(durations_ns):
    histogram = Histogram()
    for duration in durations_ns:
        histogram.add(duration)
    figures = histogram.percentiles()
    assert figures.n == len(durations_ns)
    ordered = np.sort(durations_ns)
    for share, found in ((0.5, figures.p50), (0.95, figures.p95), (0.99, figures.p99)):
        exact = ordered[max(0, int(np.ceil(share * len(ordered))) - 1)] / NS_PER_MS
        assert found == pytest.approx(exact, rel=1 / 32, abs=1e-6)


def test_empty_histogram_gives_zeros():
    assert Histogram().percentiles().n == 0
    assert Histogram().percentiles().p99 == 0.0


def test_impossible_durations_are_counted_at_the_ends():
    histogram = Histogram()
    histogram.add(-5)
    histogram.add(2**80)
    figures = histogram.percentiles()
    assert figures.n == 2
    assert figures.p50 == 0.0
    assert figures.p99 > 24 * 3600 * 1000


def test_difference_of_two_copies_holds_what_came_between():
    histogram = Histogram()
    histogram.add(5 * NS_PER_MS)
    earlier = histogram.copy()
    histogram.add(50 * NS_PER_MS)
    recent = histogram.since(earlier).percentiles()
    assert recent.n == 1
    assert recent.p50 == pytest.approx(50, rel=0.02)


@given(st.integers(1, 240), st.floats(5, 30), st.integers(0, 10**15))
def test_steady_rate_is_measured_within_a_bucket(fps, seconds, start_ns):
    meter = RateMeter(window_s=4)
    interval_ns = NS_PER_S // fps
    now_ns = start_ns
    for _ in range(int(seconds * fps)):
        meter.add(now_ns)
        now_ns += interval_ns
    # Counting whole frames in whole buckets can be off by a frame at each end.
    assert meter.per_second(now_ns) == pytest.approx(fps, abs=2 / 3.75 + fps * 0.02)


def test_rate_falls_to_zero_when_frames_stop():
    meter = RateMeter(window_s=4)
    for number in range(100):
        meter.add(number * NS_PER_S // 25)
    assert meter.per_second(4 * NS_PER_S) > 20
    assert meter.per_second(20 * NS_PER_S) == 0.0
    assert meter.count == 100


def test_rate_after_a_long_pause_forgets_what_was_before():
    meter = RateMeter(window_s=4)
    for number in range(100):
        meter.add(number * NS_PER_S // 25)
    meter.add(1000 * NS_PER_S)
    assert meter.per_second(1001 * NS_PER_S) < 1


def test_rate_of_nothing_is_zero():
    assert RateMeter().per_second() == 0.0
