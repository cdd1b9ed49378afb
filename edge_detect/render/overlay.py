"""Boxes, labels and a status line, drawn into the picture."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Image
from edge_detect.render.palette import Color, class_colors
from edge_detect.render.text import Lettering

__all__ = ["Overlay"]

_STATUS_GROUND = (0, 0, 0)
_ZONE_COLOR = (235, 235, 235)
_SMALLEST_LETTERS = 7
_FARTHEST = 30_000


class Overlay:
    """Draws detections in colours that each class keeps between runs.

    Line widths and letters grow with the picture, so that they are legible from 320x240 to
    3840x2160; letters stand on a filled ground, so that they are legible on anything.
    Rendered text is kept and pasted again, which costs a tenth of drawing it.

    Args:
        labels: All labels of the model, by class id; they decide how many colours there are.
        zones: Corners x, y, from 0 to 1 of the picture, by the zone's name; outlined thinly.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        zones: Mapping[str, tuple[tuple[float, float], ...]] | None = None,
    ) -> None:
        self._zones = zones or {}
        self._outlines: dict[tuple[int, int], dict[str, NDArray[np.int32]]] = {}
        self._colors = class_colors(len(labels))
        self._letterings: dict[int, Lettering] = {}

    def draw(self, image: Image, detections: Detections | None, status: str | None = None) -> None:
        """Draw into an image.

        A box covers exactly the pixels inside its edges, rounded. Its label stands above
        it, or inside it where there is no room above, and always within the image. Key points
        are dots.

        Args:
            image: (height, width, 3) uint8 B, G, R; overwritten in place.
            detections: What to mark, boxes in pixels of this image; None for nothing.
            status: A line of text for the lower left corner.
        """
        height, width = image.shape[:2]
        shortest = min(width, height)
        thickness = max(1, round(shortest / 320))
        letters = self._lettering(max(9, round(shortest / 48)))
        self._draw_zones(image, letters)
        # The best is drawn last, so that nothing hides its label.
        for label, class_id, score, box, _, points, _ in reversed(list(detections or ())):
            color = self._colors[class_id % len(self._colors)]
            left, top, right, bottom = (round(edge) for edge in box)
            _draw_box(image, (left, top, right, bottom), thickness, color)
            _draw_points(image, points, 2 * thickness, color)
            name = letters.render(label, color)
            percent = letters.render(f"{round(score * 100)}%", color)
            # Two pieces that are kept apart: many labels times a hundred scores are too many.
            overlap = letters.padding
            text_height, text_width = name.shape[0], name.shape[1] + percent.shape[1] - overlap
            y = top - text_height if top >= text_height else top + thickness
            x = max(0, min(left, width - text_width))
            y = max(0, min(y, height - text_height))
            _paste(image, name, x, y)
            _paste(image, percent[:, overlap:], x + name.shape[1], y)
        if status:
            self._draw_status(image, status, max(9, round(shortest / 48)))

    def _draw_zones(self, image: Image, letters: Lettering) -> None:
        height, width = image.shape[:2]
        outlines = self._outlines.get((width, height))
        if outlines is None:
            # Sources change their size seldom, and never to many different ones.
            scale = np.array((width - 1, height - 1))
            outlines = self._outlines[width, height] = {
                name: np.rint(np.array(corners) * scale).astype(np.int32)
                for name, corners in self._zones.items()
            }
        for name, outline in outlines.items():
            cv2.polylines(image, [outline], True, _ZONE_COLOR, 1)
            text = letters.render(name, _STATUS_GROUND)
            # At the topmost corner, inside the picture.
            x, y = outline[outline[:, 1].argmin()].tolist()
            x = max(0, min(x, width - text.shape[1]))
            _paste(image, text, x, max(0, min(y, height - text.shape[0])))

    def _draw_status(self, image: Image, status: str, letter_height: int) -> None:
        height, width = image.shape[:2]
        line = self._lettering(letter_height).render(status, _STATUS_GROUND)
        while line.shape[1] > width and letter_height > _SMALLEST_LETTERS:
            letter_height -= 1
            line = self._lettering(letter_height).render(status, _STATUS_GROUND)
        _paste(image, line, 0, max(0, height - line.shape[0]))

    def _lettering(self, height: int) -> Lettering:
        lettering = self._letterings.get(height)
        if lettering is None:
            lettering = self._letterings[height] = Lettering(height)
        return lettering


def _draw_box(image: Image, box: tuple[int, int, int, int], thickness: int, color: Color) -> None:
    """Draw the outline of a box, inwards from its edges."""
    left, top, right, bottom = box
    # Filled strips: OpenCV centres thick lines on the edge and rounds their corners.
    strips = (
        (left, top, right, min(bottom, top + thickness)),
        (left, max(top, bottom - thickness), right, bottom),
        (left, top, min(right, left + thickness), bottom),
        (max(left, right - thickness), top, right, bottom),
    )
    for x_min, y_min, x_max, y_max in strips:
        if x_min < x_max and y_min < y_max:
            cv2.rectangle(image, (x_min, y_min), (x_max - 1, y_max - 1), color, cv2.FILLED)


def _draw_points(
    image: Image, points: tuple[tuple[float, float], ...], radius: int, color: Color
) -> None:
    """Draw key points as dots with a dark rim, so that they are visible on anything."""
    for x, y in points:
        # Far outside, where coordinates would not fit into OpenCV's integers, is nothing to draw.
        if max(abs(x), abs(y)) < _FARTHEST:
            centre = round(x), round(y)
            cv2.circle(image, centre, radius + 1, _STATUS_GROUND, cv2.FILLED)
            cv2.circle(image, centre, radius, color, cv2.FILLED)


def _paste(image: Image, piece: Image, x: int, y: int) -> None:
    """Copy a little image to a place inside, cut off where it is too large."""
    height, width = image.shape[:2]
    part = piece[: height - y, : max(0, width - x)]
    image[y : y + part.shape[0], x : x + part.shape[1]] = part
