"""The whole chain from a source to its sinks, owned by one object."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Literal, Self

from edge_detect.core import (
    NS_PER_S,
    Result,
    StageError,
    monotonic_ns,
)
from edge_detect.models import Detector, InputBuffer, load_model
from edge_detect.pipeline import stages
from edge_detect.pipeline.crew import Crew
from edge_detect.pipeline.mailbox import Closed, Mailbox
from edge_detect.pipeline.statistics import Statistics
from edge_detect.pipeline.tuning import tuned_process
from edge_detect.render import Overlay
from edge_detect.sinks import Sink, open_sink
from edge_detect.sources import Source, open_source

__all__ = ["DEFAULT_MODEL", "Mode", "Pipeline"]

Mode = Literal["live", "every"]

DEFAULT_MODEL = "yolov3-tiny-coco"

# In mode `every` a little slack between stages evens out frames that take longer than
# others; in mode `live` every waiting frame would only grow old.
_SLACK = 4
_STOP_S = 1.0
_STATUS_NS = NS_PER_S // 2


class Pipeline:
    """Reads a source, detects in its frames, and serves sinks and whoever iterates.

        with Pipeline("street.mp4", model="yolov3-tiny-coco", sinks=["boxes.mp4"]) as pipeline:
            for result in pipeline:
                print(result.detections.names)

    Opening happens on entering: a wrong path or model is an error there, before any thread
    runs. Work starts with the first iteration, or with `start()`. Leaving stops everything.

    Args:
        source: URL or path, as `open_source` takes it.
        model: Name or path, as `load_model` takes it, or a detector, which stays yours.
        sinks: URLs or paths, as `open_sink` takes them.
        mode: `live` paces a file by its own clock and lets the newest frame win; `every`
            works through all frames and loses none. None: `live` for sources that are.
        threads: Of the interpreter; None lets the runtime choose.
        runtime: `litert` or `tflite-runtime`; None takes the first that is there.
        classes: Labels to report; None reports all.
        score_threshold: Least score; None takes the model's own.
        iou_threshold: For suppression of overlapping boxes; None takes the model's own.
        max_detections: Per frame; None takes the model's own.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        model: str | Path | Detector = DEFAULT_MODEL,
        sinks: Sequence[str | Path] = (),
        mode: Mode | None = None,
        threads: int | None = None,
        runtime: str | None = None,
        classes: Sequence[str] | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> None:
        if mode not in (None, "live", "every"):
            raise ValueError(f"mode must be 'live', 'every' or None, got {mode!r}")
        self._source_url = source
        self._model = model
        self._model_options: dict[str, Any] = {
            "threads": threads,
            "runtime": runtime,
            "classes": classes,
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
        }
        if isinstance(model, Detector) and any(v is not None for v in self._model_options.values()):
            raise ValueError("options of the model must be given to load_model with a detector")
        self._sink_urls = list(sinks)
        self._wanted_mode = mode
        self._crew = Crew()
        self._results: Mailbox[Result] | None = None
        self._sinks: list[Sink] = []
        self._source: Source | None = None
        self._detector: Detector | None = None
        self._started = False
        self._closed = False
        self._settings = ExitStack()
        self.statistics = Statistics()

    @property
    def source(self) -> Source:
        """The opened source."""
        if self._source is None:
            raise ValueError("the pipeline must be opened first: use it in a `with` statement")
        return self._source

    @property
    def detector(self) -> Detector:
        """The loaded model."""
        if self._detector is None:
            raise ValueError("the pipeline must be opened first: use it in a `with` statement")
        return self._detector

    @property
    def sinks(self) -> list[Sink]:
        """The sinks, in the order given."""
        return list(self._sinks)

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._wanted_mode or ("live" if self.source.live else "every")

    @property
    def running(self) -> bool:
        """Whether any stage is at work."""
        return self._crew.running

    def open(self) -> None:
        """Open source, model and sinks; `with` does it.

        Raises:
            EdgeDetectError: One of them cannot be opened; none stays open then.
        """
        try:
            paced = None if self._wanted_mode is None else self._wanted_mode == "live"
            self._source = open_source(self._source_url, paced=paced)
            if isinstance(self._model, Detector):
                self._detector = self._model
            else:
                self._detector = load_model(self._model, **self._model_options)
            for url in self._sink_urls:
                sink = open_sink(url)
                self._sinks.append(sink)
                sink.open(self._source.size, self._source.fps)
        except BaseException:
            self._release()
            raise

    def start(self) -> None:
        """Start the stages; they run until the source ends, something fails, or `stop()`.

        Results that nobody iterates over go to the sinks alone.
        """
        if self._started:
            return
        self._started = True
        self.statistics.started_ns = monotonic_ns()
        self._assemble()
        self._settings.enter_context(tuned_process())
        self._crew.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the source has ended and everything is written.

        Returns:
            Whether that happened within `timeout_s`.

        Raises:
            EdgeDetectError: The first error of any stage.
        """
        ended = self._crew.join(timeout_s)
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
        self._crew.stop()
        self._settings.close()
        if not self._crew.join(_STOP_S):
            raise StageError(
                f"stages that did not stop within {_STOP_S:g} s: {', '.join(self._crew.alive())}",
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
        if self._started and self._results is None:
            raise ValueError("iteration must begin before start(), which leaves results to sinks")
        if self._results is None:
            self._results = self._box()
        results = self._results
        self.start()
        while True:
            try:
                yield results.get()
            except Closed:
                break
        self._crew.join(_STOP_S)
        self._raise_error()

    def _raise_error(self) -> None:
        if self._crew.error is not None:
            raise self._crew.error

    def _release(self) -> None:
        if self._source is not None:
            self._source.close()
        if not self._started:
            for sink in self._sinks:
                sink.close()
        if self._detector is not None and self._detector is not self._model:
            self._detector.close()

    def _box(self, live_capacity: int = 1) -> Mailbox[Any]:
        lossy = self.mode == "live"
        box: Mailbox[Any] = Mailbox(live_capacity if lossy else _SLACK, lossy=lossy)
        self._crew.add_box(box)
        return box

    def _assemble(self) -> None:
        """Create the stages from the end to the beginning, each with the box it reads."""
        source, detector, statistics = self.source, self.detector, self.statistics
        outlets: list[tuple[str, Mailbox[Any], bool]] = []
        pictures: list[tuple[str, Mailbox[Any]]] = []
        readers: list[Mailbox[Any]] = []
        frames, inputs = self._box(), self._box()
        free: SimpleQueue[InputBuffer] = SimpleQueue()
        for _ in range(inputs.capacity + 2):
            free.put(detector.new_buffer())
        self._crew.add_waker(source.close)
        self._crew.add(
            "capture",
            lambda: stages.capture(source, frames, statistics),
            _in_turn(source.close, frames.finish),
        )
        self._crew.add(
            "prepare",
            lambda: stages.prepare(detector, frames, inputs, free, statistics),
            inputs.finish,
        )

        def publish(result: Result) -> None:
            for name, box, wrap in outlets:
                item = stages.Picture(result, None) if wrap else result
                if box.put(item) is not None:
                    statistics.count_drop(name)

        self._crew.add(
            "detect",
            lambda: stages.detect(detector, inputs, free, detector.thresholds, publish, statistics),
            lambda: _finish(readers),
        )
        if self._results is not None:
            outlets.append(("iterate", self._results, False))
        for sink in self._sinks:
            box = self._box(1 if sink.wants_picture else 16)
            if sink.wants_picture:
                pictures.append((sink.name, box))
            else:
                outlets.append((sink.name, box, True))
            self._crew.add(sink.name, _delivery(sink, box, statistics), sink.close)
        if pictures:
            to_draw = self._box()
            outlets.append(("render", to_draw, False))
            overlay = Overlay(detector.labels)
            self._crew.add(
                "render",
                lambda: stages.render(overlay, to_draw, pictures, self._status_line(), statistics),
                lambda: _finish([box for _, box in pictures]),
            )
        readers.extend(box for _, box, _ in outlets)

    def _status_line(self) -> Callable[[], str]:
        """A text for the picture that changes slowly enough to be read."""
        rate = self.statistics.rates["detected"]
        age = self.statistics.durations["capture_to_detect"]
        text, made_ns, before = "", monotonic_ns(), age.copy()

        def status() -> str:
            nonlocal text, made_ns, before
            now_ns = monotonic_ns()
            if now_ns - made_ns >= _STATUS_NS:
                now = age.copy()
                latency = now.since(before).percentiles().p50
                text = f"{rate.per_second():.1f} fps  {latency:.0f} ms"
                made_ns, before = now_ns, now
            return text

        return status


def _delivery(sink: Sink, box: Mailbox[Any], statistics: Statistics) -> Callable[[], None]:
    return lambda: stages.deliver(sink, box, statistics)


def _in_turn(*works: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        for work in works:
            work()

    return run


def _finish(boxes: Sequence[Mailbox[Any]]) -> None:
    for box in boxes:
        box.finish()
