"""What each thread of a pipeline does with its frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from edge_detect.core import Frame, Picture, Result, monotonic_ns
from edge_detect.core.buffers import ImagePool
from edge_detect.models import Detector, InputBuffer, Thresholds
from edge_detect.pipeline.mailbox import Mailbox
from edge_detect.pipeline.newest import Newest
from edge_detect.pipeline.outlet import Outlet
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
    source: Source, outs: Sequence[tuple[str, Mailbox[Frame]]], statistics: Statistics
) -> None:
    """Read frames until the source ends, and give each to every stage that takes frames."""
    captured = statistics.rates["captured"]
    while (frame := source.read()) is not None:
        captured.add()
        for name, out in outs:
            if out.put(frame) is not None:
                statistics.count_drop(name)
        # The name would keep the image's buffer from its pool during the next read.
        del frame


def prepare(
    detector: Detector,
    inbox: Mailbox[Frame],
    out: Mailbox[Prepared],
    free: SimpleQueue[InputBuffer],
    statistics: Statistics,
) -> None:
    """Resize frames into the model's input size while the detector works on another one.

    Args:
        detector: Whose input it is.
        inbox: Frames.
        out: Frames with their input.
        free: Buffers nobody uses. There are three: one being filled, one waiting, one in
            use, so this never waits for long.
        statistics: Gets the drops.
    """
    while True:
        frame = inbox.get()
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
    thresholds: Thresholds,
    publish: Callable[[Result], None],
    statistics: Statistics,
) -> None:
    """Run the model on prepared frames and publish what it finds."""
    detected = statistics.rates["detected"]
    durations = statistics.durations
    age, invoke = durations["capture_to_detect"], durations["invoke"]
    preprocess, postprocess = durations["preprocess"], durations["postprocess"]
    while True:
        prepared = inbox.get()
        detections, timings = detector.run(prepared.buffer, thresholds)
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
    outlets: Sequence[tuple[Outlet, Mailbox[Result | Picture]]],
    status: Callable[[], str],
    statistics: Statistics,
) -> None:
    """Draw detections on a copy of each frame and hand it to the sinks that show pictures.

    Args:
        overlay: What draws.
        inbox: Frames to be drawn with the newest detections, or results with their own.
        newest: The newest detections.
        outlets: Sinks that take pictures; nothing is drawn while none wants any.
        status: The line of text for the lower left corner.
        statistics: Gets rate, duration and ages.
    """
    rendered = statistics.rates["rendered"]
    drawing, age = statistics.durations["overlay"], statistics.durations["capture_to_render"]
    boxes_age = statistics.durations["boxes_age"]
    pool = ImagePool()
    while True:
        item = inbox.get()
        wanting = [each for each in outlets if each[0].wants_picture]
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
            for outlet, box in wanting:
                if box.put(picture) is not None:
                    outlet.dropped += 1
            del frame, result, image, picture
        del item, wanting
