"""What each thread of a pipeline does with its frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from edge_detect.core import Detections, Frame, Picture, Result, Timings, monotonic_ns
from edge_detect.core.buffers import ImagePool
from edge_detect.models import Detector, InputBuffer
from edge_detect.pipeline.controls import Controls
from edge_detect.pipeline.feeds import Feeds
from edge_detect.pipeline.mailbox import Closed, Mailbox
from edge_detect.pipeline.newest import Newest
from edge_detect.pipeline.statistics import Statistics
from edge_detect.render import Overlay
from edge_detect.sources import Source

__all__ = ["Prepared", "capture", "detect", "prepare", "render"]


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
        free: Buffers nobody uses. There are three: one being filled, one waiting, one in
            use, so this never waits for long.
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
    """Run the model on prepared frames and publish what it finds.

    Args:
        detector: The model, perhaps of other pipelines too.
        inbox: Prepared frames; the newest is chosen when it is this pipeline's turn.
        free: Gets the buffers back.
        controls: What is reported.
        publish: Gets the results.
        statistics: Gets rate and durations.
        stopping: Whether to wait for no more turn.
    """
    detected = statistics.rates["detected"]
    durations = statistics.durations
    age, invoke = durations["capture_to_detect"], durations["invoke"]
    preprocess, postprocess = durations["preprocess"], durations["postprocess"]
    while True:
        inbox.wait()
        if not detector.turns.take(stopping):
            raise Closed
        try:
            prepared = inbox.get()
            detections, timings = detector.run(
                prepared.buffer, controls.thresholds, controls.selection
            )
        finally:
            detector.turns.give_back()
        result = Result(prepared.frame, detections, timings)
        free.put(prepared.buffer)
        del prepared
        detected.add(timings.detected_ns)
        age.add(result.capture_to_detect_ns)
        preprocess.add(timings.preprocess_ns)
        invoke.add(timings.invoke_ns)
        postprocess.add(timings.postprocess_ns)
        statistics.detections += len(detections)
        publish(result)
        del result


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
