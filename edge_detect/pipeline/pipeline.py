"""The whole chain from a source to its sinks, owned by one object."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from edge_detect.core import (
    EdgeDetectError,
    PipelineStatus,
    Result,
    StageError,
    monotonic_ns,
)
from edge_detect.models import Detector, load_model
from edge_detect.models.selection import Region, Selection, SizeRange
from edge_detect.models.tensors import override
from edge_detect.pipeline.controls import Controls
from edge_detect.pipeline.line import Line
from edge_detect.pipeline.mailbox import Closed
from edge_detect.pipeline.outlet import Outlet
from edge_detect.pipeline.report import Reporter
from edge_detect.pipeline.retry import WatchedSource, watch_source
from edge_detect.pipeline.statistics import Statistics
from edge_detect.pipeline.totals import Totals
from edge_detect.pipeline.tuning import tuned_process
from edge_detect.render import Overlay
from edge_detect.sinks import Encoders, Sink, StreamInfo, open_sink

__all__ = ["Mode", "OverlayMode", "Pipeline"]

Mode = Literal["live", "every"]
OverlayMode = Literal["latest", "exact"]

_STOP_S = 1.0
_NOT_OPEN = "the pipeline must be opened first: use it in a `with` statement"


class Pipeline:
    """Reads a source, detects in its frames, and serves sinks and whoever iterates.

        with Pipeline("street.mp4", sinks=["boxes.mp4"]) as pipeline:
            for result in pipeline:
                print(result.detections.names)

    Opening happens on entering: a wrong path or model is an error there, before any thread
    runs. Work starts with the first iteration, or with `start()`. Leaving stops everything.

    Args:
        source: URL or path, as `open_source` takes it.
        model: Name or path, as `load_model` takes it, or a detector, which stays yours and may
            be shared by several pipelines: each gets its turn. None: the default for what it runs
            on.
        sinks: URLs or paths, as `open_sink` takes them, or sinks.
        mode: `live` paces a file by its own clock, lets the newest frame win, and brings
            sources and sinks back that fail; `every` works through all frames, loses none
            and ends with the first error. None: `live` for sources that are.
        overlay: What sinks show: `latest` draws every captured frame with the newest
            detections, `exact` the detected frames with their own. None: `latest` in mode
            `live`; mode `every` is always exact.
        accelerator: What the model runs on, as `load_model` takes it; None for `auto`.
        threads: Of the interpreter; None takes what suits this board.
        runtime: `litert` or `tflite-runtime`; None takes the first that is there.
        classes: Labels to report; None reports all.
        score_threshold: Least score; None takes the model's own.
        iou_threshold: For suppression of overlapping boxes; None takes the model's own.
        max_detections: Per frame; None takes the model's own.
        zones: Parts of the picture that are told apart in the detections.
        masks: Parts of the picture in which nothing is reported.
        sizes: How large boxes must be, by label; `*` is for all that are not named.
        max_fps: At most so many detections a second; None for no limit.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        model: str | Path | Detector | None = None,
        sinks: Sequence[str | Path | Sink] = (),
        mode: Mode | None = None,
        overlay: OverlayMode | None = None,
        accelerator: str | None = None,
        threads: int | None = None,
        runtime: str | None = None,
        classes: Sequence[str] | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        zones: Sequence[Region] = (),
        masks: Sequence[Region] = (),
        sizes: Mapping[str, SizeRange] | None = None,
        max_fps: float | None = None,
    ) -> None:
        if mode not in (None, "live", "every"):
            raise ValueError(f"mode must be 'live', 'every' or None, got {mode!r}")
        if overlay not in (None, "latest", "exact"):
            raise ValueError(f"overlay must be 'latest', 'exact' or None, got {overlay!r}")
        if mode == "every" and overlay == "latest":
            raise ValueError("overlay 'latest' needs mode 'live'")
        self._source_url = source
        self._model = model
        self._model_options: dict[str, Any] = {
            "accelerator": accelerator,
            "threads": threads,
            "runtime": runtime,
        }
        given = [name for name, value in self._model_options.items() if value is not None]
        if isinstance(model, Detector) and given:
            raise ValueError(f"{', '.join(given)} must be given to load_model with a detector")
        self._thresholds = (score_threshold, iou_threshold, max_detections)
        self._selection: dict[str, Any] = {
            "classes": classes,
            "zones": zones,
            "masks": masks,
            "sizes": sizes,
        }
        self._max_fps = max_fps
        self._wanted_sinks = list(sinks)
        self._wanted_mode = mode
        self._wanted_overlay = overlay
        self._live = False
        self._line: Line | None = None
        self._encoders: Encoders | None = None
        self._source: WatchedSource | None = None
        self._reporter: Reporter | None = None
        self._controls: Controls | None = None
        self._detector: Detector | None = None
        self._started = False
        self._closed = False
        self._settings = ExitStack()
        self.statistics = Statistics()

    @property
    def source(self) -> WatchedSource:
        """The source, which may be away for the moment in mode `live`."""
        if self._source is None:
            raise ValueError(_NOT_OPEN)
        return self._source

    @property
    def detector(self) -> Detector:
        """The loaded model."""
        if self._detector is None:
            raise ValueError(_NOT_OPEN)
        return self._detector

    @property
    def sinks(self) -> list[Sink]:
        """The sinks, in the order given."""
        return [outlet.sink for outlet in self.outlets]

    @property
    def outlets(self) -> list[Outlet]:
        """The sinks with what is counted of them, in the order given."""
        return [] if self._line is None else list(self._line.feeds.outlets)

    @property
    def controls(self) -> Controls:
        """What may be changed while it runs."""
        if self._controls is None:
            raise ValueError(_NOT_OPEN)
        return self._controls

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return "live" if self._live else "every"

    @property
    def overlay(self) -> OverlayMode:
        """What sinks show."""
        return self._wanted_overlay or ("latest" if self._live else "exact")

    @property
    def running(self) -> bool:
        """Whether any stage is at work."""
        return self._line is not None and self._line.crew.running

    def open(self) -> None:
        """Open source, model and sinks; `with` does it.

        In mode `live`, a source or sink that is away for the moment is no error: the
        pipeline goes on without it and tries again, and `report` says so.

        Raises:
            EdgeDetectError: One of them cannot be opened; none stays open then.
        """
        try:
            self._source = watch_source(self._source_url, self._wanted_mode)
            self._live = (
                self._source.live if self._wanted_mode is None else self._wanted_mode == "live"
            )
            if isinstance(self._model, Detector):
                self._detector = self._model
            else:
                self._detector = load_model(self._model, **self._model_options)
            self._controls = self._make_controls(self._detector)
            self._line = line = Line(
                self.source,
                self._detector,
                self._controls,
                self.statistics,
                live=self._live,
                given_up=self._give_up,
            )
            self._reporter = Reporter(
                self.source,
                self._detector,
                line.feeds,
                self._controls,
                self.statistics,
                self.mode,
                self.overlay,
            )
            self._encoders = Encoders(self.source.fps)
            for sink in self._wanted_sinks:
                opened = sink if isinstance(sink, Sink) else open_sink(sink)
                line.feeds.open(opened, self._stream_for)
        except BaseException:
            self._release()
            raise

    def _make_controls(self, detector: Detector) -> Controls:
        thresholds = override(detector.thresholds, *self._thresholds)
        if all(choice in (None, (), [], {}) for choice in self._selection.values()):
            selection = detector.selection
        else:
            selection = Selection(detector.name, detector.labels, **self._selection)
        return Controls(thresholds, selection, self._max_fps)

    def _stream_for(self, outlet: Outlet) -> StreamInfo:
        source, encoders = self.source, self._encoders
        if encoders is None:
            raise ValueError(_NOT_OPEN)
        return StreamInfo(source.size, source.fps, encoders, self.report, outlet.count_encoded)

    def _give_up(self, error: EdgeDetectError) -> None:
        """End with a sink's error when it was the last thing that anybody has of this run."""
        if self._opened().results is None and all(outlet.dead for outlet in self.outlets):
            raise error

    def attach(self, sink: Sink) -> None:
        """Add a sink while the pipeline runs in mode `live`; it is opened in its own thread.

        Its failures are its own: it is opened again, as long as the pipeline runs.
        """
        if not self._started or not self._live:
            raise ValueError("sinks are attached to pipelines that run in mode 'live'")
        self._opened().feeds.attach(sink, self._stream_for)

    def detach(self, sink: Sink) -> None:
        """Close one of the sinks, and go on without it; nothing happens if it is not there.

        Raises:
            StageError: It did not come to its end within a second.
        """
        self._opened().feeds.detach(sink)

    def set_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - a switch, thrown by its name
        """Switch detection on or off; the picture goes on in any case."""
        self.controls.enabled = enabled
        if not enabled:
            self._opened().newest.clear()

    def report(self) -> PipelineStatus:
        """How everything is doing now; from any thread."""
        if self._reporter is None:
            raise ValueError(_NOT_OPEN)
        return self._reporter.report()

    def totals(self) -> Totals:
        """All that was counted since the start; from any thread."""
        if self._reporter is None:
            raise ValueError(_NOT_OPEN)
        return self._reporter.totals()

    def busy_s(self) -> dict[str, float]:
        """For how long each stage and sink has been at work on one item; 0 while it waits.

        A source counts from being asked for a frame, or to open, to its answer.
        """
        return self._opened().busy_s()

    def missing(self) -> list[str]:
        """Stages that have come to their end although nobody asked them to."""
        return self._opened().missing()

    def start(self) -> None:
        """Start the stages; they run until the source ends, something fails, or `stop()`.

        Results that nobody iterates over go to the sinks alone.
        """
        if self._started:
            return
        self._started = True
        self.statistics.started_ns = monotonic_ns()
        zones = {zone.name: zone.polygon for zone in self._selection["zones"]}
        self._settings.enter_context(tuned_process())
        overlay = Overlay(self.detector.labels, zones)
        self._opened().start(overlay, exact=self.overlay == "exact")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the source has ended and everything is written.

        Returns:
            Whether that happened within `timeout_s`.

        Raises:
            EdgeDetectError: The first error of any stage.
        """
        ended = self._opened().crew.join(timeout_s)
        if ended:
            self._raise_error()
        return ended

    def stop(self) -> None:
        """Stop all stages from whatever they do, and close source and sinks.

        Raises:
            StageError: A stage did not come to its end within a second.
        """
        if self._closed:
            return
        self._closed = True
        if self._line is None:
            return
        crew = self._line.crew
        crew.stop()
        self._settings.close()
        crew.join(_STOP_S + self.detector.patience_s)
        # A sink that waits for a server on the network ends by its own timeout.
        excused = {outlet.sink.name for outlet in self.outlets if outlet.opening}
        stuck = [name for name in crew.alive() if name not in excused]
        if stuck:
            raise StageError(
                f"stages that did not stop within {_STOP_S:g} s: {', '.join(stuck)}",
                "a device or file system does not answer",
            )
        self._release()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except StageError:
            # What went wrong inside the `with` matters more than what that left behind.
            if error is None:
                raise
        if error is None:
            self._raise_error()

    def __iter__(self) -> Iterator[Result]:
        line = self._opened()
        if self._started and line.results is None:
            raise ValueError("iteration must begin before start(), which leaves results to sinks")
        results = line.iterate()
        self.start()
        while True:
            try:
                yield results.get()
            except Closed:
                break
        line.crew.join(_STOP_S)
        self._raise_error()

    def _raise_error(self) -> None:
        if self._line is not None and self._line.crew.error is not None:
            raise self._line.crew.error

    def _opened(self) -> Line:
        if self._line is None:
            raise ValueError(_NOT_OPEN)
        return self._line

    def _release(self) -> None:
        if self._source is not None:
            self._source.close()
        if not self._started:
            for outlet in self.outlets:
                outlet.close()
        if self._detector is not None and self._detector is not self._model:
            self._detector.close()
