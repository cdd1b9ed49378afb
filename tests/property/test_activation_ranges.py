"""Ranges and histograms of activations, against searches over the values themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detect.tools.convert.histograms import BINS, STEP, ChannelHistogram, bin_values, moved
from edge_detect.tools.convert.ranges import best_range, best_window


def histogram_of(values):
    histogram = ChannelHistogram(values.shape[1])
    histogram.add(values.astype(np.float32))
    return histogram


def quantized(values, low, high):
    scale = (high - low) / 255
    return np.clip(np.round(values / scale), np.round(low / scale), np.round(high / scale)) * scale


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(4, 10))
def test_best_window_loses_hardly_more_than_the_best_of_a_search(seed, size, freedom):
    random = np.random.default_rng(seed)
    values = size * random.standard_t(freedom, 20_000)
    shares = histogram_of(values[:, None]).normalized()[0]
    low, high = best_window(shares, 1.0, negative=1.0, clip_weight=1.0)
    assert low <= 0 <= high
    found = ((quantized(values, low, high) - values) ** 2).mean()
    ends = np.abs(values).max() * np.linspace(0.05, 1, 40)
    searched = min(((quantized(values, -end, end) - values) ** 2).mean() for end in ends)
    assert found < 1.1 * searched


def test_errors_below_zero_that_hardly_count_are_clipped():
    values = np.random.default_rng(0).normal(-4, 3, (100_000, 1))
    shares = histogram_of(values).normalized()[0]
    plain = best_window(shares, 1.0, negative=1.0, clip_weight=1.0)
    before_leaky = best_window(shares, 1.0, negative=0.01, clip_weight=1.0)
    assert before_leaky[0] > plain[0]


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_moved_histogram_is_that_of_multiplied_values(seed, power):
    random = np.random.default_rng(seed)
    values = random.uniform(0.01, 5, (500, 1)) * random.choice([-1, 1], (500, 1))
    # Half a bin away from every edge, so that rounding does not decide.
    values = np.sign(values) * STEP ** (np.round(np.log(np.abs(values)) / np.log(STEP)) + 0.5)
    expected = histogram_of(values * STEP**power).normalized()[0]
    found = moved(histogram_of(values).normalized()[0], power)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_bins_ascend_with_zero_in_the_middle_and_hold_their_values():
    values = bin_values()
    assert values.shape == (BINS,)
    assert (np.diff(values) > 0).all()
    assert values[BINS // 2] == 0
    shares = histogram_of(np.array([[0.0], [1.5], [-0.3]])).normalized()[0]
    assert values[shares > 0] == pytest.approx([-0.3, 0, 1.5], rel=0.05)


def test_mirrored_channels_change_their_sign_and_no_others():
    values = np.array([[1.0, 2.0], [-3.0, 4.0]])
    histogram = histogram_of(values)
    histogram.mirror(np.array([True, False]))
    np.testing.assert_array_equal(histogram.shares, histogram_of(values * [-1, 1]).shares)
    assert histogram.low.tolist() == [-1, 2]
    assert histogram.high.tolist() == [3, 4]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3), st.floats(0.5, 4))
def test_mean_of_multiplied_and_clipped_values_is_nearly_exact(seed, spread, factor):
    random = np.random.default_rng(seed)
    values = random.normal([1, -2], spread, (5000, 2)).astype(np.float32)
    histogram = histogram_of(values)
    histogram.average(values)
    factors = np.array([factor, 1.0])
    for low, high in ((-1e9, 1e9), (-1.5, 2.0), (0.0, 1.0)):
        expected = np.clip(values * factors, low, high).mean(axis=0)
        np.testing.assert_allclose(
            histogram.mean(factors, low, high), expected, atol=0.05 * spread * factor
        )
    np.testing.assert_allclose(histogram.mean(factors, -1e9, 1e9), values.mean(0) * factors, 1e-5)


@pytest.mark.parametrize("size", [1e-3, 1e5])
def test_range_suits_tiny_and_large_values(size):
    values = size * np.random.default_rng(0).uniform(-1, 1, 10_000)
    low, high = best_range(values.astype(np.float32))
    assert high == pytest.approx(size, rel=0.1)
    assert low == pytest.approx(-size, rel=0.1)
