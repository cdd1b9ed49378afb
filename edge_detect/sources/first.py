"""The first camera of the computer, whichever it is at the moment of opening."""

from pathlib import Path
from urllib.parse import urlencode

from edge_detect.core import Size, SourceError
from edge_detect.core.url import Url, parse_url
from edge_detect.sources.camera import first_camera
from edge_detect.sources.csi.cameras import first_csi_camera
from edge_detect.sources.csi.source import open_picamera2
from edge_detect.sources.source import Source
from edge_detect.sources.v4l2.source import open_v4l2

__all__ = ["open_first", "read_first_url"]


def open_first(
    url: Url,
    paced: bool | None,  # noqa: FBT001
    devices: Path = Path("/dev"),
) -> Source:
    """Open `camera://?size=1280x720&fps=30`: the first CSI camera, else the first USB camera.

    Args:
        url: What to open.
        paced: Cameras ignore it.
        devices: Where the device nodes are.

    Raises:
        SourceError: There is no camera now, or it cannot be opened.
        DependencyError: picamera2 is missing or does not fit.
        ConfigError: An option is misspelt or has an impossible value.
    """
    read_first_url(url)
    found = first_csi_camera() or first_camera(devices)
    if found is None:
        raise SourceError(
            "there is no camera", "connect one, or name another source", transient=True
        )
    query = f"?{urlencode(url.options)}" if url.options else ""
    chosen = parse_url(found + query)
    open_chosen = open_picamera2 if chosen.scheme == "picamera2" else open_v4l2
    return open_chosen(chosen, paced)


def read_first_url(url: Url) -> None:
    """See whether a URL makes sense.

    Raises:
        SourceError: It names a camera.
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options("size", "fps")
    url.number("fps", 30.0)
    url.size("size", Size(1280, 720))
    if url.location.strip("/"):
        raise SourceError(
            f"{url.name!r} names a camera, but stands for the first one",
            "use v4l2:///dev/video0 or picamera2://0 for a certain one",
        )
