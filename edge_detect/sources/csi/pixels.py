"""From the image processor's memory to B, G, R."""

from typing import Any

import av
import numpy as np

from edge_detect.core import ConfigError, Image, Size
from edge_detect.core.buffers import ImagePool
from edge_detect.sources.pixels import BgrConverter

__all__ = ["StreamCopier"]

# picamera2's names tell the order in a little-endian word, FFmpeg's the order in memory.
_PIXEL_FORMATS = {
    "RGB888": "bgr24",
    "BGR888": "rgb24",
    "XRGB8888": "bgr0",
    "XBGR8888": "rgb0",
    "YUV420": "yuv420p",
    "NV12": "nv12",
    "YUYV": "yuyv422",
}
# AVColorSpace and AVColorRange of <libavutil/pixfmt.h>.
_BT709, _SMPTE170M = 1, 6
_LIMITED, _FULL = 1, 2


class StreamCopier:
    """Takes the images of one stream out of the camera's buffers.

    The buffers may be uncached memory, in which reading a byte twice costs twice; so the
    pixels are copied once, row by row without the padding, and converted from the copy. By
    then the buffer could already be on its way back to the camera.

    Args:
        config: `Picamera2.stream_configuration`: format, size and stride in bytes.
        colour_space: `libcamera.ColorSpace` of the camera, or None if it does not tell.

    Raises:
        ConfigError: The camera has chosen a format that is not known here.
    """

    def __init__(self, config: dict[str, Any], colour_space: Any) -> None:
        self.format: str = config["format"]
        self.size = Size(*config["size"])
        if self.format not in _PIXEL_FORMATS:
            raise ConfigError(
                f"this camera gives {self.format} only",
                "USB cameras are used as v4l2:///dev/videoN",
            )
        self._stride: int = config["stride"]
        self._pool = ImagePool()
        self._converter = BgrConverter(self._pool)
        self._picture = av.VideoFrame(*self.size, _PIXEL_FORMATS[self.format])
        self._picture.colorspace, self._picture.color_range = _coding(colour_space)
        # Plane by plane (rows, bytes per row), views of the picture's own memory.
        self._planes = [
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
            for plane in self._picture.planes
        ]

    def copy(self, array: Image) -> Image:
        """Copy one image, and convert it.

        Args:
            array: What `picamera2.MappedArray` shows of the buffer; read once.

        Returns:
            (height, width, 3) uint8 B, G, R in a buffer of the pool.
        """
        if self.format == "RGB888":
            image = self._pool.take(self.size.height, self.size.width)
            np.copyto(image, array)
            return image
        for plane, rows in zip(self._planes, self._split(array), strict=True):
            height, width = rows.shape
            np.copyto(plane[:height, :width], rows)
        return self._converter.convert(self._picture)

    def _split(self, array: Image) -> list[Image]:
        """The planes of an image as (rows, bytes per row), without padding."""
        width, height = self.size
        if self.format == "NV12":
            return [array[:height], array[height:]]
        if self.format != "YUV420":
            return [array.reshape(height, -1)[:, : self._planes[0].shape[1]]]
        # Rows of the colour planes are half as long as the others, the padding included.
        flat, half = array.reshape(-1), self._stride // 2
        luma, chroma = self._stride * height, half * (height // 2)
        return [
            flat[:luma].reshape(height, self._stride)[:, :width],
            flat[luma : luma + chroma].reshape(-1, half)[:, : width // 2],
            flat[luma + chroma : luma + 2 * chroma].reshape(-1, half)[:, : width // 2],
        ]


def _coding(colour_space: Any) -> tuple[int, int]:
    """FFmpeg's numbers for the matrix and the range of YUV pixels."""
    if colour_space is None:
        return _SMPTE170M, _LIMITED
    matrix = _BT709 if colour_space.ycbcrEncoding.name == "Rec709" else _SMPTE170M
    return matrix, _FULL if colour_space.range.name == "Full" else _LIMITED
