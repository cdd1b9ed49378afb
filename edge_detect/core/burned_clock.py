"""A clock that is burned into pictures, to see at the far end when they were taken."""

import numpy as np
from numpy.typing import NDArray

from edge_detect.core.frame import Image

__all__ = ["burn_clock", "read_clock"]

# Microseconds of CLOCK_MONOTONIC, which last 19 hours, and a checksum against misreading.
_CLOCK_BITS, _CHECK_BITS = 36, 8
_BITS = _CLOCK_BITS + _CHECK_BITS
_ROWS = 2
_COLUMNS = _BITS // _ROWS
# Video codecs blur the edges of blocks; the middle of one this large survives.
_SMALLEST_SIDE = 4
_NS_PER_US = 1000


def burn_clock(image: Image, now_ns: int) -> int:
    """Burn a time into the lower right corner, as two rows of black and white squares.

    Args:
        image: (height, width, 3) uint8, at least 88x8 pixels; overwritten in place.
        now_ns: CLOCK_MONOTONIC.

    Returns:
        The time as `read_clock` gives it back: whole microseconds.

    Raises:
        ValueError: The image is too small.
    """
    side = _side(image)
    clock = now_ns // _NS_PER_US
    low = clock & ((1 << _CLOCK_BITS) - 1)
    code = low << _CHECK_BITS | _checksum(low)
    bits = np.array([code >> place & 1 for place in range(_BITS)], np.uint8) * np.uint8(255)
    squares = bits.reshape(_ROWS, _COLUMNS, 1).repeat(side, axis=0).repeat(side, axis=1)
    _corner(image, side)[:] = squares
    return clock * _NS_PER_US


def read_clock(image: Image, now_ns: int) -> int | None:
    """Read the time that `burn_clock` left in a picture, also after a video codec.

    Args:
        image: (height, width, 3) uint8, of the same size.
        now_ns: CLOCK_MONOTONIC; the time read is the latest one before it that fits.

    Returns:
        CLOCK_MONOTONIC in nanoseconds, or None where no clock can be read, or only a time
        before the clock began.
    """
    side = _side(image)
    squares = _corner(image, side).reshape(_ROWS, side, _COLUMNS, side, 3)
    quarter = side // 4
    middle = squares[:, quarter : side - quarter, :, quarter : side - quarter]
    bits = (middle.mean(axis=(1, 3, 4)) > 127).reshape(-1)
    places: list[int] = np.flatnonzero(bits).tolist()
    code: int = sum(1 << place for place in places)
    low, check = code >> _CHECK_BITS, code & ((1 << _CHECK_BITS) - 1)
    if check != _checksum(low):
        return None
    now = now_ns // _NS_PER_US
    clock = now - ((now - low) & ((1 << _CLOCK_BITS) - 1))
    return clock * _NS_PER_US if clock >= 0 else None


def _side(image: Image) -> int:
    """Side of a square in pixels: an eightieth of the width."""
    height, width = image.shape[:2]
    side: int = max(_SMALLEST_SIDE, width // 80)
    if width < side * _COLUMNS or height < side * _ROWS:
        raise ValueError(f"image must have at least 88x8 pixels for a clock, got {width}x{height}")
    return side


def _corner(image: Image, side: int) -> NDArray[np.uint8]:
    return image[-_ROWS * side :, -_COLUMNS * side :]


def _checksum(low: int) -> int:
    # Any multiplier that mixes all bits into the upper ones would do (Knuth, TAOCP vol. 3,
    # sec. 6.4); plain sums miss squares that were exchanged, and black pictures must fail.
    return ((low * 0x9E3779B1 + 0x5A5A5A5A) >> 24) & ((1 << _CHECK_BITS) - 1)
