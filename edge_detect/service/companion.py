"""What runs beside the cameras (MQTT, the page, metrics, the history), and what it sees."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edge_detect.core import PipelineStatus
from edge_detect.core.board import BoardReading
from edge_detect.pipeline.totals import Totals
from edge_detect.service.config.settings import CameraSettings
from edge_detect.sinks import Sink

__all__ = ["CameraState", "CameraView", "Companion", "ServiceView"]


@dataclass(slots=True, frozen=True)
class CameraState:
    """One camera at one moment.

    Attributes:
        phase: `starting` until its pipeline is open; `running`; `failed` while it waits to
            be started again; `stopped`.
        reason: Why it failed; empty otherwise.
        restarts: How often its pipeline was started again after a failure.
        status: Of its pipeline; None while there is none.
        enabled: Whether it detects; the picture goes on in any case.
        score_threshold: Least score reported; None before the model is loaded.
    """

    phase: Literal["starting", "running", "failed", "stopped"]
    reason: str = ""
    restarts: int = 0
    status: PipelineStatus | None = None
    enabled: bool = True
    score_threshold: float | None = None


class CameraView(Protocol):
    """A camera as companions see it; everything may be called from any thread."""

    @property
    def name(self) -> str:
        """Its name in the configuration: letters, digits, `-` and `_`."""

    @property
    def settings(self) -> CameraSettings:
        """What the configuration says of it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that it may report; empty until its model has been read."""

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of its zones."""

    def state(self) -> CameraState:
        """How it is doing; cheap."""

    def totals(self) -> Totals | None:
        """What its pipeline has counted; None while there is none."""

    def attach(self, sink: Sink) -> None:
        """Have a sink opened and fed, now and after every restart, until `detach`.

        The sink has a thread of its own in the pipeline; its failures stay its own.
        """

    def detach(self, sink: Sink) -> None:
        """Close a sink that was attached; nothing happens if it was not."""

    def set_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - a switch, thrown by its name
        """Switch detection on or off until the next restart of the program."""

    def set_score_threshold(self, score: float) -> None:
        """Change the least score reported, until the next restart of the program.

        Raises:
            ValueError: It is not from 0 to 1.
        """

    def set_max_fps(self, fps: float | None) -> None:
        """Limit the rate of detections further than the configuration does; None: not further.

        Raises:
            ValueError: It is not above 0.
        """

    def snapshot(self, timeout_s: float) -> bytes | None:
        """The next annotated picture as JPEG; None when none came within `timeout_s`."""


class ServiceView(Protocol):
    """The daemon as companions see it; everything may be called from any thread."""

    @property
    def started_ns(self) -> int:
        """CLOCK_MONOTONIC time of its start."""

    @property
    def reloads(self) -> int:
        """How often the configuration was applied anew."""

    @property
    def cameras(self) -> Sequence[CameraView]:
        """All cameras, in the order of the file; a copy."""

    @property
    def state_directory(self) -> Path:
        """Where files belong that outlive the process."""

    @property
    def ready(self) -> bool:
        """Whether every camera has shown a frame, or is known to be away."""

    def board(self) -> BoardReading:
        """The newest reading of the computer, at most a few seconds old."""

    def troubles(self) -> list[str]:
        """What keeps the watchdog from being told that all is well; mostly empty."""


class Companion(ABC):
    """Runs beside the cameras from `start` to `stop`.

    All calls come from one thread, and must return within a second: what waits for a
    network or a disk does so in threads of its own ("edge-…").
    """

    @abstractmethod
    def start(self, service: ServiceView) -> None:
        """Begin.

        Raises:
            EdgeDetectError: It cannot, and trying again would not help.
        """

    @abstractmethod
    def add_camera(self, camera: CameraView) -> None:
        """Take care of a camera, from now on; after `start`."""

    @abstractmethod
    def remove_camera(self, camera: CameraView) -> None:
        """Forget a camera, which is stopped after this."""

    @abstractmethod
    def stop(self) -> None:
        """End; may be called twice, and without `start`."""

    def remark(self) -> str:
        """What whoever asks for the status should know; mostly empty."""
        return ""

    def trouble(self) -> str:
        """What has gone wrong inside for good, such as a thread that ended; empty if nothing."""
        return ""
