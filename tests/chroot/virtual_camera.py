"""Captures through the real picamera2 from libcamera's virtual camera, and checks what comes.

Run by scripts/test_picamera2_chroot.sh, where everything that it needs is installed. The
virtual camera shows eight pictures of four colours in turn, as fast as buffers come back.
"""

# ruff: noqa: T201

import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import libcamera
import numpy as np
import picamera2.picamera2
from picamera2 import CompletedRequest, Picamera2
from picamera2.allocators import DmaAllocator

from edge_detect.app import cli
from edge_detect.core import Size, SourceError
from edge_detect.core.url import parse_url
from edge_detect.sources import open_source
from edge_detect.sources.csi.cameras import first_csi_camera
from edge_detect.sources.csi.source import CsiLimits, CsiSource, read_picamera2_url

FAKES = Path(__file__).parents[1] / "fakes" / "picamera2"
sys.path.append(str(FAKES))
import csi_hardware  # noqa: E402

# Below 720p the colours are coded by BT.601, which is what the virtual camera does.
SIZE, LORES = Size(1152, 648), Size(416, 234)
URL = f"picamera2://0?size={SIZE}&lores={LORES}&fps=30"
CAMERA = """%YAML 1.1
---
"Virtual0":
  supported_formats:
  - {{width: 1152, height: 648, frame_rates: [30]}}
  - {{width: 416, height: 234, frame_rates: [30]}}
  frames: {{path: "{folder}/"}}
  model: "Virtual Video Device"
"""


class TwoPlaneAllocator(DmaAllocator):
    """picamera2's allocator, with buffers as the virtual camera wants them.

    It gives each plane of NV12 its own description, where picamera2 describes a buffer as one
    plane, as the Raspberry Pi's pipeline likes it.
    """

    def allocate(self, libcamera_config, use_case):
        """Allocate as usual, then describe anew."""
        super().allocate(libcamera_config, use_case)
        for config in libcamera_config:
            luma = config.stride * config.size.height
            buffers = self.frame_buffers[config.stream]
            self.frame_buffers[config.stream] = [self._split(one, luma) for one in buffers]

    def _split(self, buffer, luma):
        whole = buffer.planes[0]
        planes = []
        for offset, length in ((0, luma), (luma, whole.length - luma)):
            plane = libcamera.FrameBuffer.Plane()
            plane.fd, plane.offset, plane.length = whole.fd, offset, length
            planes.append(plane)
        made = libcamera.FrameBuffer(planes)
        # libcamera duplicates descriptors, and picamera2 keeps its books by them.
        self.mapped_buffers[made] = self.mapped_buffers.pop(buffer)
        self.mapped_buffers_used[made.planes[0].fd] = False
        self.libcamera_fds.append(made.planes[0].fd)
        return made


def stand_in() -> None:
    """Replace what a virtual camera has not: separate planes aside, a raw stream."""
    picamera2.picamera2.DmaAllocator = TwoPlaneAllocator
    Picamera2._get_raw_modes = lambda _: [{"format": "NV12", "size": tuple(SIZE)}]


def write_pictures(folder: Path, definition: Path) -> None:
    """Write the camera's pictures, and the file by which libcamera finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = SIZE
    for number in range(8):
        quadrants = np.array(csi_hardware.colors(number), np.uint8).reshape(2, 2, 3)
        picture = quadrants.repeat(height // 2, 0).repeat(width // 2, 1)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    definition.parent.mkdir(parents=True, exist_ok=True)
    definition.write_text(CAMERA.format(folder=folder))


def as_limited(color: tuple[int, int, int]) -> np.ndarray:
    """How a colour looks when its JPEG coding, of full range, is taken for limited range.

    The virtual camera copies the planes of a JPEG picture without a change of range.
    """
    blue, green, red = color
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / 1.772, (red - y) / 1.402
    luma = 255 / 219 * (y - 16)
    u, v = (255 / 224 * chroma for chroma in (u, v))
    mixed = (luma + 1.772 * u, luma - 0.344136 * u - 0.714136 * v, luma + 1.402 * v)
    return np.clip(mixed, 0, 255)


def number_of(image: np.ndarray) -> int:
    """Which of the eight pictures an image shows."""
    height, width = image.shape[:2]
    seen = [
        image[y, x].astype(int)
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    ]
    for number in range(8):
        shown = [as_limited(color) for color in csi_hardware.colors(number)]
        # JPEG, a change of range and, for the small one, scaling lie between.
        if np.abs(np.subtract(seen, shown)).max() <= 10:
            return number
    raise AssertionError(f"none of the pictures looks so: {seen}")


def unreleased() -> int:
    """Requests that somebody still holds, the one that picamera2 keeps ready included."""
    gc.collect()
    requests = [one for one in gc.get_objects() if type(one) is CompletedRequest]
    return sum(request.ref_count > 0 for request in requests)


def descriptors() -> int:
    """How many files are open."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def error_of(action: Callable[[], object]) -> SourceError:
    """The error that an action ends with."""
    try:
        action()
    except SourceError as error:
        return error
    raise AssertionError("there was no error")


def check_frames() -> None:
    """Sizes, colours, motion, times and numbers of a hundred frames."""
    with open_source(URL) as source:
        began = time.monotonic()
        frames, ages = [], []
        for _ in range(100):
            frames.append(source.read())
            ages.append((time.monotonic_ns() - frames[-1].captured_ns) / 1e6)
        took = time.monotonic() - began
        assert source._main.format == source._lores.format == "NV12"
    assert {frame.size for frame in frames} == {SIZE}
    assert {frame.small.shape for frame in frames} == {(LORES.height, LORES.width, 3)}
    numbers = [number_of(frame.image) for frame in frames]
    assert set(numbers) == set(range(8)), f"only pictures {set(numbers)} were seen"
    # The virtual camera draws the streams of a request one after the other, in step.
    assert numbers == [number_of(frame.small) for frame in frames]
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times))
    assert 0 <= min(ages) <= max(ages) < 1000
    assert [frame.sequence for frame in frames] == list(range(100))
    print(
        f"100 frames {SIZE} with {LORES} in {took:.2f} s, colours right, all 8 pictures seen;"
        f" age p50 {np.median(ages):.1f} ms, most {max(ages):.1f} ms"
    )


def check_release() -> None:
    """Every request goes back, and closing again and again leaves nothing."""
    assert unreleased() == 0
    open_source(URL).close()
    before = threading.active_count(), descriptors()
    for _ in range(20):
        with open_source(URL) as source:
            source.read()
    after = threading.active_count(), descriptors()
    assert after <= before, f"{before} became {after}"
    assert unreleased() == 0
    print(f"20 openings and closings: {after[0]} threads, {after[1]} descriptors, none more")


def check_busy() -> None:
    """A second opening is refused in words, and does not disturb the first."""
    with open_source(URL) as source:
        assert "in use" in error_of(lambda: open_source(URL)).message
        assert source.read() is not None
    print("a camera in use is refused, and goes on")


def check_silence() -> None:
    """Frames stop: the reader is told, or ended by close; then everything works again."""
    queue_request = libcamera.Camera.queue_request
    for told in (True, False):
        limits = CsiLimits(silence_s=0.5 if told else 30.0, silence_frames=1)
        source = CsiSource(*read_picamera2_url(parse_url(URL)), limits)
        source.read()
        libcamera.Camera.queue_request = lambda _, __: None
        try:
            if told:
                expect_silence(source)
            else:
                expect_end(source)
        finally:
            libcamera.Camera.queue_request = queue_request
            source.close()
        assert unreleased() == 0
    with open_source(URL) as source:
        assert source.read() is not None
    print("a silent camera is told after its time, close ends a read at once, it opens again")


def expect_silence(source) -> None:
    """Read what is left, until the source gives up."""
    error = error_of(lambda: [source.read() for _ in range(10)])
    assert error.transient
    assert "no frame for 0.5 s" in error.message


def expect_end(source) -> None:
    """Close while another thread reads."""
    ended: list[float] = []

    def drain() -> None:
        while source.read() is not None:
            pass
        ended.append(time.monotonic())

    reader = threading.Thread(target=drain)
    reader.start()
    time.sleep(1)
    assert reader.is_alive()
    closed = time.monotonic()
    source.close()
    reader.join(10)
    assert ended[0] - closed < 0.5, f"the read ended after {ended[0] - closed:.2f} s"


def check_program(lines: Path) -> None:
    """The whole program detects in the camera's pictures and writes what it finds."""
    status = cli.main(["run", URL, "--sink", str(lines), "--duration", "5", "--quiet"])
    assert status in (0, None), f"it ended with {status}"
    results = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(results) > 10, f"{len(results)} results in 5 s"
    assert {(result["width"], result["height"]) for result in results} == {tuple(SIZE)}
    assert unreleased() == 0
    print(f"edge-detect run: {len(results)} results in 5 s")


def main() -> None:
    """Check everything; an assertion that fails ends with a traceback and a status."""
    stand_in()
    write_pictures(Path(sys.argv[1]), Path(sys.argv[2]))
    assert first_csi_camera() == "picamera2://0"
    check_frames()
    check_release()
    check_busy()
    check_silence()
    check_program(Path(sys.argv[1]).with_suffix(".jsonl"))


if __name__ == "__main__":
    main()
