"""One picture and the moment it was taken."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detect.core.geometry import Size

__all__ = ["Frame", "Image"]

Image = NDArray[np.uint8]


@dataclass(slots=True, frozen=True, eq=False)
class Frame:
    """One picture of a source.

    The image may lie in a buffer of the source's pool. It stays valid for as long as
    anyone holds the array or a view of it; nobody writes into it.

    Attributes:
        image: (height, width, 3) uint8 in B, G, R order, C-contiguous.
        captured_ns: CLOCK_MONOTONIC time of the exposure, or of arrival where no sensor tells it.
        sequence: Number of the frame within its source, from 0; gaps are frames that were lost.
        source: Name of the source: a path or URL without credentials.
        media_ns: Position on the source's own time line, from 0 at its first frame.
        small: The same view in a smaller image for inference, where the camera scales in
            hardware; like `image` in layout. None: inference resizes `image`.
    """

    image: Image
    captured_ns: int
    sequence: int
    source: str
    media_ns: int
    small: Image | None = None

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        height, width = self.image.shape[:2]
        return Size(width, height)
