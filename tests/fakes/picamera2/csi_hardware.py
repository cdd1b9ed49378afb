"""The sensors on the connectors of a Raspberry Pi that is not there, for tests to play with.

Pictures are four flat quadrants whose colours change with each exposure, so that the pixels
tell the frame's number modulo 8 and every mistake in channel order, matrix, padding or
lifetime of a buffer.
"""

import fcntl
import mmap
import os
import threading
import time
from pathlib import Path

import numpy as np

# B, G, R; frame n shows PALETTE[n % 8] top left, and the next ones clockwise.
PALETTE = (
    (200, 30, 40),
    (30, 180, 60),
    (40, 50, 210),
    (190, 180, 40),
    (60, 190, 200),
    (180, 60, 170),
    (230, 230, 230),
    (25, 25, 25),
)
GARBAGE = 0x55
PADDING = 64

DEFAULT_CONTROLS = {
    "AeEnable": (False, True, None),
    "AnalogueGain": (1.0, 16.0, 1.0),
    "AwbMode": (0, 7, 0),
    "Brightness": (-1.0, 1.0, 0.0),
    "Contrast": (0.0, 32.0, 1.0),
    "ExposureTime": (26, 112015443, 20000),
    "ExposureValue": (-8.0, 8.0, 0.0),
    "FrameDurationLimits": (8333, 112015956, 33333),
    "NoiseReductionMode": (0, 4, 0),
    "Saturation": (0.0, 32.0, 1.0),
    "Sharpness": (0.0, 16.0, 1.0),
}
AUTOFOCUS = {"AfMode": (0, 2, 0), "AfTrigger": (0, 1, 0), "LensPosition": (0.0, 32.0, 1.0)}


class Sensor:
    """One camera; attributes are what a test may change while it runs.

    Attributes:
        plugged: Whether its cable is in; without it frames stop, as libcamera reports nothing.
        formats: What the image processor writes; anything else is adjusted to the first.
        stamp: From CLOCK_MONOTONIC nanoseconds to SensorTimestamp; None: no such metadata.
        driver_hangs: While set, stopping does not return.
        flips: Whether it can mirror its picture.
        applied: Controls that reached it.
    """

    def __init__(self, model: str = "imx219", place: str = "/base/soc/i2c0mux/i2c@1/imx219@10"):
        self.model = model
        self.place = place
        self.controls = dict(DEFAULT_CONTROLS)
        self.formats = ("RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "NV12")
        self.plugged = True
        self.stamp = lambda now_ns: now_ns
        self.driver_hangs = threading.Event()
        self.flips = True
        self.applied = {}
        self.exposures = 0
        self._lock = None

    def acquire(self) -> None:
        """Take the camera for this process, as libcamera does with a lock on the device."""
        if self._lock is not None:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        name = Path(os.environ["FAKE_CSI_LOCKS"]) / self.place.replace("/", "_")
        lock = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise RuntimeError("Failed to acquire camera: Device or resource busy") from None
        self._lock = lock

    def release(self) -> None:
        """Give it back."""
        os.close(self._lock)
        self._lock = None


class Board:
    """What all cameras share: the memory, and the account of what was lent.

    Attributes:
        heap_error: What opening the device for memory ends with; None: nothing.
        mapping_s: How long a buffer's mapping takes.
        mapped: How many buffers the application looks into.
        turn_s: A turn of the library's event loop, which every close waits for.
    """

    def __init__(self) -> None:
        self.sensors = [Sensor()]
        self.cma_left = 64 << 20
        self.lent = []
        self.heap_error = None
        self.mapping_s = 0.0
        self.mapped = 0
        self.turn_s = 0.2

    def allocate(self, size: int) -> mmap.mmap:
        """Take a buffer out of the contiguous memory.

        Raises:
            OSError: There is none left.
        """
        if size > self.cma_left:
            raise OSError(12, "Cannot allocate memory")
        self.cma_left -= size
        return mmap.mmap(-1, size)

    def free(self, buffer: mmap.mmap) -> None:
        """Take a buffer back.

        Raises:
            BufferError: Somebody still looks into it.
        """
        size = len(buffer)
        buffer.close()
        self.cma_left += size

    def outstanding(self) -> int:
        """How many requests the application took and did not release."""
        return len(self.lent)


board = Board()


def colors(number: int) -> list[tuple[int, int, int]]:
    """The quadrants of a frame, row by row: B, G, R."""
    first, second, third, fourth = (PALETTE[(number + step) % 8] for step in range(4))
    return [first, second, fourth, third]


def number_of(image: np.ndarray) -> int:
    """The number modulo 8 of the frame that an image shows, by all of its quadrants.

    Raises:
        AssertionError: It shows no frame of this camera.
    """
    height, width = image.shape[:2]
    seen = [
        image[y, x].astype(int)
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    ]
    for number in range(8):
        if np.abs(np.subtract(seen, colors(number))).max() <= 3:
            return number
    raise AssertionError(f"no frame looks so: {seen}")


def draw(memory: mmap.mmap, config: dict, number: int, matrix: str, flips: tuple) -> None:
    """Write a frame into a buffer, padding included."""
    width, height = config["size"]
    picture = np.empty((height, width, 3), np.uint8)
    halves = (slice(0, height // 2), slice(height // 2, None))
    sides = (slice(0, width // 2), slice(width // 2, None))
    quadrants = [(rows, columns) for rows in halves for columns in sides]
    for (rows, columns), color in zip(quadrants, colors(number), strict=True):
        picture[rows, columns] = color
    hflip, vflip = flips
    picture = picture[:: -1 if vflip else 1, :: -1 if hflip else 1]
    rows = np.frombuffer(memory, np.uint8)
    rows[:] = GARBAGE
    for plane, pixels in zip(_planes(rows, config), _pixels(config, picture, matrix), strict=True):
        plane[:, : pixels.shape[1]] = pixels


def spoil(memory: mmap.mmap) -> None:
    """What the next exposure does to a buffer that was given back."""
    np.frombuffer(memory, np.uint8)[:] = GARBAGE


def layout(pixel_format: str, width: int, height: int) -> tuple[int, int]:
    """Stride and size in bytes of an image, with padding that no width avoids."""
    samples = {"RGB888": 3, "BGR888": 3, "XRGB8888": 4, "XBGR8888": 4, "YUYV": 2}
    stride = width * samples.get(pixel_format, 1) // PADDING * PADDING + PADDING
    tall = height * 3 // 2 if pixel_format in ("YUV420", "NV12") else height
    return stride, stride * tall


def _planes(flat: np.ndarray, config: dict) -> list[np.ndarray]:
    height, stride = config["size"][1], config["stride"]
    luma = flat[: stride * height].reshape(height, stride)
    chroma = flat[stride * height :]
    if config["format"] == "NV12":
        return [luma, chroma.reshape(-1, stride)]
    if config["format"] == "YUV420":
        half = len(chroma) // 2
        return [luma, *(part.reshape(-1, stride // 2) for part in (chroma[:half], chroma[half:]))]
    return [luma]


def _pixels(config: dict, picture: np.ndarray, matrix: str) -> list[np.ndarray]:
    """The planes of a picture, by the formulas of ITU-R BT.601 and BT.709, limited range."""
    height, width = picture.shape[:2]
    if config["format"] in ("RGB888", "BGR888"):
        ordered = picture if config["format"] == "RGB888" else picture[..., ::-1]
        return [ordered.reshape(height, -1)]
    if config["format"] in ("XRGB8888", "XBGR8888"):
        ordered = picture if config["format"] == "XRGB8888" else picture[..., ::-1]
        return [np.dstack([ordered, np.full((height, width), 255, np.uint8)]).reshape(height, -1)]
    blue, green, red = (picture[..., channel] / 255 for channel in range(3))
    k_red, k_blue = (0.2126, 0.0722) if matrix == "Rec709" else (0.299, 0.114)
    luma = k_red * red + (1 - k_red - k_blue) * green + k_blue * blue
    y = np.rint(16 + 219 * luma).astype(np.uint8)
    u = np.rint(128 + 112 * (blue - luma) / (1 - k_blue)).astype(np.uint8)
    v = np.rint(128 + 112 * (red - luma) / (1 - k_red)).astype(np.uint8)
    if config["format"] == "YUYV":
        interleaved = np.dstack([y, np.where(np.arange(width) % 2, v, u)])
        return [interleaved.reshape(height, -1)]
    u, v = u[::2, ::2], v[::2, ::2]
    if config["format"] == "NV12":
        return [y, np.dstack([u, v]).reshape(height // 2, -1)]
    return [y, u, v]


def now_ns() -> int:
    """The clock of the kernel's capture drivers."""
    return time.monotonic_ns()
