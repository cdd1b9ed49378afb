"""From B, G, R images to the pictures that video encoders take."""

from fractions import Fraction

import av
import av.video
import av.video.plane
import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Image, Letterbox, Size

__all__ = ["TICKS_PER_S", "YuvPicture", "even_size", "tag_colors"]

# The clock of MPEG: a frame lasts a whole number of its ticks at all usual rates.
TICKS_PER_S = 90_000
# AVCOL_SPC_SMPTE170M and AVCOL_RANGE_MPEG, which is what OpenCV's conversion makes.
_BT601, _LIMITED_RANGE = 6, 1


def even_size(size: Size) -> Size:
    """The size as an encoder takes it: colours are kept for squares of four pixels."""
    return Size(size.width + size.width % 2, size.height + size.height % 2)


def tag_colors(codec: av.VideoCodecContext) -> None:
    """Have the stream say which matrix and range its colours follow."""
    codec.colorspace, codec.color_range = _BT601, _LIMITED_RANGE


class YuvPicture:
    """One reused picture in YUV 4:2:0, BT.601 limited range.

    Args:
        size: Even width and height. Images that are a row or column smaller are completed
            by repeating the last; images of other sizes are fitted in with black bars.

    Attributes:
        frame: What to give the encoder, which copies what it keeps; time base 1/90000 s.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        width, height = size
        self._yuv = np.empty((height * 3 // 2, width), np.uint8)
        self._canvas = np.zeros((height, width, 3), np.uint8)
        self.frame = av.VideoFrame(width, height, "yuv420p")
        self.frame.time_base = Fraction(1, TICKS_PER_S)
        self._planes = [_as_array(plane) for plane in self.frame.planes]

    def fill(self, image: Image) -> None:
        """Convert an image into the frame.

        `VideoFrame.from_numpy_buffer` would save the 0.04 ms of the copy, but misplaces the
        colours unless the height divides by four.

        Args:
            image: (height, width, 3) uint8 B, G, R; only read.
        """
        cv2.cvtColor(self._fit(image), cv2.COLOR_BGR2YUV_I420, dst=self._yuv)
        luma = self.size.width * self.size.height
        flat = self._yuv.reshape(-1)
        parts = (flat[:luma], flat[luma : luma * 5 // 4], flat[luma * 5 // 4 :])
        for plane, part in zip(self._planes, parts, strict=True):
            np.copyto(plane, part.reshape(plane.shape))

    def _fit(self, image: Image) -> Image:
        height, width = image.shape[:2]
        target = self.size
        if (width, height) == target:
            return image
        if 0 <= target.width - width <= 1 and 0 <= target.height - height <= 1:
            self._canvas[:height, :width] = image
            self._canvas[height:, :width] = image[-1:]
            self._canvas[:, width:] = self._canvas[:, width - 1 : width]
            return self._canvas
        box = Letterbox.fit(Size(width, height), target, keep_aspect=True)
        left, top, inner = box.offset_x, box.offset_y, box.inner
        self._canvas[:] = 0
        place = self._canvas[top : top + inner.height, left : left + inner.width]
        cv2.resize(image, tuple(inner), dst=place, interpolation=cv2.INTER_LINEAR)
        return self._canvas


def _as_array(plane: av.video.plane.VideoPlane) -> NDArray[np.uint8]:
    """A view of a plane's pixels, without the padding of its rows."""
    rows = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    pixels: NDArray[np.uint8] = rows.reshape(plane.height, plane.line_size)[:, : plane.width]
    return pixels
