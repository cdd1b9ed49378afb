"""From a decoder's picture to B, G, R."""

import av
import av.video.reformatter
import cv2
import numpy as np

from edge_detect.core import Image
from edge_detect.core.buffers import ImagePool

__all__ = ["BgrConverter"]

_ROTATIONS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}


class BgrConverter:
    """Turns decoded pictures of any pixel format into upright B, G, R images.

    The picture's own colour matrix and range are followed; untagged ones count as BT.601
    limited, as for FFmpeg's tools. For 720p `yuv420p` this takes 0.31 ms where copying the
    planes and `cv2.cvtColor` take 0.30 ms, but know BT.601 limited only.

    Args:
        pool: Where the images come from.
    """

    def __init__(self, pool: ImagePool) -> None:
        self._pool = pool
        self._reformatter = av.video.reformatter.VideoReformatter()

    def convert(self, picture: av.VideoFrame, rotation: int = 0) -> Image:
        """Convert one picture.

        Args:
            picture: As decoded.
            rotation: Degrees, counterclockwise, that make it upright; multiples of 90.

        Returns:
            (height, width, 3) uint8 B, G, R in a buffer of the pool.
        """
        # One thread: the conversion runs beside the detector, which needs the other cores.
        bgr = self._reformatter.reformat(picture, format="bgr24", threads=1)
        plane = bgr.planes[0]
        width, height, stride = bgr.width, bgr.height, plane.line_size
        rows = np.frombuffer(plane, np.uint8).reshape(height, stride)  # type: ignore[call-overload]
        pixels: Image = rows[:, : width * 3].reshape(height, width, 3)
        if rotation % 360 in _ROTATIONS:
            swapped = rotation % 180 == 90
            image = self._pool.take(*((width, height) if swapped else (height, width)))
            cv2.rotate(pixels, _ROTATIONS[rotation % 360], dst=image)
            return image
        # Handing on the converter's own memory saves this copy and costs more: a new block for
        # each frame takes the cache from the detector (pipeline to bare interpreter 0.962
        # instead of 0.991, rounds in turn).
        image = self._pool.take(height, width)
        np.copyto(image, pixels)
        return image
