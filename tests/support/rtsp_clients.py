"""A camera whose pictures tell their number, and real clients that read it back over RTSP."""

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from threading import Event, Thread
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import av
import cv2
import numpy as np

from edge_detect.core import (
    Frame,
    Image,
    Picture,
    Size,
    monotonic_ns,
)
from edge_detect.core.status import SourceState
from edge_detect.sinks import Encoders, Sink, StreamInfo
from support.ports import free_port
from support.stream_info import stream_of
from support.waiting import HANG_S, wait_for

BITS = 16
BLOCK = 16
SIZE = Size(640, 360)
BOX_COLORS = ((40, 40, 220), (60, 200, 60), (220, 80, 40))
# Of `worst_block`. Measured: 6 to 15 for sound pictures, above 40 where slices are misplaced.
MOST_BLOCK_ERROR = 30
# Not `nobuffer`: it throws away what arrives while the stream is probed, seconds of it.
LOW_DELAY = {"flags": "low_delay", "analyzeduration": "200000"}


def url_of(port: int, options: str = "", user: str = "") -> str:
    """The URL of a sink on the loopback address; software encodes, on every machine."""
    return f"rtsp://{user}127.0.0.1:{port}/live?encoder=libx264{options}"


def port_of(sink: Sink) -> int:
    """Where a sink listens."""
    port = urlsplit(sink.name).port
    assert port is not None
    return port


def over_udp() -> str:
    """The transport of a client that takes the stream at two free UDP ports."""
    ports = "-".join(str(free_port(socket.SOCK_DGRAM)) for _ in range(2))
    return f"RTP/AVP;unicast;client_port={ports}"


def stream_info(
    state: Callable[[], SourceState] = lambda: "live",
    encoders: Encoders | None = None,
    encoded: Callable[[int], None] = lambda _captured_ns: None,
) -> StreamInfo:
    """What a pipeline tells its sinks, with a source in the given state."""
    return stream_of(fps=30.0, state=state, encoders=encoders, encoded=encoded)


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


def assert_sound(pictures: Iterable[Image], count: int) -> None:
    """Every picture follows the one before, and shows what was drawn, everywhere."""
    numbers = []
    for picture in pictures:
        number = read_number(picture)
        assert worst_block(picture, number) < MOST_BLOCK_ERROR, f"picture {number} is damaged"
        numbers.append(number)
    assert len(numbers) == count
    assert [b - a for a, b in pairwise(numbers)] == [1] * (count - 1)


class Camera:
    """Gives a sink numbered pictures at a steady rate, as a pipeline would.

    Args:
        sink: Opened already.
        size: Of the pictures.
        fps: Their rate.
        noise: Whether the lower half is noise, as much as the encoder's bitrate lets pass.

    The times of capture are those of the steady rate, also where a busy machine delays what
    comes after the capture.

    Attributes:
        written: Time of capture of each picture that the sink was given, by its number.
        error: What the sink raised, which ends the camera.
    """

    def __init__(
        self, sink: Sink, size: Size = SIZE, fps: float = 30.0, *, noise: bool = False
    ) -> None:
        self._sink = sink
        self._size = size
        self._interval_ns = round(1e9 / fps)
        self._random = np.random.default_rng(1) if noise else None
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="test-camera", daemon=True)
        self.written: dict[int, int] = {}
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
        self._thread.join(HANG_S / 2)
        if kind is None:
            assert not self._thread.is_alive(), "the sink holds the pipeline's thread"
            if self.error is not None:
                raise self.error

    def _run(self) -> None:
        due_ns = monotonic_ns()
        number = 0
        while not self._stopping.wait(max(0, due_ns - monotonic_ns()) / 1e9):
            captured_ns = due_ns
            due_ns += self._interval_ns
            number += 1
            if not self._sink.wants_picture:
                continue
            image = draw_picture(number, self._size)
            if self._random is not None:
                lower = image[self._size.height // 2 :]
                lower[:] = self._random.integers(0, 256, lower.shape, np.uint8)
            picture = Picture(Frame(image, captured_ns, number, "test", captured_ns), image, None)
            self.written[number] = captured_ns
            try:
                self._sink.write_picture(picture)
            except Exception as error:  # noqa: BLE001 - raised again by the test's thread
                self.error = error
                return


def decoded(url: str, transport: str = "tcp", timeout_s: float = 30.0) -> Iterator[Image]:
    """Pictures as an FFmpeg client decodes them, B, G, R."""
    options = {**LOW_DELAY, "rtsp_transport": transport}
    with av.open(url, options=options, timeout=timeout_s) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="bgr24")


class Watcher:
    """An FFmpeg client that looks at every picture in a thread of its own.

    Args:
        url: Of the stream.
        transport: `tcp` or `udp`.

    Attributes:
        numbers: What it saw, in order.
        worst: Largest `worst_block` of all pictures.
        error: What ended it, unless `stop` did.
    """

    def __init__(self, url: str, transport: str = "tcp") -> None:
        self._url = url
        self._transport = transport
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="test-watcher", daemon=True)
        self.numbers: list[int] = []
        self.worst = 0.0
        self.error: Exception | None = None
        self._thread.start()

    def wait_for(self, count: int) -> None:
        """Wait until that many more pictures have been seen."""
        wanted = len(self.numbers) + count
        wait_for(lambda: len(self.numbers) >= wanted or self.error)
        assert self.error is None, self.error
        assert len(self.numbers) >= wanted

    def stop(self) -> None:
        """Leave."""
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    @property
    def lost(self) -> int:
        """How many pictures are missing between the first and the last."""
        return sum(b - a - 1 for a, b in pairwise(self.numbers))

    def _run(self) -> None:
        try:
            for image in decoded(self._url, self._transport):
                number = read_number(image)
                self.worst = max(self.worst, worst_block(image, number))
                self.numbers.append(number)
                if self._stopping.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again by the test's thread
            self.error = error


class RawClient:
    """Speaks RTSP by hand, so that it can do what no decent client does.

    Args:
        port: Of the server, on the loopback address.
        path: Of the stream.
    """

    def __init__(self, port: int, path: str = "/live") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._url = f"rtsp://127.0.0.1:{port}{path}"
        self._sequence = 0
        self._session = ""

    def request(self, method: str, headers: str = "", suffix: str = "") -> tuple[int, str]:
        """Send one request; returns the status and the text of the answer."""
        self._sequence += 1
        session = f"Session: {self._session}\r\n" if self._session else ""
        self.send(
            f"{method} {self._url}{suffix} RTSP/1.0\r\nCSeq: {self._sequence}\r\n"
            f"{session}{headers}\r\n".encode()
        )
        head = self.receive_answer()
        for line in head.splitlines():
            if line.lower().startswith("session:"):
                self._session = line.split(":", 1)[1].split(";")[0].strip()
        return int(head.split()[1]), head

    def send(self, data: bytes) -> None:
        """Send anything."""
        self._socket.sendall(data)

    def play(self, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> int:
        """Go through DESCRIBE, SETUP and PLAY; returns the first status that is not 200."""
        steps = (
            ("DESCRIBE", "", ""),
            ("SETUP", f"Transport: {transport}\r\n", "/stream=0"),
            ("PLAY", "", ""),
        )
        for method, headers, suffix in steps:
            status, _ = self.request(method, headers, suffix)
            if status != 200:
                return status
        return 200

    def send_if_possible(self, data: bytes) -> None:
        """Send anything, to a server that may hang up or stop reading before the end."""
        self._socket.settimeout(1)
        with suppress(OSError):
            self._socket.sendall(data)

    def receive_answer(self) -> str:
        """Read head and body of an answer; pictures that come before it are thrown away."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._receive(1)
            if not head and byte == b"$":
                # RFC 2326, section 10.12: a stream that plays already comes between answers.
                length = int.from_bytes(self._receive(3)[1:], "big")
                self._receive(length)
                continue
            head += byte
        text = head.decode("latin-1")
        for line in text.splitlines():
            if line.lower().startswith("content-length:"):
                left = int(line.split(":")[1])
                while left:
                    body = self._socket.recv(left)
                    left -= len(body)
                    text += body.decode("latin-1")
        return text

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            received = self._socket.recv(count - len(data))
            assert received, f"the server hung up after {data!r}"
            data += received
        return data

    def wait_for_end(self, timeout_s: float = 30) -> bool:
        """Whether the server hangs up in time; what it still sends is thrown away."""
        self._socket.settimeout(timeout_s)
        try:
            while self._socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def reset(self) -> None:
        """Hang up as a program that crashed."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
