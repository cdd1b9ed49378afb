"""What each thread of a pipeline does with its frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from edge_detect.core import (
    AcceleratorError,
    Detections,
    Frame,
    Picture,
    Result,
    Timings,
    monotonic_ns,
)
from edge_detect.core.buffers import ImagePool
from edge_detect.core.turns import Turn
from edge_detect.models import Detector, InputBuffer
from edge_detect.models.detector import Ticket
from edge_detect.pipeline.controls import Controls
from edge_detect.pipeline.feeds import Feeds
from edge_detect.pipeline.mailbox import Closed, Mailbox
from edge_detect.pipeline.newest import Newest
from edge_detect.pipeline.statistics import Statistics
from edge_detect.render import Overlay
from edge_detect.sources import Source

__all__ = ["Prepared", "Underway", "capture", "collect", "detect", "prepare", "render", "submit"]


@dataclass(slots=True, frozen=True)
class Prepared:
    """A frame, and the model's input made from it."""

    frame: Frame
    buffer: InputBuffer


def capture(
    source: Source,
    outs: Sequence[tuple[Callable[[], str], Mailbox[Frame]]],
    statistics: Statistics,
) -> None:
    """Read frames until the source ends, and give each to every stage that takes frames.

    Args:
        source: Where from.
        outs: Boxes, each with what a frame that is dropped there is counted as.
        statistics: Gets rate and drops.
    """
    captured = statistics.rates["captured"]
    while (frame := source.read()) is not None:
        captured.add()
        for name, out in outs:
            if out.put(frame) is not None:
                statistics.count_drop(name())
        # The name would keep the image's buffer from its pool during the next read.
        del frame


def prepare(
    detector: Detector,
    inbox: Mailbox[Frame],
    out: Mailbox[Prepared],
    free: SimpleQueue[InputBuffer],
    controls: Controls,
    undetected: Callable[[Result], None],
    statistics: Statistics,
) -> None:
    """Resize frames into the model's input size while the detector works on another one.

    Args:
        detector: Whose input it is.
        inbox: Frames.
        out: Frames with their input.
        free: Buffers that no frame is in: one that is filled here, those that wait in `out`, and
            those that are inferred, wait for their decoding or are decoded. With all of them, this
            never waits.
        controls: Whether and how often frames are detected.
        undetected: Gets frames while detection is switched off.
        statistics: Gets the drops.
    """
    while True:
        inbox.wait()
        # Before a frame is chosen, so that it is a new one.
        controls.wait_until_due(out.check)
        frame = inbox.get()
        if not controls.enabled:
            timings = Timings(detected_ns=monotonic_ns())
            undetected(Result(frame, Detections.empty(detector.labels), timings))
            continue
        buffer = _free_buffer(free, out)
        if frame.small is None:
            detector.prepare(frame.image, buffer)
        else:
            detector.prepare(frame.small, buffer, frame.size)
        dropped = out.put(Prepared(frame, buffer))
        if dropped is not None:
            free.put(dropped.buffer)
            statistics.count_drop("detect")
        del frame, buffer, dropped


def _free_buffer(free: SimpleQueue[InputBuffer], out: Mailbox[Prepared]) -> InputBuffer:
    while True:
        try:
            return free.get(timeout=0.5)
        except Empty:
            out.check()


def detect(
    detector: Detector,
    inbox: Mailbox[Prepared],
    free: SimpleQueue[InputBuffer],
    controls: Controls,
    publish: Callable[[Result], None],
    statistics: Statistics,
    stopping: Callable[[], bool],
) -> None:
    """Run the model on prepared frames and publish what it finds, in one thread.

    Args:
        detector: The model, perhaps of other pipelines too.
        inbox: Prepared frames; the newest is chosen when it is this pipeline's turn.
        free: Gets the buffers back.
        controls: What is reported.
        publish: Gets the results.
        statistics: Gets rate and durations.
        stopping: Whether to wait for no more turn.
    """
    done: list[tuple[Prepared, tuple[Detections, Timings]]] = []

    def step() -> None:
        prepared = inbox.get()
        done.append(
            (prepared, detector.run(prepared.buffer, controls.thresholds, controls.selection))
        )

    turn = Turn(step, lambda: not done and inbox.ready)
    while True:
        inbox.wait()
        if not detector.turns.take(turn, stopping):
            raise Closed
        prepared, found = done.pop()
        free.put(prepared.buffer)
        _publish(prepared.frame, *found, publish, statistics)
        del prepared, found


class Underway:
    """Frames that were handed over, so that none is forgotten when the stages end.

    Args:
        detector: Whose devices they are.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._tickets: dict[int, Ticket] = {}

    def add(self, ticket: Ticket) -> None:
        """A frame was handed over."""
        self._tickets[id(ticket)] = ticket

    def remove(self, ticket: Ticket) -> bool:
        """Whether it is still the caller's business to collect or abandon it."""
        return self._tickets.pop(id(ticket), None) is not None

    def abandon(self) -> None:
        """Have all devices done with what will not be collected, and all copies given back."""
        for ticket in list(self._tickets.values()):
            if self.remove(ticket):
                self._detector.abandon(ticket)


def submit(
    detector: Detector,
    inbox: Mailbox[Prepared],
    out: Mailbox[tuple[Frame, Ticket]],
    underway: Underway,
    away: Callable[[Prepared, AcceleratorError], None],
    stopping: Callable[[], bool],
) -> None:
    """Have prepared frames inferred, while `collect` decodes those before them in another thread.

    A frame is chosen when there is room for its ticket. On the CPU, turn and place are held during
    the inference alone: a reader of results that is slow, or calls the detector itself, holds up
    this pipeline and no other one. Whichever pipeline's thread is at work infers the frames of the
    others, too, while they have some.

    Args:
        detector: The model, perhaps of other pipelines too.
        inbox: Prepared frames; the newest is chosen when it is this pipeline's turn.
        out: Frames under way, in order; it holds the writer back.
        underway: Knows them all.
        away: Gets frames that no device takes.
        stopping: Whether to wait for no more turn.
    """

    def step() -> None:
        submitted = _submit_newest(detector, inbox, away, stopping)
        inbox.rest()
        if submitted is None:
            return
        ticket = submitted[1]
        underway.add(ticket)
        try:
            out.put(submitted)
        except Closed:
            if underway.remove(ticket):
                detector.abandon(ticket)
            raise

    turn = Turn(step, lambda: inbox.ready and out.has_room)
    while True:
        inbox.wait()
        out.wait_for_room()
        if not detector.turns.take(turn, stopping):
            raise Closed


def _submit_newest(
    detector: Detector,
    inbox: Mailbox[Prepared],
    away: Callable[[Prepared, AcceleratorError], None],
    stopping: Callable[[], bool],
) -> tuple[Frame, Ticket] | None:
    """Choose a frame once a device can take it, and hand it over; None if none could."""
    try:
        place = detector.reserve_unless(stopping)
    except AcceleratorError as error:
        away(inbox.get(), error)
        return None
    if place is None:
        raise Closed
    try:
        prepared = inbox.get()
    except Closed:
        detector.give_back(place)
        raise
    try:
        return prepared.frame, detector.submit(prepared.buffer, place)
    except AcceleratorError as error:
        away(prepared, error)
        return None


def collect(
    detector: Detector,
    inbox: Mailbox[tuple[Frame, Ticket]],
    underway: Underway,
    free: SimpleQueue[InputBuffer],
    controls: Controls,
    publish: Callable[[Result], None],
    away: Callable[[Prepared, AcceleratorError], None],
    statistics: Statistics,
) -> None:
    """Decode frames that were handed over, in order, and publish what is found.

    Args:
        detector: The model.
        inbox: From `submit`.
        underway: Knows what is in there.
        free: Gets the buffers back.
        controls: What is reported.
        publish: Gets the results.
        away: Gets frames whose device failed, when no other takes them.
        statistics: Gets rate and durations.
    """
    while True:
        frame, ticket = inbox.get()
        if not underway.remove(ticket):
            raise Closed
        try:
            found = detector.collect(ticket, controls.thresholds, controls.selection)
        except AcceleratorError as error:
            away(Prepared(frame, ticket.buffer), error)
            continue
        free.put(ticket.buffer)
        _publish(frame, *found, publish, statistics)
        del frame, ticket, found


def _publish(
    frame: Frame,
    detections: Detections,
    timings: Timings,
    publish: Callable[[Result], None],
    statistics: Statistics,
) -> None:
    durations = statistics.durations
    result = Result(frame, detections, timings)
    statistics.rates["detected"].add(timings.detected_ns)
    durations["capture_to_detect"].add(result.capture_to_detect_ns)
    durations["preprocess"].add(timings.preprocess_ns)
    durations["invoke"].add(timings.invoke_ns)
    durations["postprocess"].add(timings.postprocess_ns)
    statistics.detections += len(detections)
    publish(result)


def render(
    overlay: Overlay,
    inbox: Mailbox[Frame | Result],
    newest: Newest,
    feeds: Feeds,
    status: Callable[[], str],
    statistics: Statistics,
) -> None:
    """Draw detections on a copy of each frame and hand it to the sinks that show pictures.

    Args:
        overlay: What draws.
        inbox: Frames to be drawn with the newest detections, or results with their own.
        newest: The newest detections.
        feeds: The sinks; nothing is drawn while none wants pictures.
        status: The line of text for the lower left corner.
        statistics: Gets rate, duration and ages.
    """
    rendered = statistics.rates["rendered"]
    drawing, age = statistics.durations["overlay"], statistics.durations["capture_to_render"]
    boxes_age = statistics.durations["boxes_age"]
    pool = ImagePool()
    while True:
        item = inbox.get()
        wanting = feeds.wanting_pictures()
        if wanting:
            frame = item.frame if isinstance(item, Result) else item
            result = item if isinstance(item, Result) else newest.result_for(item)
            started_ns = monotonic_ns()
            image = pool.take(frame.image.shape[0], frame.image.shape[1])
            np.copyto(image, frame.image)
            overlay.draw(image, None if result is None else result.detections, status())
            picture = Picture(frame, image, result)
            now_ns = monotonic_ns()
            drawing.add(now_ns - started_ns)
            age.add(now_ns - frame.captured_ns)
            boxes_age.add(picture.boxes_age_ns)
            rendered.add(now_ns)
            feeds.show(picture, wanting)
            del frame, result, image, picture
        del item, wanting
