"""A sink that drops everything: for measuring, and for programs that read results themselves."""

from edge_detect.core.url import Url
from edge_detect.sinks.sink import Sink, StreamInfo

__all__ = ["NullSink", "open_null_sink"]


class NullSink(Sink):
    """Takes results and does nothing with them.

    Args:
        picture: Whether to have the picture drawn all the same.
    """

    name = "null://"
    takes_results = True

    def __init__(self, *, picture: bool = False) -> None:
        self.takes_pictures = picture

    def open(self, stream: StreamInfo) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Nothing to let go."""


def open_null_sink(url: Url) -> NullSink:
    """Open `null://?picture=false`."""
    url.check_options("picture")
    return NullSink(picture=url.flag("picture"))
