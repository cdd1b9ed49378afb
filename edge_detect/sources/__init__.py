"""Where frames come from: one registry from URL scheme to source."""

import glob
import stat
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from edge_detect.core import SourceError
from edge_detect.core.url import Url, parse_url
from edge_detect.sources.camera import first_camera
from edge_detect.sources.source import Source

__all__ = ["SCHEMES", "Source", "check_source", "first_camera", "is_live", "open_source"]

# Scheme → module and function that opens it. Modules are imported when first used, because
# decoders and device libraries take long to load and most runs need one of them.
SCHEMES = {
    "camera": ("edge_detect.sources.first", "open_first"),
    "file": ("edge_detect.sources.video", "open_video"),
    "http": ("edge_detect.sources.network.source", "open_stream"),
    "https": ("edge_detect.sources.network.source", "open_stream"),
    "images": ("edge_detect.sources.images", "open_images"),
    "picamera2": ("edge_detect.sources.csi.source", "open_picamera2"),
    "rtsp": ("edge_detect.sources.network.source", "open_stream"),
    "rtsps": ("edge_detect.sources.network.source", "open_stream"),
    "synthetic": ("edge_detect.sources.synthetic", "open_synthetic"),
    "v4l2": ("edge_detect.sources.v4l2.source", "open_v4l2"),
}
# Scheme → module and function that reads its URLs, and opens nothing.
_READERS = {
    "camera": ("edge_detect.sources.first", "read_first_url"),
    "file": ("edge_detect.sources.video", "read_video_url"),
    "http": ("edge_detect.sources.network.address", "parse_address"),
    "https": ("edge_detect.sources.network.address", "parse_address"),
    "images": ("edge_detect.sources.images", "read_images_url"),
    "picamera2": ("edge_detect.sources.csi.source", "read_picamera2_url"),
    "rtsp": ("edge_detect.sources.network.address", "parse_address"),
    "rtsps": ("edge_detect.sources.network.address", "parse_address"),
    "synthetic": ("edge_detect.sources.synthetic", "read_synthetic_url"),
    "v4l2": ("edge_detect.sources.v4l2.source", "read_v4l2_url"),
}
# Sources that wait for their reader unless told to keep a pace.
_WAITING = {"file", "images", "synthetic"}
_IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}

Factory = Callable[[Url, bool | None], Source]


def open_source(url: str | Path, *, paced: bool | None = None) -> Source:
    """Open a camera, video, set of images or synthetic scene.

    A bare path to a video or image, a directory or glob pattern of images, and
    `/dev/videoN` are understood as well as URLs:

        camera://?size=1280x720&fps=30
        file://clip.mp4?loop=true&realtime=true
        images://street/*.jpg
        picamera2://0?size=1280x720&lores=416x234&fps=30
        synthetic://?size=1280x720&fps=30&objects=5&seed=1&frames=300
        v4l2:///dev/video0?size=1280x720&fps=30&fourcc=MJPG

    Args:
        url: What to open.
        paced: Whether frames come at the source's own rate (True) or as fast as they are
            asked for (False). None leaves it to the URL. Cameras ignore it.

    Raises:
        SourceError: The source cannot be opened.
        ConfigError: An option of the URL is misspelt or has an impossible value.
    """
    parsed, scheme = _parse(url)
    module, function = SCHEMES[scheme]
    factory = cast("Factory", getattr(import_module(module), function))
    return factory(parsed, paced)


def check_source(url: str | Path) -> str:
    """See whether a source could be opened, as far as its URL tells; touches no device.

    Args:
        url: As for `open_source`.

    Returns:
        Its scheme, also for a bare path.

    Raises:
        SourceError: No source handles this URL, or it names nothing to open.
        ConfigError: An option of the URL is misspelt or has an impossible value.
    """
    parsed, scheme = _parse(url)
    module, function = _READERS[scheme]
    getattr(import_module(module), function)(parsed)
    return scheme


def _parse(url: str | Path) -> tuple[Url, str]:
    """The URL and its scheme, also for a bare path.

    Raises:
        SourceError: No source has this scheme.
    """
    parsed = parse_url(url)
    scheme = parsed.scheme or _scheme_of_path(parsed.location)
    if scheme not in SCHEMES:
        raise SourceError(
            f"no source handles {parsed.name!r}: unknown scheme {scheme!r}",
            f"use one of {', '.join(sorted(SCHEMES))}, e.g. v4l2:///dev/video0",
        )
    return parsed, scheme


def is_live(url: str | Path, *, paced: bool | None = None) -> bool:
    """Whether a clock sets the pace of a source, as far as its URL tells.

    Args:
        url: As for `open_source`, which need not succeed.
        paced: As for `open_source`.
    """
    parsed = parse_url(url)
    scheme = parsed.scheme or _scheme_of_path(parsed.location)
    if scheme in _WAITING:
        return parsed.flag("realtime") if paced is None else paced
    return True


def _scheme_of_path(path: str) -> str:
    """What a bare path means."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        mode = 0
    if stat.S_ISCHR(mode) or path.startswith(("/dev/video", "/dev/v4l/")):
        return "v4l2"
    if stat.S_ISDIR(mode) or Path(path).suffix.lower() in _IMAGE_SUFFIXES:
        return "images"
    if not mode and glob.has_magic(path):
        return "images"
    return "file"
