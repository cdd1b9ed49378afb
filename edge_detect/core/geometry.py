"""Sizes, and the mapping between a frame and a model's input.

Coordinates have their origin at the outer top-left corner, x to the right, y down;
edges are continuous, so a box is `x_max - x_min` wide.
"""

from typing import NamedTuple

__all__ = ["Letterbox", "Size"]


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Letterbox(NamedTuple):
    """Where a frame lies inside a model's input: `input = frame * scale + offset`, in pixels.

    Attributes:
        scale_x: Input pixels per frame pixel, horizontally.
        scale_y: Input pixels per frame pixel, vertically (differs when stretching or rounding).
        offset_x: Left edge of the frame inside the input.
        offset_y: Top edge of the frame inside the input.
        inner: Size in input pixels that the whole frame covers.
        frame: Size of the frame.
    """

    scale_x: float
    scale_y: float
    offset_x: int
    offset_y: int
    inner: Size
    frame: Size

    @classmethod
    def fit(cls, frame: Size, into: Size, *, keep_aspect: bool) -> "Letterbox":
        """Scale a frame into an input, centred, with padding if the aspect is kept.

        Args:
            frame: Size of the frame.
            into: Size of the model's input.
            keep_aspect: True pads ("letterbox"); False stretches to the whole input.
        """
        if keep_aspect:
            scale = min(into.width / frame.width, into.height / frame.height)
            inner = Size(
                min(into.width, max(1, round(frame.width * scale))),
                min(into.height, max(1, round(frame.height * scale))),
            )
        else:
            inner = into
        return cls(
            scale_x=inner.width / frame.width,
            scale_y=inner.height / frame.height,
            offset_x=(into.width - inner.width) // 2,
            offset_y=(into.height - inner.height) // 2,
            inner=inner,
            frame=frame,
        )

    def measured_in(self, frame: Size) -> "Letterbox":
        """The same place in the input, for another version of the frame.

        Args:
            frame: Size of a picture that shows the same view in other pixels.
        """
        return self._replace(
            scale_x=self.inner.width / frame.width,
            scale_y=self.inner.height / frame.height,
            frame=frame,
        )
