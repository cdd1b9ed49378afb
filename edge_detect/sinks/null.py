"""A sink that drops everything: for measuring, and for programs that read results themselves."""

from edge_detect.core import Image, Result, Size
from edge_detect.core.url import Url
from edge_detect.sinks.sink import Sink

__all__ = ["NullSink", "open_null_sink"]


class NullSink(Sink):
    """Takes results and does nothing with them."""

    name = "null://"
    wants_picture = False

    def open(self, size: Size, fps: float | None) -> None:
        """Nothing to get ready."""

    def write(self, result: Result, picture: Image | None) -> None:
        """Drop it."""

    def close(self) -> None:
        """Nothing to let go."""


def open_null_sink(url: Url) -> NullSink:
    """Open `null://`."""
    url.check_options()
    return NullSink()
