"""Lines of text as little images, ready to be pasted."""

from functools import lru_cache

import cv2
import numpy as np

from edge_detect.core import Image
from edge_detect.render.palette import Color, ink_on

__all__ = ["Lettering"]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TALLEST = "Agjpqy|()[]%"
# Pieces of text kept; a frame's labels and scores, and those of the seconds before.
_KEPT = 256


class Lettering:
    """Letters of one size on a filled ground.

    Args:
        height: Pixels from the bottom to the top of a capital letter.
    """

    def __init__(self, height: int) -> None:
        self._thickness = max(1, round(height / 8))
        self._scale = cv2.getFontScaleFromHeight(_FONT, height, self._thickness)
        self._padding = max(2, height // 4)
        # All lines are as high as one with every kind of letter: OpenCV 5 measures each text
        # by its own letters, and pieces of one label would differ.
        (_, above), below = cv2.getTextSize(_TALLEST, _FONT, self._scale, self._thickness)
        self._above, self._below = max(above, height), max(below, height // 4)
        self.render = lru_cache(maxsize=_KEPT)(self._render)

    @property
    def padding(self) -> int:
        """Pixels between letters and the edge of the ground."""
        return self._padding

    def _render(self, text: str, ground: Color) -> Image:
        """Draw one line; asked again for the same, the same array is given.

        Args:
            text: Without line feeds.
            ground: Colour behind the letters, which are black or white.

        Returns:
            (height, width, 3) uint8 B, G, R; not to be written into.
        """
        width = cv2.getTextSize(text, _FONT, self._scale, self._thickness)[0][0]
        padding = self._padding
        height = self._above + self._below + 2 * padding
        image = np.empty((height, width + 2 * padding, 3), np.uint8)
        image[:] = ground
        ink = ink_on(ground)
        baseline = (padding, padding + self._above)
        cv2.putText(image, text, baseline, _FONT, self._scale, ink, self._thickness, cv2.LINE_AA)
        image.flags.writeable = False
        return image
