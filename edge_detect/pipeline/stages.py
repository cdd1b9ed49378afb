"""What each thread of a pipeline does with its frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from edge_detect.core import Frame, Image, Result, monotonic_ns
from edge_detect.core.buffers import ImagePool
from edge_detect.models import Detector, InputBuffer, Thresholds
from edge_detect.pipeline.mailbox import Mailbox
from edge_detect.pipeline.statistics import Statistics
from edge_detect.render import Overlay
from edge_detect.sinks import Sink
from edge_detect.sources import Source

__all__ = ["Picture", "Prepared", "capture", "deliver", "detect", "prepare", "render"]


@dataclass(slots=True, frozen=True)
class Prepared:
    """A frame, and the model's input made from it."""

    frame: Frame
    buffer: InputBuffer


@dataclass(slots=True, frozen=True)
class Picture:
    """A result and the picture drawn from it; None where the sink wants none."""

    result: Result
    image: Image | None


def capture(source: Source, out: Mailbox[Frame], statistics: Statistics) -> None:
    """Read frames until the source ends."""
    captured = statistics.rates["captured"]
    while (frame := source.read()) is not None:
        captured.add()
        if out.put(frame) is not None:
            statistics.count_drop("prepare")
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
        detector.prepare(frame.image, buffer)
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
    inbox: Mailbox[Result],
    outs: Sequence[tuple[str, Mailbox[Picture]]],
    status: Callable[[], str],
    statistics: Statistics,
) -> None:
    """Draw detections on a copy of each frame and hand it to the sinks that show pictures."""
    rendered = statistics.rates["rendered"]
    drawing, age = statistics.durations["overlay"], statistics.durations["capture_to_render"]
    pool = ImagePool()
    while True:
        result = inbox.get()
        started_ns = monotonic_ns()
        image = pool.take(result.frame.image.shape[0], result.frame.image.shape[1])
        np.copyto(image, result.frame.image)
        overlay.draw(image, result.detections, status())
        now_ns = monotonic_ns()
        drawing.add(now_ns - started_ns)
        age.add(now_ns - result.frame.captured_ns)
        rendered.add(now_ns)
        picture = Picture(result, image)
        for name, out in outs:
            if out.put(picture) is not None:
                statistics.count_drop(name)
        del result, image, picture


def deliver(sink: Sink, inbox: Mailbox[Picture], statistics: Statistics) -> None:
    """Write to one sink."""
    encoded = statistics.rates["encoded"] if sink.wants_picture else None
    age = statistics.durations["capture_to_encode"]
    while True:
        item = inbox.get()
        sink.write(item.result, item.image)
        if encoded is not None:
            now_ns = monotonic_ns()
            encoded.add(now_ns)
            age.add(now_ns - item.result.frame.captured_ns)
        del item
