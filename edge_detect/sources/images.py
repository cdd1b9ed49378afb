"""Pictures from image files."""

import glob
import re
import zlib
from pathlib import Path

import cv2
import numpy as np

from edge_detect.core import NS_PER_S, Frame, Image, Size, SourceError, monotonic_ns
from edge_detect.core.url import Url
from edge_detect.sources.pacing import Pacer
from edge_detect.sources.source import Source

__all__ = [
    "IMAGE_SUFFIXES",
    "ImagesSource",
    "list_images",
    "open_images",
    "read_image",
    "read_images_url",
]

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_HINT = "use a complete JPEG, PNG, WebP, TIFF or BMP file"


class ImagesSource(Source):
    """The pictures of some files, one after another, each in its own size.

    Args:
        name: What the user asked for.
        paths: The files, in order; at least one.
        fps: Rate of the media time line.
        paced: Whether a clock sets that rate.
        loop: Whether to start over at the end.
    """

    def __init__(
        self, name: str, paths: list[Path], fps: float, *, paced: bool, loop: bool
    ) -> None:
        self.name = name
        self.fps: float = fps
        self.live = paced
        self._paths = paths
        self._loop = loop
        self._pacer = Pacer(active=paced)
        self._sequence = 0
        self._first: Image | None = read_image(paths[0])
        height, width = self._first.shape[:2]
        self.size = Size(width, height)

    @property
    def resting(self) -> bool:
        """Whether `read` holds a frame back until its time has come."""
        return self._pacer.waiting

    def read(self) -> Frame | None:
        """Read the next file; None after the last one and after `close`.

        Raises:
            SourceError: The file cannot be read as an image; the next `read` goes on
                with the file after it.
        """
        sequence, count = self._sequence, len(self._paths)
        if self._pacer.closed or (sequence >= count and not self._loop):
            return None
        self._sequence += 1
        image = read_image(self._paths[sequence % count]) if self._first is None else self._first
        self._first = None
        media_ns = round(sequence * NS_PER_S / self.fps)
        if not self._pacer.wait(media_ns):
            return None
        return Frame(image, monotonic_ns(), sequence, self.name, media_ns)

    def close(self) -> None:
        """End the source; a waiting `read` returns None at once."""
        self._pacer.close()


def open_images(url: Url, paced: bool | None) -> ImagesSource:  # noqa: FBT001
    """Open `images://PATH?fps=1&loop=false&realtime=false` or a bare path.

    Raises:
        SourceError: There is no image there, or the first one is unreadable.
        ConfigError: An option is misspelt or has an impossible value.
    """
    fps, loop, realtime = read_images_url(url)
    paths = list_images(url.location)
    return ImagesSource(url.name, paths, fps, paced=realtime if paced is None else paced, loop=loop)


def read_images_url(url: Url) -> tuple[float, bool, bool]:
    """Pictures a second, whether to start over at the end, and whether to keep that rate.

    Raises:
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options("fps", "loop", "realtime")
    return url.number("fps", 1.0), url.flag("loop"), url.flag("realtime")


def list_images(location: str) -> list[Path]:
    """The files that a path, a directory or a glob pattern stands for.

    Of a directory or pattern only files with an image's ending count, sorted as people
    count (`2.jpg` before `10.jpg`); a single file is taken whatever its ending.

    Raises:
        SourceError: There are none.
    """
    path = Path(location)
    if path.is_dir():
        found = list(path.iterdir())
        if not (chosen := _images_among(found)):
            raise SourceError(f"directory {location} holds no images", _HINT)
        return chosen
    if path.exists() or not glob.has_magic(location):
        return [path]
    # Path.glob takes no absolute patterns.
    found = [Path(name) for name in glob.glob(location, recursive=True)]  # noqa: PTH207
    if not (chosen := _images_among(found)):
        raise SourceError(f"no image matches {location!r}", "check the pattern and the directory")
    return chosen


def read_image(path: str | Path) -> Image:
    """Decode one image file to 8 bits a channel, B, G, R.

    Grey becomes three equal channels, 16 bits are scaled to 8, an alpha channel is dropped
    (not blended), and the EXIF orientation is applied.

    Args:
        path: Of a JPEG, PNG, WebP, TIFF, BMP or anything else that OpenCV reads.

    Returns:
        (height, width, 3) uint8.

    Raises:
        SourceError: The file is missing, empty, incomplete or not an image; names the file.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError as error:
        raise SourceError(f"{path} is a directory, not an image") from error
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror}", "check the path and its permissions"
        ) from error
    if not data:
        raise SourceError(f"{path} is empty", _HINT)
    if _is_truncated(data):
        raise SourceError(f"{path} is truncated or damaged", _HINT)
    image = _decode(data)
    if image is None:
        raise SourceError(f"{path} is not an image that can be decoded", _HINT)
    return image


def _decode(data: bytes) -> Image | None:
    # OpenCV writes its own complaints to standard error; ours say more.
    level = _set_log_level(0)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    finally:
        _set_log_level(level)
    return None if image is None else np.asarray(image, np.uint8)


def _set_log_level(level: int) -> int:
    """Set how much OpenCV prints, 0 for nothing; returns what it was."""
    # OpenCV 4 has it at the top.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    return int(set_level(level))


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end.

    Some versions of OpenCV decode what is there of such a file, fill the rest with grey,
    and say so on standard error only.
    """
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-65536:]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return not _png_is_whole(data)
    return False


def _png_is_whole(data: bytes) -> bool:
    """Whether all chunks up to IEND are there with their checksums right."""
    view, position = memoryview(data), 8
    while position + 12 <= len(data):
        length = int.from_bytes(view[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(data):
            return False
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return False
        if bytes(view[position + 4 : position + 8]) == b"IEND":
            return True
        position = end + 4
    return False


def _images_among(paths: list[Path]) -> list[Path]:
    chosen = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    return sorted(chosen, key=_natural_key)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Digits compare as numbers, everything else as text."""
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]
