"""A frame together with what was found in it, and how long that took."""

from dataclasses import dataclass

from edge_detect.core.clock import NS_PER_MS
from edge_detect.core.detections import Detections
from edge_detect.core.frame import Frame

__all__ = ["Result", "Timings"]


@dataclass(slots=True, frozen=True)
class Timings:
    """How long each step took for one frame, in nanoseconds.

    Attributes:
        preprocess_ns: Resizing and colour conversion into the model's input.
        invoke_ns: The interpreter's own time.
        postprocess_ns: From raw outputs to detections, in a pipeline with the copy of the outputs.
        detected_ns: CLOCK_MONOTONIC moment at which the detections were ready.
    """

    preprocess_ns: int = 0
    invoke_ns: int = 0
    postprocess_ns: int = 0
    detected_ns: int = 0

    def as_ms(self) -> dict[str, float]:
        """The durations by name, in milliseconds."""
        return {
            "preprocess": self.preprocess_ns / NS_PER_MS,
            "invoke": self.invoke_ns / NS_PER_MS,
            "postprocess": self.postprocess_ns / NS_PER_MS,
        }


@dataclass(slots=True, frozen=True, eq=False)
class Result:
    """What the detector says about one frame."""

    frame: Frame
    detections: Detections
    timings: Timings

    @property
    def capture_to_detect_ns(self) -> int:
        """Age of the frame when its detections were ready."""
        return self.timings.detected_ns - self.frame.captured_ns
