"""A service and its cameras as plain data, to drive what runs beside cameras without any camera."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from edge_detect.core import PipelineStatus, Size, SourceStatus, monotonic_ns
from edge_detect.core.board import BoardReading
from edge_detect.core.status import ModelStatus, Percentiles, SinkStatus, SourceState
from edge_detect.pipeline.totals import Totals
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import CameraSettings
from edge_detect.sinks import Sink


@dataclass
class PlainCamera:
    """A camera whose state and counts are what a test says (see `CameraView`).

    Attributes:
        now: What `state` answers.
        counted: What `totals` answers.
        picture: What `snapshot` answers.
        sinks: Those attached at this moment.
        max_fps: What `set_max_fps` was last called with.
    """

    name: str = "yard"
    settings: CameraSettings = field(default_factory=lambda: CameraSettings(source="synthetic:"))
    labels: tuple[str, ...] = ("person", "car")
    zones: tuple[str, ...] = ()
    now: CameraState = field(default_factory=lambda: CameraState("running", status=a_status()))
    counted: Totals | None = None
    picture: bytes | None = None
    sinks: list[Sink] = field(default_factory=list)
    max_fps: float | None = None

    def state(self) -> CameraState:
        return self.now

    def totals(self) -> Totals | None:
        return self.counted

    def attach(self, sink: Sink) -> None:
        self.sinks.append(sink)

    def detach(self, sink: Sink) -> None:
        if sink in self.sinks:
            self.sinks.remove(sink)

    def set_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - as in the protocol
        self.now = CameraState(
            self.now.phase,
            self.now.reason,
            self.now.restarts,
            self.now.status,
            enabled,
            self.now.score_threshold,
        )

    def set_score_threshold(self, score: float) -> None:
        if not 0 <= score <= 1:
            raise ValueError(f"a score must be from 0 to 1, got {score}")
        self.now = CameraState(
            self.now.phase,
            self.now.reason,
            self.now.restarts,
            self.now.status,
            self.now.enabled,
            score,
        )

    def set_max_fps(self, fps: float | None) -> None:
        if fps is not None and not fps > 0:
            raise ValueError(f"max_fps must be above 0, got {fps}")
        self.max_fps = fps

    def snapshot(self, timeout_s: float) -> bytes | None:
        return self.picture


@dataclass
class PlainService:
    """A daemon that is what a test says (see `ServiceView`).

    Attributes:
        reading: What `board` answers.
        reasons: What `troubles` answers.
    """

    cameras: list[PlainCamera] = field(default_factory=list)
    started_ns: int = field(default_factory=monotonic_ns)
    reloads: int = 0
    state_directory: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    ready: bool = True
    reading: BoardReading = field(default_factory=lambda: BoardReading(monotonic_ns()))
    reasons: list[str] = field(default_factory=list)

    def board(self) -> BoardReading:
        return self.reading

    def troubles(self) -> list[str]:
        return list(self.reasons)


def a_status(
    state: SourceState = "live", *, reason: str = "", sinks: tuple[SinkStatus, ...] = ()
) -> PipelineStatus:
    """A pipeline with a camera in that state."""
    return PipelineStatus(
        elapsed_s=100.0,
        mode="live",
        overlay="latest",
        source=SourceStatus("rtsp://camera/live", state, 12.0, reason, 1, Size(1280, 720), 30.0),
        model=ModelStatus("yolov3-tiny-coco", Size(416, 416), "litert", 2, 0.4),
        rates={"captured": 30.0, "detected": 25.0, "rendered": 30.0},
        durations_ms={"capture_to_detect": Percentiles(100, 11.0, 16.0, 19.0)},
        sinks=sinks,
    )


def a_sink_status(name: str = "rtsp://:8554/yard", viewers: int | None = 2) -> SinkStatus:
    """A sink that works."""
    return SinkStatus(name, "open", "", 0, 30.0, 0, viewers, Percentiles(50, 9.0, 12.0, 14.0))
