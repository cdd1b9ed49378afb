"""One camera of the daemon: its pipeline, started again whenever it fails."""

import logging
from dataclasses import replace
from threading import Event, Lock, Thread

from edge_detect.core import EdgeDetectError, StageError, monotonic_ns
from edge_detect.core.about import camera_name
from edge_detect.core.backoff import Backoff
from edge_detect.models import Detector
from edge_detect.models.selection import Region, SizeRange
from edge_detect.pipeline import Pipeline
from edge_detect.pipeline.totals import Totals
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import CameraSettings, DetectorSettings, ZoneSettings
from edge_detect.service.detectors import Detectors
from edge_detect.service.snapshots import SnapshotSink
from edge_detect.sinks import Sink

__all__ = ["Camera"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.2
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0


class Camera:
    """Keeps a pipeline going for as long as the daemon wants it.

    A pipeline brings lost sources and sinks back by itself. What ends it (a wrong password, a
    defect in a stage) is told, and it is started anew with growing waits, for ever: somebody
    may be mending the camera, and the others are to go on meanwhile.

    Args:
        name: Its name in the configuration.
        settings: What the configuration says of it.
        detector: The model that it uses.
        detectors: Where loaded models come from.
    """

    def __init__(
        self, name: str, settings: CameraSettings, detector: DetectorSettings, detectors: Detectors
    ) -> None:
        self.name = name
        self.settings = settings
        self.detector = detector
        self.labels: tuple[str, ...] = ()
        self._detectors = detectors
        self._lock = Lock()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name=f"edge-camera-{name}", daemon=True)
        self._pipeline: Pipeline | None = None
        self._snapshots = SnapshotSink(name)
        self._attached: list[Sink] = [self._snapshots]
        self._state = CameraState(
            "starting", enabled=settings.enabled, score_threshold=settings.threshold
        )
        self._since_ns = monotonic_ns()
        self._max_fps = settings.max_fps
        self._stuck = ""

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of its zones."""
        return tuple(self.settings.zones)

    @property
    def pipeline(self) -> Pipeline | None:
        """What runs at the moment."""
        return self._pipeline

    @property
    def running(self) -> bool:
        """Whether its thread is at work."""
        return self._thread.is_alive()

    @property
    def stuck(self) -> str:
        """What did not stop, and never will; empty if nothing."""
        return self._stuck

    @property
    def phase_s(self) -> float:
        """Seconds since it is in its phase."""
        return (monotonic_ns() - self._since_ns) / 1e9

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to come to an end; returns at once."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end.

        Returns:
            Whether it came within `timeout_s`.
        """
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def state(self) -> CameraState:
        """How it is doing."""
        pipeline, state = self._pipeline, self._state
        return state if pipeline is None else replace(state, status=pipeline.report())

    def totals(self) -> Totals | None:
        """What its pipeline has counted; None while there is none."""
        pipeline = self._pipeline
        return None if pipeline is None else pipeline.totals()

    def attach(self, sink: Sink) -> None:
        """Have a sink opened and fed, now and after every restart, until `detach`."""
        with self._lock:
            self._attached.append(sink)
            if self._pipeline is not None:
                self._pipeline.attach(sink)

    def detach(self, sink: Sink) -> None:
        """Close a sink that was attached; nothing happens if it was not."""
        with self._lock:
            if sink not in self._attached:
                return
            self._attached.remove(sink)
            pipeline = self._pipeline
        if pipeline is not None:
            try:
                pipeline.detach(sink)
            except StageError as error:
                _log.warning("%s", error.said_of(self.name), extra={"camera": self.name})

    def set_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - a switch, thrown by its name
        """Switch detection on or off; the picture goes on in any case."""
        with self._lock:
            if enabled != self._state.enabled:
                _log.info(
                    "%s: detection is %s",
                    self.name,
                    "on" if enabled else "off",
                    extra={"camera": self.name},
                )
            self._state = replace(self._state, enabled=enabled)
            if self._pipeline is not None:
                self._pipeline.set_enabled(enabled)

    def set_score_threshold(self, score: float) -> None:
        """Change the least score reported.

        Raises:
            ValueError: It is not from 0 to 1.
        """
        if not 0 <= score <= 1:
            raise ValueError(f"the score must be from 0 to 1, got {score}")
        with self._lock:
            self._state = replace(self._state, score_threshold=score)
            if self._pipeline is not None:
                self._pipeline.controls.set_score_threshold(score)

    def set_max_fps(self, fps: float | None) -> None:
        """Limit the rate of detections further than the configuration does; None: not further.

        Raises:
            ValueError: It is not above 0.
        """
        if fps is not None and not fps > 0:
            raise ValueError(f"max_fps must be above 0, got {fps}")
        limits = [limit for limit in (fps, self.settings.max_fps) if limit is not None]
        with self._lock:
            self._max_fps = min(limits, default=None)
            if self._pipeline is not None:
                self._pipeline.controls.set_max_fps(self._max_fps)

    def snapshot(self, timeout_s: float) -> bytes | None:
        """The next annotated picture as JPEG; None when none came within `timeout_s`."""
        return self._snapshots.take(timeout_s)

    def _run(self) -> None:
        camera_name.set(self.name)
        backoff = Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        while not self._stopping.is_set():
            started_ns = monotonic_ns()
            try:
                self._run_pipeline()
            except EdgeDetectError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - told, and tried again: others depend on us
                defect = StageError(f"{type(error).__name__}: {error}", "please report it")
                defect.__cause__ = error
                self._fail(defect)
            else:
                if not self._stopping.is_set():
                    _log.info("%s: the source has ended", self.name, extra={"camera": self.name})
                break
            backoff.worked_for(monotonic_ns() - started_ns)
            if self._stuck or self._stopping.wait(backoff.next_s()):
                break
            self._enter("starting", restarts=self._state.restarts + 1)
        if not self._stuck:
            self._enter("stopped", reason="" if self._stopping.is_set() else "the source has ended")

    def _run_pipeline(self) -> None:
        """Run a pipeline until the source ends or `stop`.

        Raises:
            EdgeDetectError: What brought it to an end.
        """
        with self._detectors.borrow(self.detector) as detector:
            self.labels = self.settings.classes or tuple(
                label for label in detector.labels if label != "n/a"
            )
            pipeline = self._make_pipeline(detector)
            try:
                pipeline.open()
                # Before the first frame, and for what is switched while it starts once more.
                self._switch(pipeline)
                pipeline.start()
                self._adopt(pipeline)
                while not self._stopping.is_set() and not pipeline.wait(_LOOK_S):
                    pass
            finally:
                with self._lock:
                    self._pipeline = None
                try:
                    pipeline.stop()
                except StageError as error:
                    self._stuck = error.message
                    raise

    def _make_pipeline(self, detector: Detector) -> Pipeline:
        settings = self.settings
        return Pipeline(
            settings.source_url(),
            model=detector,
            sinks=settings.sinks,
            mode="live",
            overlay=settings.overlay,
            classes=settings.classes or None,
            zones=_regions(settings.zones),
            masks=_regions(settings.masks),
            sizes={
                label: SizeRange(**limits.model_dump()) for label, limits in settings.sizes.items()
            },
            max_fps=self._max_fps,
        )

    def _switch(self, pipeline: Pipeline) -> None:
        state = self._state
        pipeline.set_enabled(state.enabled)
        pipeline.controls.set_max_fps(self._max_fps)
        if state.score_threshold is not None:
            pipeline.controls.set_score_threshold(state.score_threshold)

    def _adopt(self, pipeline: Pipeline) -> None:
        with self._lock:
            self._switch(pipeline)
            score = pipeline.controls.thresholds.score
            self._state = replace(self._state, phase="running", reason="", score_threshold=score)
            self._since_ns = monotonic_ns()
            self._pipeline = pipeline
            for sink in self._attached:
                pipeline.attach(sink)

    def _fail(self, error: EdgeDetectError) -> None:
        if self._stopping.is_set() and not self._stuck:
            return
        defect = error.__cause__ if isinstance(error, StageError) else None
        level = logging.ERROR if isinstance(error, StageError) else logging.WARNING
        _log.log(
            level,
            "%s; %s",
            error.said_of(self.name),
            "it stays as it is" if self._stuck else "it will be started again",
            exc_info=defect,
            extra={"camera": self.name},
        )
        self._enter("failed", reason=error.message)

    def _enter(self, phase: str, *, reason: str = "", restarts: int | None = None) -> None:
        with self._lock:
            self._state = replace(
                self._state,
                phase=phase,  # type: ignore[arg-type]
                reason=reason,
                restarts=self._state.restarts if restarts is None else restarts,
            )
            self._since_ns = monotonic_ns()


def _regions(zones: dict[str, ZoneSettings]) -> list[Region]:
    return [Region(name, zone.polygon, zone.classes) for name, zone in zones.items()]
