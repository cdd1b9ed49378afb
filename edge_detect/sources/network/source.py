"""Frames of cameras and servers on the network."""

from edge_detect.core import Frame, Size
from edge_detect.core.buffers import ImagePool
from edge_detect.core.url import Url
from edge_detect.sources.network.address import StreamAddress, parse_address
from edge_detect.sources.network.reader import StreamReader
from edge_detect.sources.pixels import BgrConverter
from edge_detect.sources.source import Source

__all__ = ["StreamSource", "open_stream"]


class StreamSource(Source):
    """Gives the newest picture of an RTSP or HTTP stream.

    Every picture is decoded as it comes, whether or not anybody reads, and replaces the one
    before it. So delay never builds up; pictures that nobody took show as gaps in `sequence`.
    A recording on a web server comes at its own rate, and ends.

    Args:
        address: Where the stream is.
    """

    live = True

    def __init__(self, address: StreamAddress) -> None:
        self.name = address.name
        self.size: Size | None = None
        self.fps: float | None = None
        self._address = address
        self._converter = BgrConverter(ImagePool())
        self._reader: StreamReader | None = None
        self._closed = False
        self._first_ns: int | None = None

    def read(self) -> Frame | None:
        """Connect at first; then wait for a picture newer than the last one.

        Returns:
            The frame; None after `close`, and at the end of a recording.

        Raises:
            SourceError: There is no connection, no picture came for too long, or the stream
                ended; transient except where user and password were refused.
        """
        if self._reader is None:
            if self._closed:
                return None
            self._reader = StreamReader(self._address)
            if self._closed:
                # `close` came in between and did not see it.
                self._reader.stop()
        received = self._reader.take()
        if received is None:
            return None
        image = self._converter.convert(received.picture, received.picture.rotation)
        captured_ns = received.captured_ns
        if self._first_ns is None:
            self._first_ns = captured_ns
            self.fps = received.fps
            height, width = image.shape[:2]
            self.size = Size(width, height)
        media_ns = captured_ns - self._first_ns
        return Frame(image, captured_ns, received.sequence, self.name, media_ns)

    def close(self) -> None:
        """Hang up; returns at once, and a waiting `read` returns None.

        The connection itself is closed within the timeouts, mostly at the next packet.
        """
        self._closed = True
        if self._reader is not None:
            self._reader.stop()


def open_stream(url: Url, paced: bool | None) -> StreamSource:  # noqa: ARG001, FBT001
    """Open `rtsp://[user:password@]camera/path?transport=tcp&open_timeout=5&read_timeout=3`.

    Also `rtsps://`, `http://` and `https://` (MJPEG, MPEG-TS and whatever else FFmpeg reads),
    with `tls_verify` and `tls_ca` for the encrypted ones; see `parse_address`. Nothing is
    connected yet. Frames come at the stream's own rate whatever `paced` says.

    Raises:
        ConfigError: The URL names no host, or an option has an impossible value.
    """
    return StreamSource(parse_address(url))
