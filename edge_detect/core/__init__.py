"""The vocabulary that every other part speaks: frames, detections, errors, time."""

from edge_detect.core.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from edge_detect.core.detections import Detection, Detections
from edge_detect.core.errors import (
    AcceleratorError,
    ConfigError,
    DependencyError,
    DownloadError,
    EdgeDetectError,
    ModelError,
    SinkError,
    SourceError,
    StageError,
)
from edge_detect.core.frame import Frame, Image
from edge_detect.core.geometry import Letterbox, Size
from edge_detect.core.picture import Picture
from edge_detect.core.resources import bundled_path, user_models_path
from edge_detect.core.result import Result, Timings
from edge_detect.core.status import Percentiles, PipelineStatus, SinkStatus, SourceStatus

__all__ = [
    "NS_PER_MS",
    "NS_PER_S",
    "AcceleratorError",
    "ConfigError",
    "DependencyError",
    "Detection",
    "Detections",
    "DownloadError",
    "EdgeDetectError",
    "Frame",
    "Image",
    "Letterbox",
    "ModelError",
    "Percentiles",
    "Picture",
    "PipelineStatus",
    "Result",
    "SinkError",
    "SinkStatus",
    "Size",
    "SourceError",
    "SourceStatus",
    "StageError",
    "Timings",
    "bundled_path",
    "monotonic_ns",
    "user_models_path",
]
