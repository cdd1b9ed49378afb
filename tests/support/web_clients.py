"""A small pipeline in front of the web page: moving shapes, their boxes, and what it reports."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

import cv2
import httpx
import numpy as np

from edge_detect.core import (
    Detections,
    Frame,
    Image,
    Percentiles,
    Picture,
    PipelineStatus,
    Result,
    SinkStatus,
    Size,
    SourceStatus,
    Timings,
    monotonic_ns,
)
from edge_detect.core.status import ModelStatus
from edge_detect.core.url import parse_url
from edge_detect.render import Overlay
from edge_detect.sinks import Encoders, Sink, StreamInfo
from edge_detect.sinks.web.settings import WebSettings
from edge_detect.sinks.web.sink import WebSink
from edge_detect.sinks.web.timeouts import Timeouts
from edge_detect.sources.synthetic import SHAPES, SyntheticSource, open_synthetic
from support.waiting import PROMPT_S

SIZE = Size(640, 360)
MS = Percentiles(100, 10.0, 20.0, 30.0)
# On a busy machine a server needs more than the second that it is given.
PATIENT = Timeouts(stop_s=PROMPT_S)


class Camera:
    """Feeds a sink as a pipeline does: results always, pictures while it wants them.

    Attributes:
        status: What `report` answers; tests change it.
        fed: How many frames the sink was given.
        drawn: How many pictures the sink wanted.
        shown: The newest frame of those, without boxes.
        encoded: Capture times that the sink reported as encoded.
        slowest_s: The longest that one `write_*` took.
        error: What the sink raised, which ends the camera.
    """

    def __init__(self, fps: float = 25.0, size: Size = SIZE) -> None:
        self.source: SyntheticSource = open_synthetic(
            parse_url(f"synthetic://?size={size}&fps={fps}&objects=3&seed=5"), paced=True
        )
        self.status = PipelineStatus(
            61.0,
            "live",
            "latest",
            SourceStatus("synthetic://", "live", 60.0, size=size, fps=fps),
            ModelStatus("shapes", Size(300, 300), "LiteRT 2", 2, 0.4),
            {"captured": fps, "detected": fps / 2, "rendered": fps},
            {"detect": 3, "rtsp://:8554/live": 7},
            dict.fromkeys(("capture_to_detect", "capture_to_render", "invoke", "boxes_age"), MS),
            1234,
            (
                SinkStatus("http://127.0.0.1", "open", "", 0, fps, 0, 1, MS),
                SinkStatus("rtsp://:8554/live", "failed", "port in use", 2, 0.0, 7, None, MS),
            ),
        )
        self._at_first = self.status
        self.fed = self.drawn = 0
        self.shown: Frame | None = None
        self.encoded: list[int] = []
        self.slowest_s = 0.0
        self.error: Exception | None = None
        self._overlay = Overlay(SHAPES)
        self._running = Event()
        self._running.set()
        self._feeding = Lock()
        self._stopped = Event()
        self._thread: Thread | None = None

    @property
    def stream(self) -> StreamInfo:
        """What the sink is told."""
        encoders = Encoders(self.source.fps)
        return StreamInfo(SIZE, self.source.fps, encoders, lambda: self.status, self.encoded.append)

    def set_source(self, **changes: Any) -> None:
        """Report the source otherwise."""
        self.status = replace(self.status, source=replace(self.status.source, **changes))

    def pause(self) -> None:
        """Give no frames: the last one has been given when this returns."""
        self._running.clear()
        with self._feeding:
            pass

    def resume(self) -> None:
        """Give frames again."""
        self._running.set()

    def reset(self) -> None:
        """Report the first state again, give frames, and begin to count."""
        self.pause()
        self.status = self._at_first
        self.drawn, self.slowest_s = 0, 0.0
        self.encoded.clear()
        self.resume()

    def start(self, sink: Sink) -> None:
        """Begin to feed a sink that is open."""
        self._thread = Thread(target=self._run, args=(sink,), name="test-camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; fails when the sink holds the thread, raises what the sink raised."""
        self._stopped.set()
        self._running.set()
        self.source.close()
        if self._thread is not None:
            self._thread.join(PROMPT_S)
            assert not self._thread.is_alive(), "the sink holds the pipeline's thread"
        if self.error is not None:
            raise self.error

    def _run(self, sink: Sink) -> None:
        while not self._stopped.is_set():
            self._running.wait(1)
            frame = self.source.read()
            with self._feeding:
                if frame is None or not self._running.is_set():
                    continue
                try:
                    self._feed(sink, frame)
                except Exception as error:  # noqa: BLE001 - raised again by `stop`
                    self.error = error
                    return

    def _feed(self, sink: Sink, frame: Frame) -> None:
        detections = found_in(self.source, frame.sequence)
        result = Result(frame, detections, Timings(0, 1_000_000, 0, monotonic_ns()))
        self.fed += 1
        started_ns = monotonic_ns()
        sink.write_result(result)
        if sink.wants_picture:
            image = frame.image.copy()
            self._overlay.draw(image, detections)
            self.drawn += 1
            self.shown = frame
            started_ns = monotonic_ns()
            sink.write_picture(Picture(frame, image, result))
        self.slowest_s = max(self.slowest_s, (monotonic_ns() - started_ns) / 1e9)


def found_in(source: SyntheticSource, sequence: int) -> Detections:
    """The shapes of a frame as detections, best score first."""
    truth = source.ground_truth(sequence)
    scores = np.linspace(0.9, 0.5, len(truth), dtype=np.float32)
    boxes = np.array([found.box for found in truth], np.float32).reshape(-1, 4)
    return Detections(
        boxes, scores, np.array([found.class_id for found in truth], np.int32), SHAPES
    )


@contextmanager
def served(
    camera: Camera | None = None, timeouts: Timeouts = PATIENT, **settings: Any
) -> Iterator[tuple[WebSink, Camera]]:
    """A page at a free port of the loopback address, and the camera that feeds it."""
    camera = camera or Camera()
    sink = WebSink(WebSettings(**{"port": 0, **settings}), timeouts)
    sink.open(camera.stream)
    camera.start(sink)
    try:
        yield sink, camera
    finally:
        sink.close()
        camera.stop()


class Part(NamedTuple):
    """One picture of an MJPEG stream."""

    headers: dict[str, str]
    data: bytes


def read_parts(response: httpx.Response) -> Iterator[Part]:
    """The pictures of a stream, as they come; closed with the last reference to this."""
    data = b""
    for chunk in response.iter_raw():
        data += chunk
        while (end := data.find(b"\r\n\r\n")) >= 0:
            lines = data[:end].decode().strip().split("\r\n")
            assert lines[0].startswith("--")
            headers = dict(line.split(": ", 1) for line in lines[1:])
            after = end + 4 + int(headers["Content-Length"])
            if len(data) < after:
                break
            yield Part(headers, data[end + 4 : after])
            data = data[after:]


def connect(sink: WebSink, text: bytes = b"", receive_buffer: int = 0) -> socket.socket:
    """A bare connection to the page, on which something has been sent.

    Args:
        sink: Which is open.
        text: What is sent at once.
        receive_buffer: Bytes that the kernel keeps for a reader who does not read.
    """
    host, port = httpx.URL(sink.address).host, httpx.URL(sink.address).port
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PROMPT_S)
    connection.connect((host, port))
    connection.sendall(text)
    return connection


def decode(data: bytes) -> Image:
    """The pixels of a JPEG or PNG file, B, G, R."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def difference(camera: Camera, image: Image, quality: int, *, boxes: bool) -> float:
    """How far a picture is from the newest one that a camera has drawn.

    Args:
        camera: Which made it.
        image: B, G, R.
        quality: Of the JPEG that it came through.
        boxes: Whether the camera's picture is compared with its boxes or without.

    Returns:
        Mean difference of the worst block of 8 by 8 pixels, 0 to 255.
    """
    frame = camera.shown
    assert frame is not None
    drawn = frame.image.copy()
    if boxes:
        Overlay(SHAPES).draw(drawn, found_in(camera.source, frame.sequence))
    _, data = cv2.imencode(".jpg", drawn, (cv2.IMWRITE_JPEG_QUALITY, quality))
    apart = cv2.absdiff(image, decode(data.tobytes())).mean(axis=2)
    blocks = apart.reshape(SIZE.height // 8, 8, SIZE.width // 8, 8).mean(axis=(1, 3))
    return float(blocks.max())
