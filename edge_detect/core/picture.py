"""A frame as viewers see it."""

from dataclasses import dataclass

from edge_detect.core.frame import Frame, Image
from edge_detect.core.geometry import Size
from edge_detect.core.result import Result

__all__ = ["Picture"]


@dataclass(slots=True, frozen=True, eq=False)
class Picture:
    """An annotated frame.

    The image may lie in a buffer of the renderer's pool: it stays valid for as long as
    anyone holds the array or a view of it, and nobody writes into it.

    Attributes:
        frame: What was captured.
        image: (height, width, 3) uint8 in B, G, R order, C-contiguous: the frame with boxes.
        result: The detections that were drawn, which may be those of an earlier frame; None
            before the first ones.
    """

    frame: Frame
    image: Image
    result: Result | None

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.frame.size

    @property
    def boxes_age_ns(self) -> int:
        """How much older than the picture the frame is in which the boxes were found."""
        return 0 if self.result is None else self.frame.captured_ns - self.result.frame.captured_ns
