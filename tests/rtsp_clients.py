"""A camera whose pictures tell their number, and real clients that read it back over RTSP."""

import socket
from collections.abc import Iterator
from threading import Event, Thread
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from edge_detect.core import (
    Frame,
    Image,
    Picture,
    PipelineStatus,
    Size,
    SourceStatus,
    monotonic_ns,
)
from edge_detect.core.status import ModelStatus, SourceState
from edge_detect.sinks import Encoders, Sink, StreamInfo

BITS = 16
BLOCK = 16
SIZE = Size(640, 360)
BOX_COLORS = ((40, 40, 220), (60, 200, 60), (220, 80, 40))
LOW_DELAY = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stream_info(
    state: SourceState = "live", encoders: Encoders | None = None, encoded=lambda _ns: None
) -> StreamInfo:
    """What a pipeline tells its sinks, with a source in the given state."""
    status = PipelineStatus(
        1.0,
        "live",
        "latest",
        SourceStatus("test", state, 1.0),
        ModelStatus("test", Size(300, 300), "none", 1, 0.5),
    )
    return StreamInfo(None, 30.0, encoders or Encoders(30.0), lambda: status, encoded)


def boxes_of(number: int, size: Size) -> list[tuple[int, int, int, int]]:
    """Where the rectangles of a picture lie: x, y, width, height; each at its own speed."""
    boxes = []
    for index in range(len(BOX_COLORS)):
        width, height = 64 + 16 * index, 48 + 16 * index
        x = (40 + number * 4 * (index + 1)) % (size.width - width)
        y = 3 * BLOCK + (20 + number * 2 + 90 * index) % (size.height - height - 3 * BLOCK)
        boxes.append((x - x % 2, y - y % 2, width, height))
    return boxes


def draw_picture(number: int, size: Size = SIZE) -> Image:
    """A grey picture with its number as black and white blocks, and rectangles."""
    image = np.full((size.height, size.width, 3), 90, np.uint8)
    for bit in range(BITS):
        value = 235 if number >> bit & 1 else 16
        image[BLOCK : 2 * BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = value
    for color, (x, y, width, height) in zip(BOX_COLORS, boxes_of(number, size), strict=True):
        cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), color, 6)
    return image


def read_number(image: Image) -> int:
    """The number burned into a picture; fails when a block is neither black nor white."""
    number = 0
    for bit in range(BITS):
        left = bit * BLOCK
        block = image[BLOCK + 4 : 2 * BLOCK - 4, left + 4 : left + BLOCK - 4]
        low, high = int(block.min()), int(block.max())
        assert high < 80 or low > 170, f"bit {bit} is smeared: {low} to {high}"
        number |= (low > 170) << bit
    return number


def picture_error(image: Image, number: int) -> float:
    """Mean difference of a decoded picture from what was drawn, in steps of 0 to 255."""
    height, width = image.shape[:2]
    drawn = draw_picture(number, Size(width, height))
    return float(cv2.absdiff(image, drawn).mean())


def worst_block(image: Image, number: int) -> float:
    """Largest mean difference of a 16 by 16 block from what was drawn: finds local garbage."""
    height, width = image.shape[:2]
    difference = cv2.absdiff(image, draw_picture(number, Size(width, height))).mean(axis=2)
    rows, columns = height // 16, width // 16
    blocks = difference[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16)
    return float(blocks.mean(axis=(1, 3)).max())


class Camera:
    """Gives a sink numbered pictures at a steady rate, as a pipeline would.

    Args:
        sink: Opened already.
        size: Of the pictures.
        fps: Their rate.

    Attributes:
        written: Number of each picture the sink was given, by its time of capture.
        slowest_s: The longest that `write_picture` took.
        error: What the sink raised, which ends the camera.
    """

    def __init__(self, sink: Sink, size: Size = SIZE, fps: float = 30.0) -> None:
        self._sink = sink
        self._size = size
        self._interval_ns = round(1e9 / fps)
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="test-camera", daemon=True)
        self.written: dict[int, int] = {}
        self.slowest_s = 0.0
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(5)
        if kind is None:
            assert not self._thread.is_alive(), "the sink holds the pipeline's thread"
            if self.error is not None:
                raise self.error

    def _run(self) -> None:
        due_ns = monotonic_ns()
        number = 0
        while not self._stopping.wait(max(0, due_ns - monotonic_ns()) / 1e9):
            due_ns += self._interval_ns
            number += 1
            if not self._sink.wants_picture:
                continue
            image = draw_picture(number, self._size)
            captured_ns = monotonic_ns()
            picture = Picture(Frame(image, captured_ns, number, "test", captured_ns), image, None)
            self.written[number] = captured_ns
            try:
                self._sink.write_picture(picture)
            except Exception as error:  # noqa: BLE001 - raised again by the test's thread
                self.error = error
                return
            self.slowest_s = max(self.slowest_s, (monotonic_ns() - captured_ns) / 1e9)


def decoded(url: str, transport: str = "tcp", timeout_s: float = 10.0) -> Iterator[Image]:
    """Pictures as an FFmpeg client decodes them, B, G, R."""
    options = {**LOW_DELAY, "rtsp_transport": transport}
    with av.open(url, options=options, timeout=timeout_s) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="bgr24")
