"""What can be told of a source without opening it."""

import pytest

from edge_detect.core import ConfigError, SourceError
from edge_detect.sources import SCHEMES, check_source


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("camera://", "camera"),
        ("camera://?size=1280x720&fps=30", "camera"),
        ("v4l2:///dev/video7?size=640x480&fourcc=MJPG", "v4l2"),
        ("/dev/video7", "v4l2"),
        ("picamera2://1?lores=416x234", "picamera2"),
        ("rtsp://camera/live?transport=udp", "rtsp"),
        ("rtsps://camera/live", "rtsps"),
        ("http://camera/mjpeg?channel=2", "http"),
        ("https://camera/mjpeg", "https"),
        ("file:///not/here.mp4?loop=true", "file"),
        ("not/here.mp4", "file"),
        ("images://not/here?fps=2", "images"),
        ("not/here/*.jpg", "images"),
        ("synthetic://?frames=3", "synthetic"),
    ],
)
def test_a_source_that_is_not_there_now_passes_if_its_url_makes_sense(url, scheme) -> None:
    assert check_source(url) == scheme


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_misspelt_option_is_found_whatever_the_source_or_passed_to_the_camera(scheme) -> None:
    if scheme in ("http", "https", "rtsp", "rtsps"):
        with pytest.raises(ConfigError):
            check_source(f"{scheme}://camera/?open_timeout=never")
    else:
        with pytest.raises(ConfigError, match="unknown option 'sise'"):
            check_source(f"{scheme}://?sise=1")


@pytest.mark.parametrize(
    "url",
    [
        "camera://0",
        "camera://?size=big",
        "camera://?fps=0",
        "v4l://dev/video0",
        "v4l2://",
        "v4l2:///dev/video0?fourcc=XXXX",
        "picamera2://front",
        "rtsp:///live",
        "file://",
        "synthetic://?frames=many",
    ],
)
def test_what_cannot_be_opened_whatever_is_connected_is_refused(url) -> None:
    with pytest.raises((ConfigError, SourceError)):
        check_source(url)
