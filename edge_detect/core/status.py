"""How a running pipeline is doing, as plain data: what pages, logs and metrics show."""

from dataclasses import dataclass, field
from typing import Literal

from edge_detect.core.geometry import Size

__all__ = [
    "ModelStatus",
    "Percentiles",
    "PipelineStatus",
    "SinkState",
    "SinkStatus",
    "SourceState",
    "SourceStatus",
]

SourceState = Literal["connecting", "live", "stalled", "lost", "ended"]
SinkState = Literal["open", "failed", "closed"]


@dataclass(slots=True, frozen=True)
class Percentiles:
    """A histogram in three numbers, in milliseconds; all 0 where `n` is 0."""

    n: int
    p50: float
    p95: float
    p99: float


@dataclass(slots=True, frozen=True)
class SourceStatus:
    """The source.

    Attributes:
        name: URL or path, without credentials.
        state: `connecting` before the first frame; `live` while frames come; `stalled` when
            none came for a while, though nothing has failed yet; `lost` between a failure
            and the next frame; `ended`.
        for_s: Seconds in this state.
        reason: Why it is lost or still connecting; empty otherwise.
        reconnects: How often it came back.
        size: Of the newest frame; None before the first.
        fps: Nominal rate; None where it is not known.
    """

    name: str
    state: SourceState
    for_s: float
    reason: str = ""
    reconnects: int = 0
    size: Size | None = None
    fps: float | None = None


@dataclass(slots=True, frozen=True)
class ModelStatus:
    """The model.

    Attributes:
        name: Its name in the catalogue.
        input_size: In pixels.
        runtime: What executes it.
        threads: Of the interpreter.
        score_threshold: Least score reported.
        devices: What it runs on just now: `cpu`, `edgetpu:usb:0`, `gpu`.
        away: Why a device that it should run on is away; empty otherwise.
    """

    name: str
    input_size: Size
    runtime: str
    threads: int
    score_threshold: float
    devices: tuple[str, ...] = ()
    away: str = ""


@dataclass(slots=True, frozen=True)
class SinkStatus:
    """One sink.

    Attributes:
        name: URL or path, without credentials.
        state: `open`, or `failed` (then it is tried again unless the error is for good).
        reason: Why it failed; empty otherwise.
        failures: How often it failed so far.
        encoded_fps: Pictures that left its encoder, per second; 0 for sinks without one.
        dropped: Pictures and results that it was too slow for.
        viewers: How many clients look at it; None where nobody can tell.
        capture_to_encode: Age of pictures when they left the encoder, of late.
    """

    name: str
    state: SinkState
    reason: str
    failures: int
    encoded_fps: float
    dropped: int
    viewers: int | None
    capture_to_encode: Percentiles


@dataclass(slots=True, frozen=True)
class PipelineStatus:
    """Everything at one moment.

    Attributes:
        elapsed_s: Seconds since the start.
        mode: `live` or `every`.
        overlay: `latest` or `exact`.
        source: The source.
        model: The model.
        rates: Frames per second of late, by stage: captured, detected, rendered.
        dropped: Frames that a stage was too slow for, in all, by stage or sink; as `limit`
            those that were left out on purpose (`max_fps`).
        durations_ms: Percentiles of late by name: capture_to_detect, capture_to_render,
            preprocess, invoke, postprocess, overlay, boxes_age.
        detections: Objects found, in all.
        sinks: In the order given.
    """

    elapsed_s: float
    mode: str
    overlay: str
    source: SourceStatus
    model: ModelStatus
    rates: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    durations_ms: dict[str, Percentiles] = field(default_factory=dict)
    detections: int = 0
    sinks: tuple[SinkStatus, ...] = ()
