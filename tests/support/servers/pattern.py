"""A picture that tells its number and the moment at which it was made.

Both stand in the upper half as 16 x 4 black and white blocks, with a checksum, large enough
to survive any codec: whoever reads the picture at the other end of a stream knows its order
and its age, and sees when it was damaged.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Stamp", "draw", "read"]

_COLUMNS, _ROWS = 16, 4
_NUMBER_BITS, _TIME_BITS, _SUM_BITS = 24, 32, 8


class Stamp(NamedTuple):
    """What a picture says.

    Attributes:
        number: From 0.
        made_ms: CLOCK_MONOTONIC milliseconds, modulo 2 ** 32.
    """

    number: int
    made_ms: int

    def age_ms(self, now_ns: int) -> int:
        """How long ago the picture was made, seen from `now_ns` on CLOCK_MONOTONIC."""
        return (now_ns // 1_000_000 - self.made_ms) % (1 << _TIME_BITS)


def draw(width: int, height: int, number: int, now_ns: int) -> NDArray[np.uint8]:
    """Make a picture.

    Returns:
        (height, width, 3) uint8 in B, G, R order.
    """
    payload = (number << _TIME_BITS) | (now_ns // 1_000_000 % (1 << _TIME_BITS))
    value = (payload << _SUM_BITS) | _checksum(payload)
    bits = [value >> shift & 1 for shift in range(_COLUMNS * _ROWS)]
    blocks = np.array(bits, np.uint8).reshape(_ROWS, _COLUMNS) * 195 + 30
    image = np.empty((height, width, 3), np.uint8)
    rows = np.arange(height // 2) * _ROWS // (height // 2)
    columns = np.arange(width) * _COLUMNS // width
    image[: height // 2] = blocks[rows][:, columns, None]
    # Something that moves, so that the encoder has work.
    waves = (np.arange(width) * 256 // width + 8 * number) % 256
    image[height // 2 :] = waves.astype(np.uint8)[None, :, None]
    return image


def read(image: NDArray[np.uint8]) -> Stamp | None:
    """Read a picture of any size.

    Args:
        image: (height, width, 3) uint8.

    Returns:
        What it says; None if it is damaged.
    """
    height, width = image.shape[:2]
    value = 0
    for index in range(_COLUMNS * _ROWS):
        row, column = divmod(index, _COLUMNS)
        y = (2 * row + 1) * (height // 2) // (2 * _ROWS)
        x = (2 * column + 1) * width // (2 * _COLUMNS)
        middle = image[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        value |= int(middle.mean() > 128) << index
    payload, checksum = value >> _SUM_BITS, value & ((1 << _SUM_BITS) - 1)
    if _checksum(payload) != checksum:
        return None
    return Stamp(payload >> _TIME_BITS, payload & ((1 << _TIME_BITS) - 1))


def _checksum(payload: int) -> int:
    """Of a black picture it is not 0, so that black is no stamp."""
    data = payload.to_bytes((_NUMBER_BITS + _TIME_BITS) // 8, "big")
    return (sum((index + 1) * byte for index, byte in enumerate(data)) + 0x5A) & 0xFF
