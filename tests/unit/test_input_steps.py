"""The bytes that a quantized network takes stand for what the float network takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.models.spec import InputSpec
from edge_detect.tools.convert.input_steps import input_steps

MEANS = st.lists(st.floats(0, 255), min_size=3, max_size=3)
DEVIATIONS = st.lists(st.floats(0.5, 300), min_size=3, max_size=3)


def spec(mean, std, color="rgb"):
    return InputSpec(size=(8, 8), color=color, resize="stretch", mean=mean, std=std)


@pytest.mark.parametrize(("mean", "std"), [(0, 255), (127.5, 127.5), (0, 1), ((9, 9, 9), 57)])
def test_pixels_go_in_as_they_are_where_channels_are_scaled_alike(mean, std):
    """No table is needed, whatever the range of the real values."""
    steps = input_steps(spec(mean, std))
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3)
    assert np.array_equal(steps.bytes_of(pixels), pixels)
    first = mean[0] if isinstance(mean, tuple) else mean
    assert steps.input_range == pytest.approx(((0 - first) / std, (255 - first) / std))
    assert "encoding" not in steps.manifest


@given(mean=MEANS, std=DEVIATIONS, seed=st.integers(0, 99))
def test_bytes_are_within_half_a_step_of_the_real_value(mean, std, seed):
    """Channels scaled differently share one step; zero is a whole number of steps."""
    steps = input_steps(spec(mean, std))
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    low, high = steps.input_range
    scale = (high - low) / 255
    real = (pixels - np.array(mean)) / np.array(std)
    held = steps.bytes_of(pixels) * scale + low
    assert np.abs(held - real).max() <= scale * 0.501
    if len({*zip(mean, std, strict=True)}) > 1:
        assert low / scale == pytest.approx(round(low / scale), abs=1e-6)
        assert steps.manifest["encoding"] == "normalized"


def test_a_grey_input_has_one_table():
    """One channel is scaled like itself."""
    steps = input_steps(spec(128, 1, "grey"))
    pixels = np.arange(256, dtype=np.uint8)[:, None]
    assert np.array_equal(steps.bytes_of(pixels), pixels)
    assert steps.input_range == (-128, 127)
