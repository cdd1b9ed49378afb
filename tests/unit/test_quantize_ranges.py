"""Ranges for quantization ignore outliers and keep what matters."""

import numpy as np
import pytest

from edge_detect.core import ConfigError
from edge_detect.models.spec import InputSpec
from edge_detect.tools.convert.calibration import calibration_pixels, read_pictures
from edge_detect.tools.convert.ranges import best_range


def squared_error(values, low, high):
    steps = np.clip(np.round((values - low) / (high - low) * 255), 0, 255)
    return float(((steps * (high - low) / 255 + low - values) ** 2).mean())


def test_range_with_an_outlier_loses_as_little_as_the_best_that_a_search_finds():
    values = np.random.default_rng(0).normal(0, 1, 1_000_000).astype(np.float32)
    values[0] = 60
    low, high = best_range(values)
    searched = min(squared_error(values, low, one) for one in np.linspace(5, 60, 23))
    found = squared_error(values, low, high)
    assert found < 1.05 * searched
    assert found < squared_error(values, values.min(), values.max()) / 2


def test_range_contains_zero_even_when_the_values_do_not():
    low, high = best_range(np.linspace(3, 5, 1000, dtype=np.float32))
    assert low == 0
    assert high == pytest.approx(5, rel=0.1)


def test_range_of_constant_zeros_is_not_empty():
    low, high = best_range(np.zeros(100, np.float32))
    assert high > low


def test_greater_weight_of_clipping_keeps_more_of_the_tail():
    values = np.random.default_rng(0).standard_t(3, 100_000).astype(np.float32)
    assert best_range(values, clip_weight=16)[1] > best_range(values)[1]


def test_calibration_pictures_are_letterboxed_and_in_the_models_colour_order():
    blue = np.zeros((50, 100, 3), np.uint8)
    blue[..., 0] = 255
    spec = InputSpec(size=(64, 64), resize="letterbox", color="rgb", pad=7)
    (pixels,) = calibration_pixels([blue], spec)
    assert pixels.shape == (1, 64, 64, 3)
    assert pixels[0, 0, 0].tolist() == [7, 7, 7]
    assert pixels[0, 32, 32].tolist() == [0, 0, 255]


def test_calibration_without_pictures_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no photos"):
        list(read_pictures([tmp_path]))
    with pytest.raises(ConfigError, match="does not exist"):
        list(read_pictures([tmp_path / "none.jpg"]))
    with pytest.raises(ConfigError, match="no pictures"):
        calibration_pixels([], InputSpec(size=(8, 8), resize="stretch"))
