"""What the HTTP interface answers, with units: the documentation is made from it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge_detect.core.status import SinkState, SourceState

__all__ = [
    "ControlsChange",
    "ControlsReport",
    "DetectionsReport",
    "PercentilesReport",
    "Report",
    "SizeReport",
    "StateReport",
]

Ms = Annotated[float, Field(description="milliseconds")]


class Report(BaseModel):
    """What all of them share: they are made from objects, and unknown keys are errors."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


class SizeReport(Report):
    """A size."""

    width: int = Field(description="pixels")
    height: int = Field(description="pixels")


class PercentilesReport(Report):
    """How long something took of late; all 0 where `n` is 0."""

    n: int = Field(description="number of measurements")
    p50: Ms
    p95: Ms
    p99: Ms


class SourceReport(Report):
    """The camera, stream or file."""

    name: str = Field(description="URL or path, without credentials")
    state: SourceState = Field(
        description="`connecting` before the first frame, `live` while frames come, `stalled`"
        " when none came for a while, `lost` between a failure and the next frame, `ended`"
    )
    for_s: float = Field(description="seconds in this state")
    reason: str = Field(description="why it is lost or still connecting; else empty")
    reconnects: int = Field(description="how often it came back")
    size: SizeReport | None = Field(description="of the newest frame")
    fps: float | None = Field(description="nominal frames per second")


class ModelReport(Report):
    """The model."""

    name: str
    input_size: SizeReport
    runtime: str = Field(description="what executes it")
    threads: int = Field(description="of the interpreter")
    score_threshold: float = Field(description="least score reported, 0 to 1")
    devices: list[str] = Field(description="what it runs on now: `cpu`, `edgetpu:usb:0`, `gpu`")
    away: str = Field(description="why a device that it should run on is away; else empty")


class SinkReport(Report):
    """One output."""

    name: str = Field(description="URL or path, without credentials")
    state: SinkState
    reason: str = Field(description="why it failed; else empty")
    failures: int = Field(description="how often it failed so far")
    encoded_fps: float = Field(description="pictures per second that left its encoder")
    dropped: int = Field(description="pictures and results that it was too slow for")
    viewers: int | None = Field(description="clients that look at it; null where nobody can tell")
    capture_to_encode: PercentilesReport = Field(
        description="age of pictures when they left its encoder, milliseconds"
    )


class ControlsReport(Report):
    """What can be changed while the camera runs."""

    changeable: bool = Field(description="whether it may be, by whoever sees this")
    enabled: bool = Field(description="whether the camera detects")
    score_threshold: float | None = Field(
        description="least score reported, 0 to 1; null before the model is loaded"
    )


class ControlsChange(Report):
    """What is to be changed; the rest stays as it is."""

    enabled: bool | None = Field(default=None, description="whether to detect")
    score_threshold: float | None = Field(
        default=None, ge=0, le=1, description="least score to be reported"
    )


class StateReport(Report):
    """Everything about the pipeline, at this moment."""

    version: str = Field(description="of edge-detect")
    camera: str = Field(description="its name; empty where there is only one")
    controls: ControlsReport | None = Field(description="null where nothing can be changed")
    elapsed_s: float = Field(description="seconds since the start")
    mode: str = Field(description="`live`: the newest frame wins; `every`: none is left out")
    overlay: str = Field(
        description="`latest`: every frame is shown with the newest boxes; `exact`: only frames"
        " that were detected are shown"
    )
    source: SourceReport
    model: ModelReport
    rates: dict[str, float] = Field(
        description="frames per second of late: `captured`, `detected`, `rendered`"
    )
    dropped: dict[str, int] = Field(
        description="frames that a stage or sink was too slow for, since the start"
    )
    durations_ms: dict[str, PercentilesReport] = Field(
        description="milliseconds of late: `capture_to_detect`, `capture_to_render`,"
        " `preprocess`, `invoke`, `postprocess`, `overlay`, and `boxes_age`, by which drawn"
        " boxes are older than the picture"
    )
    detections: int = Field(description="objects found since the start")
    sinks: list[SinkReport]


class DetectionReport(Report):
    """One object."""

    label: str
    mid: str | None = Field(
        default=None,
        description="Freebase MID of the label; left out where the model has none",
    )
    class_id: int
    score: float = Field(description="0 to 1")
    box: tuple[float, float, float, float] = Field(
        description="x_min, y_min, x_max, y_max in pixels of the frame; origin at the top left"
    )
    zones: list[str] | None = Field(
        default=None, description="names of the zones it stands in; left out where there are none"
    )
    keypoints: list[tuple[float, float]] | None = Field(
        default=None,
        description="x, y in pixels of the frame, also beyond its edges; left out where the model"
        " has none",
    )


class TimingsReport(Report):
    """How long the steps took for this frame."""

    preprocess: Ms
    invoke: Ms
    postprocess: Ms
    capture_to_detect: float = Field(
        description="age of the frame when its detections were ready, milliseconds"
    )


class DetectionsReport(Report):
    """What was found in one frame; also the data of each event, and each line of JSON files."""

    sequence: int = Field(description="number of the frame within its source")
    source: str = Field(description="URL or path, without credentials")
    captured_ns: int = Field(description="CLOCK_MONOTONIC time of the capture, nanoseconds")
    media_ms: float = Field(description="position on the source's own time line, milliseconds")
    width: int = Field(description="of the frame, pixels")
    height: int = Field(description="of the frame, pixels")
    detections: list[DetectionReport] = Field(description="best score first")
    timings_ms: TimingsReport
