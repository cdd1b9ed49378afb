"""Real-time object detection for small computers with a camera.

import edge_detect as ed

detector = ed.load_model("ssdlite-mobilenet-v2-pedestrian")
detections = detector(image)

with ed.Pipeline("v4l2:///dev/video0", sinks=["boxed.mp4"]) as pipeline:
for result in pipeline:
print(result.detections.names)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Detection",
    "Detections",
    "Detector",
    "EdgeDetectError",
    "Frame",
    "Pipeline",
    "Result",
    "Size",
    "__version__",
    "load_model",
    "open_sink",
    "open_source",
]

if TYPE_CHECKING:
    from edge_detect.core import Detection, Detections, EdgeDetectError, Frame, Result, Size
    from edge_detect.models import Detector, load_model
    from edge_detect.pipeline import Pipeline
    from edge_detect.sinks import open_sink
    from edge_detect.sources import open_source

_HOMES = {
    "Detection": "core",
    "Detections": "core",
    "Detector": "models",
    "EdgeDetectError": "core",
    "Frame": "core",
    "Pipeline": "pipeline",
    "Result": "core",
    "Size": "core",
    "load_model": "models",
    "open_sink": "sinks",
    "open_source": "sources",
}


def __getattr__(name: str) -> Any:
    # Importing the package must cost nothing: NumPy, Numba and OpenCV load when first used,
    # so that `edge-detect --help` answers at once on a Pi.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
