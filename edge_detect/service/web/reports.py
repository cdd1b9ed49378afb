"""What the interface for all cameras answers, with units: its documentation is made from it."""

from typing import Literal

from pydantic import Field

from edge_detect.core import SourceStatus
from edge_detect.core.board import BoardReading, Throttling
from edge_detect.service.companion import CameraState, CameraView
from edge_detect.sinks.web.reports import PercentilesReport, Report, SizeReport

__all__ = ["BoardReport", "CameraReport", "CamerasReport", "describe_board", "describe_camera"]

State = Literal["starting", "connecting", "live", "stalled", "lost", "ended", "failed", "stopped"]


class CameraReport(Report):
    """One camera."""

    name: str = Field(description="its name in the configuration")
    path: str = Field(description="of its page; its interface is below that")
    state: State = Field(
        description="that of its source (`connecting`, `live`, `stalled`, `lost`, `ended`), or"
        " `starting`, `failed` (it is started again soon) or `stopped`"
    )
    for_s: float | None = Field(description="seconds in this state; null where nobody counted")
    reason: str = Field(description="why it is not live; else empty")
    enabled: bool = Field(description="whether it detects")
    score_threshold: float | None = Field(description="least score reported, 0 to 1")
    source: str = Field(description="URL or path, without credentials")
    model: str = Field(description="its name; empty until it is loaded")
    size: SizeReport | None = Field(description="of the newest frame")
    captured_fps: float = Field(description="frames a second of late")
    detected_fps: float = Field(description="frames a second that were looked at, of late")
    capture_to_detect: PercentilesReport | None = Field(
        description="age of frames when their detections were ready, milliseconds, of late"
    )
    in_view: dict[str, int] = Field(description="objects in the newest frame, by class")
    zones: list[str] = Field(description="names of its zones")
    viewers: int = Field(description="clients that look at any of its outputs")
    reconnects: int = Field(description="how often its source came back")
    restarts: int = Field(description="how often its pipeline was started again")


class BoardReport(Report):
    """The computer; null where it does not tell."""

    temperature_c: float | None = Field(description="of the processor, degrees Celsius")
    frequency_hz: int | None = Field(description="current clock of the fastest core")
    power_troubles: list[str] = Field(
        description="what the firmware of a Raspberry Pi does about heat and power just now"
    )
    cpu_share: float | None = Field(description="of this program; 1 is one busy core")
    resident_bytes: int | None = Field(description="memory of this program")


class CamerasReport(Report):
    """All cameras, and the computer that they run on."""

    version: str = Field(description="of edge-detect")
    elapsed_s: float = Field(description="seconds since the start")
    ready: bool = Field(description="whether every camera has shown a frame, or is known away")
    troubles: list[str] = Field(description="what keeps the program from being well; mostly none")
    board: BoardReport
    cameras: list[CameraReport] = Field(description="in the order of the configuration")


def describe_camera(
    camera: CameraView, now: CameraState, source: SourceStatus, in_view: dict[str, int]
) -> CameraReport:
    """Everything about one camera.

    Args:
        camera: Which.
        now: Its state.
        source: Its source, or what is known of it while it is not open.
        in_view: Objects in its newest frame, by class.
    """
    status = now.status
    running = now.phase == "running" and status is not None
    return CameraReport(
        name=camera.name,
        path=f"/cameras/{camera.name}/",
        state=source.state if running else ("starting" if now.phase == "running" else now.phase),
        for_s=source.for_s,
        reason=now.reason or source.reason,
        enabled=now.enabled,
        score_threshold=now.score_threshold,
        source=source.name,
        model=status.model.name if status else "",
        size=SizeReport.model_validate(source.size) if source.size else None,
        captured_fps=status.rates.get("captured", 0.0) if status else 0.0,
        detected_fps=status.rates.get("detected", 0.0) if status else 0.0,
        capture_to_detect=_percentiles(now),
        in_view=in_view,
        zones=list(camera.zones),
        viewers=sum(sink.viewers or 0 for sink in status.sinks) if status else 0,
        reconnects=source.reconnects,
        restarts=now.restarts,
    )


def describe_board(reading: BoardReading) -> BoardReport:
    """What is shown of the computer."""
    return BoardReport(
        temperature_c=reading.temperature_c,
        frequency_hz=reading.frequency_hz,
        power_troubles=_power_troubles(reading.throttling),
        cpu_share=reading.cpu_share,
        resident_bytes=reading.resident_bytes,
    )


def _percentiles(now: CameraState) -> PercentilesReport | None:
    known = now.status.durations_ms.get("capture_to_detect") if now.status else None
    return PercentilesReport.model_validate(known) if known and known.n else None


def _power_troubles(throttling: Throttling | None) -> list[str]:
    if throttling is None:
        return []
    words = {
        "too little voltage": throttling.under_voltage,
        "clock capped": throttling.frequency_capped,
        "throttled": throttling.throttled,
        "near the temperature limit": throttling.soft_temperature_limit,
    }
    return [word for word, true in words.items() if true]
