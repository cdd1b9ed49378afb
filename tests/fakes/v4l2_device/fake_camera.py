"""A made-up V4L2 camera: what it is, what it shows, and what goes wrong with it.

The camera itself runs in `kernel.c`, which a process loads with LD_PRELOAD in the place of the
kernel's driver. Here are the files that describe it.
"""

import functools
import hashlib
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

from edge_detect.sources import Source

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache" / "fakes"
PICTURES = 16
# Blue, green, red of four patches in every picture.
PATCHES = ((200, 60, 40), (50, 180, 60), (40, 50, 210), (120, 130, 125))
_CAPTURE, _STREAMING, _DEVICE_CAPS = 0x1, 0x04000000, 0x80000000
_FLAGS = _CAPTURE | _STREAMING


@functools.cache
def build() -> Path:
    """Compile the driver, unless that was done before; needs gcc, libc6-dev, linux-libc-dev."""
    # Only the functions that take the place of the C library's may be seen by other code.
    flags = "-std=gnu11 -Wall -Wextra -Werror -O1 -fPIC -fvisibility=hidden -shared"
    sources = sorted(HERE.glob("*.c"))
    parts = [flags.encode(), *(path.read_bytes() for path in sorted(HERE.glob("*.[ch]")))]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    library = CACHE / f"fake_v4l2-{digest}.so"
    if not library.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # In one step, as several processes may be at it.
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            made = Path(folder) / library.name
            subprocess.run(["gcc", *flags.split(), "-o", made, *sources], check=True)
            made.replace(library)
    return library


class FakeCamera:
    """One camera in a folder.

    Args:
        folder: Where the device node and its files are.
        number: Of the node.
    """

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder = folder
        self.node = folder / f"video{number}"

    def url(self, query: str = "") -> str:
        """The source's URL."""
        return f"v4l2://{self.node}{query and '?'}{query}"

    def plug(self, *lines: str) -> None:
        """Create the device; lines as `describe` in description.c takes them."""
        caps = f"caps {_FLAGS | _DEVICE_CAPS:x} {_FLAGS:x}"
        for line in lines:
            kind, *fields = line.split()
            if kind == "mode" and fields[0] in ENCODERS:
                self.picture(fields[0], *map(int, fields[1:4]))
        text = "\n".join(
            ["driver uvcvideo", "card Made-up Camera", caps, f"pictures {PICTURES}", *lines]
        )
        # In one step, as udev does it; a reader never sees half a description.
        written = self.node.with_suffix(".new")
        written.write_text(text + "\n")
        written.rename(self.node)

    def unplug(self) -> None:
        """Take the device away."""
        self.node.unlink()

    def go_wrong(self, words: str = "") -> None:
        """What is the matter from now on, in words that the driver knows; empty for nothing."""
        written = self.node.with_suffix(".wrong")
        written.write_text(words)
        written.rename(self.node.with_suffix(".faults"))

    def controls_set(self) -> list[str]:
        """What controls were set to so far, as `name=value`."""
        return self.node.with_suffix(".controls").read_text().splitlines()

    def violations(self) -> str:
        """How a program misused the device, one line each."""
        file = self.folder / "violations"
        return file.read_text() if file.exists() else ""

    def picture(self, fourcc: str, width: int, height: int, stride: int) -> None:
        """Make the pictures of one mode, unless they are there."""
        folder = self.folder / f"{fourcc}-{width}x{height}"
        if folder.exists():
            return
        folder.mkdir()
        for number, data in enumerate(_pictures(fourcc, width, height, stride)):
            (folder / str(number)).write_bytes(data)


def picture(number: int, width: int, height: int) -> np.ndarray:
    """B, G, R picture with its number in four black or white blocks, and patches of colour."""
    image = np.full((height, width, 3), 90, np.uint8)
    block, band = width // 4, height // 4
    for bit in range(4):
        columns = slice(bit * block, (bit + 1) * block)
        image[:band, columns] = 255 * (number >> bit & 1)
        image[band : 2 * band, columns] = PATCHES[bit]
    left = number * (width - block) // PICTURES
    image[3 * band :, left : left + block] = (30, 200, 220)
    return image


@functools.lru_cache(maxsize=16)
def _pictures(fourcc: str, width: int, height: int, stride: int) -> list[bytes]:
    return [ENCODERS[fourcc](picture(number, width, height), stride) for number in range(PICTURES)]


def number_in(image: np.ndarray) -> int:
    """The number of a picture, from its blocks."""
    height, width = image.shape[:2]
    centres = [(height // 8, width // 4 * bit + width // 8) for bit in range(4)]
    return sum(int(image[centre].mean() > 128) << bit for bit, centre in enumerate(centres))


def read_numbers(source: Source, count: int) -> list[tuple[int, int]]:
    """Sequence number and number in the picture of some frames."""
    frames = [source.read() for _ in range(count)]
    return [(frame.sequence, number_in(frame.image)) for frame in frames]


def color_error(image: np.ndarray) -> int:
    """How far the patches are from their colours, at worst."""
    height, width = image.shape[:2]
    worst = 0
    for bit, color in enumerate(PATCHES):
        left, top = width // 4 * bit, height // 4
        patch = image[top + 16 : top + height // 4 - 16, left + 16 : left + width // 4 - 16]
        worst = max(worst, int(np.abs(patch.astype(int) - color).max()))
    return worst


def _yuv(image: np.ndarray) -> np.ndarray:
    """(height, width, 3) Y, Cb, Cr of ITU-R BT.601, limited range."""
    # Rows: Y, Cb, Cr; columns: B, G, R.
    matrix = np.array([[24.966, 128.553, 65.481], [112, -74.203, -37.797], [-18.214, -93.786, 112]])
    values = image.astype(float) / 255 @ matrix.T + (16, 128, 128)
    return np.round(values).astype(np.uint8)


def _padded(rows: np.ndarray, stride: int) -> bytes:
    """Rows of bytes with rubbish behind each."""
    padded = np.full((len(rows), stride), 0x77, np.uint8)
    padded[:, : rows.shape[1]] = rows
    return padded.tobytes()


def _yuyv(image: np.ndarray, stride: int) -> bytes:
    y, cb, cr = np.moveaxis(_yuv(image), 2, 0)
    packed = np.stack([y[:, ::2], cb[:, ::2], y[:, 1::2], cr[:, ::2]], axis=2)
    return _padded(packed.reshape(len(image), -1), stride)


def _nv12(image: np.ndarray, stride: int) -> bytes:
    y, cb, cr = np.moveaxis(_yuv(image), 2, 0)
    color = np.stack([cb[::2, ::2], cr[::2, ::2]], axis=2).reshape(len(image) // 2, -1)
    return _padded(y, stride) + _padded(color, stride)


def _jpeg(image: np.ndarray, stride: int) -> bytes:
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95, *sampling])
    assert done
    # Cameras fill their packets up with zeros.
    return data.tobytes() + bytes(64)


ENCODERS = {"YUYV": _yuyv, "NV12": _nv12, "MJPG": _jpeg}
