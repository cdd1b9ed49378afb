"""The page of one camera among others."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from edge_detect.core import (
    NS_PER_S,
    Picture,
    PipelineStatus,
    Result,
    Size,
    SourceStatus,
    monotonic_ns,
)
from edge_detect.core.status import ModelStatus, SourceState
from edge_detect.core.url import parse_url
from edge_detect.service.companion import CameraState, CameraView
from edge_detect.service.web.reports import CameraReport, describe_camera
from edge_detect.sinks import Sink, StreamInfo
from edge_detect.sinks.web.audience import Audience
from edge_detect.sinks.web.feed import Feed
from edge_detect.sinks.web.routes import make_camera_app
from edge_detect.sinks.web.stage import MOST_LISTENERS, Stage
from edge_detect.sinks.web.timeouts import Timeouts

__all__ = ["CameraPage"]

# What is shown of a camera whose pipeline does not run.
_STATES: dict[str, SourceState] = {"failed": "lost", "stopped": "ended"}


class CameraPage:
    """What is shown of one camera, from its appearance to its end, through all restarts.

    Args:
        camera: Which.
        name: Of its sink: where the page is.
        viewers: Most that may watch its picture at a time.
        call_soon: Runs a function in the server's event loop, while there is one.
        timeouts: How long pictures and results are waited for.
        changeable: Whether those who see the page may change anything.

    Attributes:
        app: The ASGI application, to be mounted.
        sink: To be attached to the camera.
    """

    def __init__(
        self,
        camera: CameraView,
        name: str,
        viewers: int,
        call_soon: Callable[..., Any],
        *,
        timeouts: Timeouts,
        changeable: bool,
    ) -> None:
        self._camera = camera
        self._audience, self._feed = Audience(viewers), Feed(MOST_LISTENERS)
        controls = _CameraControls(camera, changeable=changeable)
        stage = Stage(self._audience, self._feed, self._status, camera.name, controls)
        self._stage = stage
        self.sink = PageSink(name, stage, call_soon)
        self.app = make_camera_app(stage, timeouts)

    @property
    def camera(self) -> CameraView:
        """Whose page it is."""
        return self._camera

    def describe(self) -> CameraReport:
        """How the camera is doing, for the page of all."""
        now = self._camera.state()
        newest = self._feed.newest
        in_view: Counter[str] = Counter()
        if newest is not None and now.enabled and self._source(now).state == "live":
            in_view.update(newest.detections.names)
        return describe_camera(self._camera, now, self._source(now), dict(in_view.most_common()))

    def end(self) -> None:
        """Send everybody away; in the event loop."""
        self._stage.end()

    def _source(self, now: CameraState) -> SourceStatus:
        if now.phase == "running" and now.status is not None:
            return now.status.source
        name = parse_url(self._camera.settings.source).name
        for_s = (monotonic_ns() - self.sink.changed_ns) / NS_PER_S
        return SourceStatus(name, _STATES.get(now.phase, "connecting"), for_s, now.reason)

    def _status(self) -> PipelineStatus:
        """What the page shows, also while there is no pipeline."""
        now = self._camera.state()
        if now.phase == "running" and now.status is not None:
            return now.status
        settings = self._camera.settings
        model = settings.model or settings.detector
        threshold = now.score_threshold or 0.0
        return PipelineStatus(
            elapsed_s=0.0,
            mode="live",
            overlay=settings.overlay,
            source=self._source(now),
            model=ModelStatus(model, Size(0, 0), "", 0, threshold),
        )


class PageSink(Sink):
    """Hands results and pictures of one camera to those who look at its page.

    JPEGs are made in the thread that calls `write_picture`, when somebody takes them. It
    listens nowhere itself, and outlives the pipelines that it is opened for.

    Args:
        name: Where the page is.
        stage: What it shows.
        call_soon: Runs a function in the server's event loop, while there is one.

    Attributes:
        changed_ns: CLOCK_MONOTONIC time at which it was made, opened or closed last.
    """

    takes_results = True
    takes_pictures = True

    def __init__(self, name: str, stage: Stage, call_soon: Callable[..., Any]) -> None:
        self.name = name
        self.changed_ns = monotonic_ns()
        self._stage = stage
        self._call_soon = call_soon
        self._encoded: Callable[[int], None] | None = None

    @property
    def wants_picture(self) -> bool:
        """Whether somebody watches and is ready for the next picture."""
        return self._stage.audience.is_due()

    @property
    def viewers(self) -> int:
        """How many watch the picture."""
        return self._stage.audience.count

    def open(self, stream: StreamInfo) -> None:
        """Begin to show a pipeline; those who watch already see it go on."""
        self._encoded = stream.encoded
        self.changed_ns = monotonic_ns()

    def write_result(self, result: Result) -> None:
        """Tell those who listen."""
        self._stage.feed.publish(result, self._call_soon)

    def write_picture(self, picture: Picture) -> None:
        """Show the picture to those who are ready for one."""
        encoded = self._encoded
        if self._stage.audience.serve(picture, self._call_soon) and encoded is not None:
            encoded(picture.frame.captured_ns)

    def close(self) -> None:
        """Wait for the next pipeline; viewers stay."""
        self._encoded = None
        self.changed_ns = monotonic_ns()


class _CameraControls:
    """What can be changed of a camera (see `Controls`)."""

    def __init__(self, camera: CameraView, *, changeable: bool) -> None:
        self._camera = camera
        self.changeable = changeable

    @property
    def enabled(self) -> bool:
        return self._camera.state().enabled

    @property
    def score_threshold(self) -> float | None:
        return self._camera.state().score_threshold

    def set_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - as in the protocol
        self._camera.set_enabled(enabled)

    def set_score_threshold(self, score: float) -> None:
        self._camera.set_score_threshold(score)
