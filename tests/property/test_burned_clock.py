"""A time that was burned in is read back exactly, or not at all."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core.burned_clock import burn_clock, read_clock

SIZES = st.sampled_from([(1280, 720), (640, 360), (320, 240), (88, 8), (1920, 1080), (641, 361)])


@given(st.integers(0, 2**62), st.integers(0, 3_000_000_000), SIZES)
def test_the_clock_is_read_back_to_the_microsecond(taken_ns, later_ns, size):
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    burned_ns = burn_clock(image, taken_ns)
    assert 0 <= taken_ns - burned_ns < 1000
    assert read_clock(image, taken_ns + later_ns) == burned_ns


@given(st.integers(0, 2**50), st.integers(0, 2**32 - 1))
def test_it_survives_a_coarse_codec(taken_ns, seed):
    image = np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)
    burned_ns = burn_clock(image, taken_ns)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])
    assert read_clock(cv2.imdecode(data, cv2.IMREAD_COLOR), taken_ns + 1000) == burned_ns


@pytest.mark.parametrize("color", [0, 255])
def test_a_picture_without_a_clock_has_none(color):
    image = np.full((240, 320, 3), color, np.uint8)
    assert read_clock(image, 10**15) is None


def test_a_clock_of_before_the_start_of_this_machine_is_none():
    image = np.full((240, 320, 3), 90, np.uint8)
    burn_clock(image, 5_000_000_000)
    assert read_clock(image, 3_000_000_000) is None


def test_a_picture_too_small_for_a_clock_is_a_mistake():
    with pytest.raises(ValueError, match="88x8"):
        burn_clock(np.zeros((8, 80, 3), np.uint8), 0)
