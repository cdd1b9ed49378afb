"""The stages of one pipeline, the threads they run in and the boxes between them."""

import os
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

from edge_detect.core import NS_PER_S, AcceleratorError, EdgeDetectError, Result, monotonic_ns
from edge_detect.models import Detector, InputBuffer
from edge_detect.pipeline import stages
from edge_detect.pipeline.controls import Controls
from edge_detect.pipeline.crew import Crew
from edge_detect.pipeline.feeds import Feeds
from edge_detect.pipeline.mailbox import Mailbox
from edge_detect.pipeline.newest import Newest
from edge_detect.pipeline.report import status_line
from edge_detect.pipeline.retry import WatchedSource
from edge_detect.pipeline.statistics import Statistics
from edge_detect.render import Overlay

__all__ = ["Line"]

# In mode `every` a little slack between stages evens out frames that take longer than
# others; in mode `live` every waiting frame would only grow old.
_SLACK = 4
# Frames that wait to be decoded: one is decoded while another is inferred, and one evens out those
# that take longer.
_UNDER_WAY = 2


class Line:
    """Puts the stages together and knows how each is doing.

    Args:
        source: Where frames come from.
        detector: The model, perhaps of other pipelines too.
        controls: What may be changed meanwhile.
        statistics: Gets all counts.
        live: Whether the newest frame wins; otherwise nothing is lost.
        given_up: Called when a sink has failed for good.

    Attributes:
        crew: The threads.
        feeds: The sinks.
        newest: The newest detections, for pictures.
        results: For whoever iterates; None while nobody does.
    """

    def __init__(
        self,
        source: WatchedSource,
        detector: Detector,
        controls: Controls,
        statistics: Statistics,
        *,
        live: bool,
        given_up: Callable[[EdgeDetectError], None],
    ) -> None:
        self._source = source
        self._detector = detector
        self._controls = controls
        self._statistics = statistics
        self._live = live
        self.crew = Crew()
        self.feeds = Feeds(self.crew, self._make_box, live=live, given_up=given_up)
        self.newest = Newest()
        self.results: Mailbox[Result] | None = None
        # By the stage that reads it.
        self._boxes: dict[str, Mailbox[Any]] = {}

    def iterate(self) -> Mailbox[Result]:
        """The box of whoever iterates."""
        if self.results is None:
            self.results = self._make_box()
        return self.results

    def start(self, overlay: Overlay, *, exact: bool) -> None:
        """Create the stages from the end to the beginning, each with its box, and start them.

        Args:
            overlay: Draws.
            exact: Whether only detected frames are shown.
        """
        crew, feeds, statistics = self.crew, self.feeds, self._statistics
        source, detector, controls = self._source, self._detector, self._controls
        frames, inputs = self._add_box("prepare"), self._add_box("detect")
        free: SimpleQueue[InputBuffer] = SimpleQueue()
        for _ in range(inputs.capacity + 2):
            free.put(detector.new_buffer())
        feeds.start()
        # In mode `live`, sinks may come later.
        to_draw = self._add_render(overlay) if self._live or feeds.pictures else None
        to_draw_exactly = to_draw if exact else None

        def show(result: Result) -> None:
            if to_draw_exactly is not None and to_draw_exactly.put(result) is not None:
                statistics.count_drop("render")

        def publish(result: Result) -> None:
            self.newest.put(result)
            if self.results is not None and self.results.put(result) is not None:
                statistics.count_drop("iterate")
            show(result)
            feeds.publish(result)

        captured = [(controls.skipping_stage, frames)]
        if to_draw is not None and not exact:
            captured.append((lambda: "render", to_draw))
        crew.add_waker(source.close)
        crew.add(
            "capture",
            lambda: stages.capture(source, captured, statistics),
            lambda: _finish([box for _, box in captured], source.close),
        )
        crew.add(
            "prepare",
            lambda: stages.prepare(detector, frames, inputs, free, controls, show, statistics),
            inputs.finish,
        )

        def last() -> None:
            _finish([self.results, to_draw_exactly], feeds.finish_results)

        if detector.lanes.slots > 1 or len(os.sched_getaffinity(0)) > 1:
            self._add_detection_in_two(inputs, free, publish, last)
        else:
            # With one core for all threads, nothing is decoded during an inference.
            crew.add(
                "detect",
                lambda: stages.detect(
                    detector, inputs, free, controls, publish, statistics, self._is_stopping
                ),
                last,
            )
        crew.start()

    def busy_s(self) -> dict[str, float]:
        """For how long each stage and sink has been at work on one item; 0 while it waits.

        A source counts from being asked for a frame, or to open, to its answer.
        """
        now_ns = monotonic_ns()
        busy = {name: box.busy_ns(now_ns) for name, box in self._boxes.items()}
        busy["capture"] = self._source.busy_ns(now_ns)
        busy.update(self.feeds.busy_ns(now_ns))
        return {name: each / NS_PER_S for name, each in busy.items()}

    def missing(self) -> list[str]:
        """Stages that have come to their end although nobody asked them to."""
        if self.crew.stopping or not self._boxes:
            return []
        alive = set(self.crew.alive())
        return [name for name in ("capture", *self._boxes) if name not in alive]

    def _add_detection_in_two(
        self,
        inputs: Mailbox[stages.Prepared],
        free: SimpleQueue[InputBuffer],
        publish: Callable[[Result], None],
        last: Callable[[], None],
    ) -> None:
        """While one frame is inferred, those before it are decoded and published in another thread.

        The CPU infers in the first thread; devices of their own do so by themselves.
        """
        detector, statistics = self._detector, self._statistics
        under_way = max(_UNDER_WAY, detector.lanes.slots)
        # `detect` waits while it is full: no frame that was inferred is dropped for a newer one.
        box = self._boxes["decode"] = Mailbox(under_way, lossy=False)
        self.crew.add_box(box)
        # Those that wait in the box, and one that is decoded.
        for _ in range(under_way + 1):
            free.put(detector.new_buffer())
        underway = stages.Underway(detector)

        def away(prepared: stages.Prepared, error: AcceleratorError) -> None:
            if not self._live:
                raise error
            free.put(prepared.buffer)
            statistics.count_drop("detect")
            self.newest.clear()

        def end() -> None:
            underway.abandon()
            last()

        self.crew.add(
            "detect",
            lambda: stages.submit(detector, inputs, box, underway, away, self._is_stopping),
            box.finish,
        )
        self.crew.add(
            "decode",
            lambda: stages.collect(
                detector, box, underway, free, self._controls, publish, away, statistics
            ),
            end,
        )

    def _add_render(self, overlay: Overlay) -> Mailbox[Any]:
        box, statistics = self._add_box("render"), self._statistics
        self.crew.add(
            "render",
            lambda: stages.render(
                overlay, box, self.newest, self.feeds, status_line(statistics), statistics
            ),
            self.feeds.finish_pictures,
        )
        return box

    def _add_box(self, reader: str) -> Mailbox[Any]:
        box = self._boxes[reader] = self._make_box()
        return box

    def _make_box(self, live_capacity: int = 1, writers: int = 1) -> Mailbox[Any]:
        capacity = live_capacity if self._live else _SLACK
        box: Mailbox[Any] = Mailbox(capacity, lossy=self._live, writers=writers)
        self.crew.add_box(box)
        return box

    def _is_stopping(self) -> bool:
        return self.crew.stopping


def _finish(boxes: Iterable[Mailbox[Any] | None], before: Callable[[], None]) -> None:
    before()
    for box in boxes:
        if box is not None:
            box.finish()
