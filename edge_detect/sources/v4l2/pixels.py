"""From the bytes of a camera to B, G, R images."""

from collections.abc import Callable

import av
import av.error
import av.logging
import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Image
from edge_detect.core.buffers import ImagePool
from edge_detect.sources.pixels import BgrConverter
from edge_detect.sources.v4l2.calls import PictureFormat

__all__ = ["READABLE", "Decode", "open_decoder"]

Decode = Callable[[NDArray[np.uint8]], Image | None]

# After so many pictures in a row that the strict decoder refuses, the camera's JPEG is taken
# to be odd, not damaged.
_ODD_AFTER = 30


class PackedDecoder:
    """Reads YUYV: two pixels in four bytes.

    Colours are taken for BT.601, limited range, the default of the kernel and of USB cameras.

    Args:
        layout: How the picture lies in the buffer.
        pool: Where the images come from.
    """

    def __init__(self, layout: PictureFormat, pool: ImagePool) -> None:
        self._width, self._height = layout.size
        self._stride = max(layout.stride, 2 * self._width)
        self._pool = pool

    def __call__(self, data: NDArray[np.uint8]) -> Image | None:
        """Convert one picture; None if bytes are missing."""
        rows = _rows(data, self._height, self._stride, 2 * self._width)
        if rows is None:
            return None
        image = self._pool.take(self._height, self._width)
        pixels = rows.reshape(self._height, self._width, 2)
        cv2.cvtColor(pixels, cv2.COLOR_YUV2BGR_YUY2, dst=image)
        return image


class PlanarDecoder:
    """Reads NV12: a plane of brightness, then one of colour at half the size; BT.601 limited.

    Args:
        layout: How the picture lies in the buffer.
        pool: Where the images come from.
    """

    def __init__(self, layout: PictureFormat, pool: ImagePool) -> None:
        self._width, self._height = layout.size
        self._stride = max(layout.stride, self._width)
        self._pool = pool

    def __call__(self, data: NDArray[np.uint8]) -> Image | None:
        """Convert one picture; None if bytes are missing."""
        height, width = self._height, self._width
        brightness = _rows(data, height, self._stride, width)
        color = _rows(data[height * self._stride :], height // 2, self._stride, width)
        if brightness is None or color is None:
            return None
        image = self._pool.take(height, width)
        color = color.reshape(height // 2, width // 2, 2)
        cv2.cvtColorTwoPlane(brightness, color, cv2.COLOR_YUV2BGR_NV12, dst=image)
        return image


class JpegDecoder:
    """Reads MJPG: a JPEG picture each, with or without its Huffman tables.

    FFmpeg's decoder takes 3.5 ms for 720p 4:2:2 with the conversion, `cv2.imdecode` 5.1 ms.

    Args:
        pool: Where the images come from.
    """

    def __init__(self, pool: ImagePool) -> None:
        self._converter = BgrConverter(pool)
        self._codec = _open_codec(strict=True)
        self._strict = True
        self._refused = 0

    def __call__(self, data: NDArray[np.uint8]) -> Image | None:
        """Decode one picture; None if it is damaged."""
        if not len(data):
            # To FFmpeg this would be the end of the stream.
            return None
        try:
            pictures = self._codec.decode(av.Packet(data.tobytes()))
        except av.error.FFmpegError:
            pictures = []
        if pictures:
            self._refused = 0
            return self._converter.convert(pictures[0])
        self._refused += 1
        if self._strict and self._refused >= _ODD_AFTER:
            self._strict = False
            self._codec = _open_codec(strict=False)
        return None


def open_decoder(layout: PictureFormat, pool: ImagePool) -> Decode:
    """A function that turns the bytes of one picture into a B, G, R image of the pool.

    Args:
        layout: How pictures lie in the buffers; its fourcc is one of `READABLE`.
        pool: Where the images come from.

    Returns:
        Takes (n,) uint8, which it does not keep. Gives (height, width, 3) uint8 B, G, R, or
        None for a picture that is damaged.
    """
    return _DECODERS[layout.fourcc](layout, pool)


def _rows(data: NDArray[np.uint8], height: int, stride: int, used: int) -> NDArray[np.uint8] | None:
    """(height, used) view of rows that lie `stride` bytes apart; None if bytes are missing."""
    # Some drivers leave the padding of the last row out.
    if len(data) < (height - 1) * stride + used:
        return None
    return np.ndarray((height, used), np.uint8, data, strides=(stride, 1))


def _open_codec(*, strict: bool) -> av.VideoCodecContext:
    av.logging.set_level(av.logging.PANIC)
    codec = av.CodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    if strict:
        # Otherwise what is missing of a picture is filled in, with grey or worse.
        codec.options = {"err_detect": "explode"}
    return codec


# The best first: what is left to us is taken uncompressed if the camera is fast enough so.
_DECODERS: dict[str, Callable[[PictureFormat, ImagePool], Decode]] = {
    "NV12": PlanarDecoder,
    "YUYV": PackedDecoder,
    "MJPG": lambda _, pool: JpegDecoder(pool),
    "JPEG": lambda _, pool: JpegDecoder(pool),
}
READABLE = tuple(_DECODERS)
