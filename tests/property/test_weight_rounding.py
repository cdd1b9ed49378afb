"""Rounded weights: never worse than the nearest step by the measure that they minimize."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detect.tools.convert.weights import (
    MOST_TAPS,
    InputStatistics,
    round_depthwise,
    round_matrix,
    round_weights,
    weight_scales,
)


def covariance_of(random, taps, likeness):
    """Of inputs that are more or less alike."""
    common = random.normal(size=(200, 1))
    rows = likeness * common + random.normal(size=(200, taps)) * random.uniform(0.1, 2, taps)
    return np.cov(rows, rowvar=False).reshape(taps, taps)


def loss(weights, steps, scales, covariance):
    errors = weights - steps * scales[:, None]
    return np.einsum("fi,ij,fj->f", errors, covariance, errors)


def rounded_slowly(weights, scale, covariance):
    """One filter, tap by tap from the last, each where the loss is least.

    All earlier taps are free to make up for it, which the Schur complement tells.
    """
    steps = np.zeros(len(weights))
    errors = np.zeros(len(weights))
    for tap in range(len(weights) - 1, -1, -1):
        kept, free = slice(tap, None), slice(0, tap)
        explained = covariance[kept, free] @ np.linalg.pinv(covariance[free, free])
        left = covariance[kept, kept] - explained @ covariance[free, kept]
        wanted = weights[tap] + left[0, 1:] @ errors[tap + 1 :] / left[0, 0]
        steps[tap] = np.clip(np.round(wanted / scale), -127, 127)
        errors[tap] = weights[tap] - steps[tap] * scale
    return steps


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 150), st.floats(0, 3))
def test_rounding_by_covariance_loses_no_more_than_rounding_to_the_nearest(
    seed, filters, taps, likeness
):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(filters, taps))
    covariance = covariance_of(random, taps, likeness)
    scales = np.abs(weights).max(axis=1) / 127
    steps = round_matrix(weights, scales, covariance)
    assert steps.dtype == np.int8
    assert np.abs(steps.astype(int)).max() <= 127
    nearest = np.round(weights / scales[:, None])
    found = loss(weights, steps, scales, covariance).sum()
    assert found <= 1.1 * loss(weights, nearest, scales, covariance).sum()


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_rounding_is_that_of_the_slow_reference(seed, channels):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(channels, 9))
    covariances = np.stack([covariance_of(random, 9, 1.5) for _ in range(channels)])
    # In ascending order of variance, so that both take the taps in the same order.
    order = np.argsort(np.diagonal(covariances, axis1=1, axis2=2), axis=1)
    for channel, each in enumerate(order):
        covariances[channel] = covariances[channel][np.ix_(each, each)]
    scales = np.abs(weights).max(axis=1) / 127
    found = round_depthwise(weights, scales, covariances, damping=(0,))
    for channel in range(channels):
        expected = rounded_slowly(weights[channel], scales[channel], covariances[channel])
        np.testing.assert_array_equal(found[channel], expected)
        one = slice(channel, channel + 1)
        alone = round_matrix(weights[one], scales[one], covariances[channel], damping=(0,))
        np.testing.assert_array_equal(alone[0], expected)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 60))
def test_step_is_the_largest_weight_over_127_or_up_to_a_quarter_less(seed, filters, taps):
    random = np.random.default_rng(seed)
    weights = random.standard_t(3, size=(filters, taps))
    scales = weight_scales(weights, np.ones(taps))
    full = np.abs(weights).max(axis=1) / 127
    assert (scales <= full * (1 + 1e-9)).all()
    assert (scales >= 0.75 * full * (1 - 1e-9)).all()


def test_filter_of_zeros_has_a_positive_step_and_zero_weights():
    kernel = np.zeros((3, 1, 1, 5))
    kernel[0] = 0.5
    made = round_weights(kernel, InputStatistics(np.zeros(5), np.eye(5)), "CONV_2D")
    assert (made.scales > 0).all()
    assert not made.values[1:].any()


def test_real_weights_are_steps_times_scales_in_both_layouts():
    random = np.random.default_rng(2)
    for kind, shape, taps in (
        ("CONV_2D", (4, 3, 3, 2), 18),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 4), 9),
    ):
        depthwise = kind == "DEPTHWISE_CONV_2D"
        kernel = random.normal(size=shape)
        covariance = np.broadcast_to(np.eye(taps), (4, taps, taps)) if depthwise else np.eye(taps)
        made = round_weights(
            kernel, InputStatistics(np.zeros(covariance.shape[:-1]), covariance), kind
        )
        assert made.values.shape == shape
        np.testing.assert_allclose(made.real(depthwise=depthwise), kernel, atol=0.03)


def test_weights_are_rounded_by_a_covariance_that_is_not_positive_definite():
    random = np.random.default_rng(1)
    weights = random.normal(size=(3, 8))
    scales = np.abs(weights).max(axis=1) / 127
    common = random.normal(size=(8, 1))
    covariance = common @ common.T - 0.3 * np.eye(8)
    assert np.linalg.eigvalsh(covariance).min() < -0.2
    for steps in (
        round_matrix(weights, scales, covariance),
        round_depthwise(weights, scales, np.broadcast_to(covariance, (3, 8, 8))),
    ):
        assert np.abs(steps * scales[:, None] - weights).max() < 0.5


def test_too_many_taps_for_a_covariance_are_rounded_to_the_nearest_step():
    taps = MOST_TAPS + 1
    kernel = np.random.default_rng(1).normal(size=(2, taps))
    seen = InputStatistics(np.zeros(taps), np.ones(taps, np.float32))
    made = round_weights(kernel, seen, "FULLY_CONNECTED")
    nearest = np.clip(np.round(kernel / made.scales), -127, 127)
    np.testing.assert_array_equal(made.values, nearest)


def test_statistics_of_multiplied_inputs_are_those_of_the_products():
    random = np.random.default_rng(1)
    rows = random.normal(size=(500, 4)) + 3
    factors = np.array([1.0, 2.0, -0.5, 4.0])
    seen = InputStatistics(rows.mean(axis=0), np.cov(rows, rowvar=False)).scaled(factors)
    np.testing.assert_allclose(seen.mean, (rows * factors).mean(axis=0))
    np.testing.assert_allclose(seen.covariance, np.cov(rows * factors, rowvar=False))
    alone = InputStatistics(rows.mean(axis=0), rows.var(axis=0)).scaled(factors)
    np.testing.assert_allclose(alone.covariance, (rows * factors).var(axis=0))
    np.testing.assert_allclose(alone.variance, alone.covariance)
