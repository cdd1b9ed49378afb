"""What tests of sinks for encoded pictures need: numbered pictures, and readers of videos."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from edge_detect.core import (
    NS_PER_S,
    Detections,
    Frame,
    Picture,
    Result,
    Timings,
    monotonic_ns,
)
from edge_detect.core.clock import Clock
from edge_detect.core.url import parse_url
from edge_detect.sinks import Sink, StreamInfo
from edge_detect.sinks.recorder.sink import RecorderSink, RecorderWaits, open_recorder_sink
from support.requirements import need, python_path
from support.servers import pattern
from support.stream_info import stream_of
from support.waiting import HANG_S, wait_for

__all__ = [
    "LABELS",
    "Camera",
    "check_plays",
    "complaints",
    "kill_while_it_records",
    "numbers",
    "open_recorder",
    "probe",
    "segments",
    "stream_info",
]

LABELS = ("person", "car", "dog")
_ENDLESS = """
import sys
from support.recordings import Camera, stream_info
from edge_detect.sinks import open_sink

camera = Camera(160, 120)
with open_sink(sys.argv[1]) as sink:
    sink.open(stream_info())
    while True:
        camera.feed(sink, 1, *([("person", 0.9)] if camera.number > 150 else []))
        if camera.number == 400:
            print(400, flush=True)
"""


def stream_info(fps: float | None = 30.0, encoded: list[int] | None = None) -> StreamInfo:
    """What a pipeline would tell a sink."""
    times = [] if encoded is None else encoded
    return stream_of(fps=fps, encoded=times.append)


def open_recorder(
    url: str, *, clock: Clock | None = None, waits: RecorderWaits | None = None
) -> RecorderSink:
    """A recorder as `open_sink` makes it, with another clock or other waits.

    Closing one waits for a disk that is merely busy, unless it is told otherwise.
    """
    return open_recorder_sink(parse_url(url), waits or RecorderWaits(close_s=HANG_S), clock)


@dataclass
class Camera:
    """Makes numbered pictures whose times are those of a camera, however fast they are made.

    Attributes:
        start_ns: CLOCK_MONOTONIC time of the first picture: now, and those that follow lie in
            the future, so that recordings of minutes are made in seconds.
        skip_ns: Added to the times of all pictures to come.
    """

    width: int = 320
    height: int = 240
    fps: float = 30.0
    number: int = 0
    start_ns: int = field(default_factory=monotonic_ns)
    skip_ns: int = 0
    noise: bool = False
    _noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def picture(self, *seen: tuple[str, float]) -> Picture:
        """The next picture, annotated with objects of these labels and scores."""
        elapsed_ns = round(self.number * NS_PER_S / self.fps) + self.skip_ns
        captured_ns = self.start_ns + elapsed_ns
        image = pattern.draw(self.width, self.height, self.number, captured_ns)
        if self.noise:
            lower = image[self.height // 2 :]
            lower[:] = self._noise.integers(0, 256, lower.shape, np.uint8)
        frame = Frame(image, captured_ns, self.number, "camera", elapsed_ns)
        self.number += 1
        return Picture(frame, image, _result(frame, seen))

    def feed(self, sink: Sink, count: int, *seen: tuple[str, float]) -> None:
        """Write some pictures, all with the same objects."""
        for _ in range(count):
            sink.write_picture(self.picture(*seen))

    def feed_live(
        self,
        sink: Sink,
        until: Callable[[], object],
        timeout_s: float = 20.0,
        *,
        skip: bool = False,
    ) -> float:
        """Write pictures as they come from a camera until something is so.

        Args:
            sink: Where to.
            until: Whether that is enough.
            timeout_s: How long to wait for it.
            skip: Whether pictures for which there is no time are left out, as a pipeline does.

        Returns:
            The longest time that a picture took, in seconds.

        Raises:
            TimeoutError: It never was enough.
        """
        self.start_ns = monotonic_ns() - round(self.number * NS_PER_S / self.fps)
        deadline_ns = monotonic_ns() + round(timeout_s * NS_PER_S)
        longest_ns = 0
        while not until():
            due = int((monotonic_ns() - self.start_ns) * self.fps / NS_PER_S)
            if skip and self.number < due:
                self.number = due
            picture = self.picture()
            wait_ns = picture.frame.captured_ns - monotonic_ns()
            time.sleep(max(0, wait_ns) / NS_PER_S)
            begun_ns = monotonic_ns()
            sink.write_picture(picture)
            longest_ns = max(longest_ns, monotonic_ns() - begun_ns)
            if monotonic_ns() > deadline_ns:
                raise TimeoutError
        return longest_ns / NS_PER_S


def _result(frame: Frame, seen: tuple[tuple[str, float], ...]) -> Result:
    boxes = [[10 * index, 20, 10 * index + 50, 100.5] for index in range(len(seen))]
    detections = Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([score for _, score in seen], np.float32),
        np.array([LABELS.index(label) for label, _ in seen], np.int32),
        LABELS,
    )
    return Result(frame, detections, Timings())


def segments(root: Path) -> list[Path]:
    """The videos of a recorder, in the order in which they were written.

    Names tell the local time, which comes twice in autumn.
    """
    found = []
    for path in root.glob("*/*.mp4"):
        # A recorder at work may delete it meanwhile.
        with suppress(FileNotFoundError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def kill_while_it_records(url: str, until: Callable[[], object]) -> None:
    """Record 400 pictures and some more, with a person from picture 151 on, until killed.

    Args:
        url: Of the recorder.
        until: Whether enough is on the disk; pictures wait in a queue before.
    """
    command = [sys.executable, "-c", _ENDLESS, url]
    environment = {**os.environ, "PYTHONPATH": python_path()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as recorder:
        try:
            assert recorder.stdout is not None
            assert recorder.stdout.readline() == "400\n"
            wait_for(until)
        finally:
            recorder.kill()


def numbers(path: Path) -> list[int | None]:
    """The numbers of the pictures in a video; None for damaged ones."""
    with av.open(str(path)) as container:
        images = (frame.to_ndarray(format="bgr24") for frame in container.decode(video=0))
        stamps = [pattern.read(image) for image in images]
    return [None if stamp is None else stamp.number for stamp in stamps]


def complaints(stderr: str) -> list[str]:
    """What FFmpeg's programs found wrong.

    A library of theirs also says that it may lock no memory, as in most containers.
    """
    return [line for line in stderr.splitlines() if line != "Warning: using insecure memory!"]


def probe(path: Path) -> dict[str, str]:
    """What ffprobe says about a video's one stream."""
    need("ffprobe", "ffmpeg")
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    assert complaints(done.stderr) == []
    (stream,) = json.loads(done.stdout)["streams"]
    return stream


def check_plays(path: Path) -> None:
    """Have ffmpeg decode a video, which must find nothing wrong with it."""
    need("ffmpeg", "ffmpeg")
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert complaints(done.stderr) == []
