"""The annotated stream, pushed to a server such as MediaMTX or go2rtc."""

from collections.abc import Callable

import av.error

from edge_detect.core import ConfigError, Picture, SinkError
from edge_detect.core.url import Authority, Url
from edge_detect.sinks.access_units import (
    AccessUnit,
    UnitQueue,
    UnitSession,
    UnitThread,
)
from edge_detect.sinks.encoder import (
    ENCODER_OPTIONS,
    EncoderSettings,
    encoder_settings,
)
from edge_detect.sinks.h264 import parameter_sets
from edge_detect.sinks.push.publisher import Patience, Publisher
from edge_detect.sinks.push.rtp import Packetizer
from edge_detect.sinks.sink import Sink, StreamInfo

__all__ = ["PushSink", "open_push_sink"]

_DEFAULT_PORT = 554
_TRANSPORTS = ("tcp", "udp")
# More than this is not kept for a slow server: its viewers want what happens now.
_QUEUE_S = 2.0
_QUEUE_BYTES = 8_000_000
_LOOK_S = 0.5
_CLOSE_S = 0.4


_Sets = tuple[bytes, bytes]


class PushSink(Sink):
    """Publishes annotated pictures on an RTSP server.

    The pictures come from the encoder that other sinks may share; a thread of its own sends
    them, so that a slow server holds up nobody.

    Args:
        server: Where it is, the path, user and password.
        settings: Of the encoder.
        udp: Whether the stream goes by UDP.
        patience: How long to wait for the server.
    """

    takes_pictures = True

    def __init__(
        self,
        server: Authority,
        settings: EncoderSettings,
        *,
        udp: bool,
        patience: Patience | None = None,
    ) -> None:
        host = f"[{server.host}]" if ":" in server.host else server.host
        self.name = f"rtsp-push://{host}:{server.port}{server.path}"
        self._server = server
        self._settings = settings
        self._udp = udp
        self._patience = patience or Patience()
        self._session: UnitSession | None = None
        self._publisher: Publisher | None = None
        # What is announced; once it is known, a connection is made ready when it is opened.
        self._sets: _Sets | None = None
        self._proven = False

    @property
    def wants_picture(self) -> bool:
        """Always while it is open: nobody knows who looks at the server."""
        return self._session is not None

    @property
    def dropped(self) -> int:
        """Encoded pictures left out since `open`, up to the next key frame each time."""
        session = self._session
        return 0 if session is None else session.dropped

    def open(self, stream: StreamInfo) -> None:
        """Connect to the server.

        Raises:
            SinkError: It cannot be reached, does not answer, or refuses the stream.
        """
        publisher = Publisher(
            self.name,
            self._server,
            udp=self._udp,
            proven=self._proven,
            patience=self._patience,
        )
        try:
            if self._sets is not None:
                publisher.announce(*self._sets)
        except BaseException:
            publisher.close()
            raise
        sender = _Sender(self.name, publisher, self._sets, self._remember)
        thread = UnitThread("edge-push", sender.queue, sender.run)
        self._publisher = publisher
        self._session = UnitSession(stream.encoders.get(self._settings), thread, stream)

    def write_picture(self, picture: Picture) -> None:
        """Have a picture sent.

        Raises:
            SinkError: The server has gone, or the encoder failed.
        """
        session = self._session
        if session is None:
            raise ValueError("write_picture needs open before it")
        session.write(picture)

    def close(self) -> None:
        """Leave the server."""
        session, self._session = self._session, None
        publisher, self._publisher = self._publisher, None
        if session is None or publisher is None:
            return
        if not session.close(_CLOSE_S):
            publisher.abort()
            session.thread.close(_CLOSE_S)

    def _remember(self, sets: _Sets | None, proven: bool) -> None:  # noqa: FBT001 - a callback
        self._sets = sets
        self._proven = self._proven or proven


class _Sender:
    """What the thread of a push does.

    Args:
        name: Of the sink, for messages.
        publisher: The connection; closed at the end.
        announced: The parameter sets that the server was told; None before it was.
        remember: Told what they are, and whether the server takes the stream.
    """

    def __init__(
        self,
        name: str,
        publisher: Publisher,
        announced: _Sets | None,
        remember: Callable[[_Sets | None, bool], None],
    ) -> None:
        self.queue = UnitQueue(_QUEUE_S, _QUEUE_BYTES, newest=True)
        self._name = name
        self._publisher = publisher
        self._announced = announced
        self._remember = remember
        self._packetizer: Packetizer | None = None

    def run(self) -> None:
        """Send until the queue is closed.

        Raises:
            SinkError: The server has gone or refuses the stream.
        """
        try:
            while not self.queue.closed:
                unit = self.queue.get(_LOOK_S)
                self._publisher.check()
                if isinstance(unit, AccessUnit):
                    self._send(unit)
        except av.error.FFmpegError as error:
            reason = f"cannot push to {self._name}: {error.strerror}"
            raise SinkError(reason, transient=True) from error
        finally:
            if self._packetizer is not None:
                self._packetizer.close()
            self._publisher.close()

    def _send(self, unit: AccessUnit) -> None:
        if unit.key:
            self._announce(parameter_sets(unit.data))
        if self._packetizer is None:
            self._packetizer = Packetizer(unit)
        self._publisher.send(self._packetizer.cut(unit))

    def _announce(self, sets: _Sets) -> None:
        if sets == self._announced:
            return
        changed = self._announced is not None
        self._remember(sets, changed)
        if changed:
            raise SinkError(
                f"the video pushed to {self._name} changed and is announced anew", transient=True
            )
        self._publisher.announce(*sets)
        self._announced = sets
        self._remember(sets, True)


def open_push_sink(url: Url) -> PushSink:
    """Open `rtsp-push://[user:password@]host:8554/path?transport=udp`.

    The encoder's options are understood too.

    Raises:
        SinkError: The URL names no server or no path.
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options("transport", *ENCODER_OPTIONS)
    server = url.authority(_DEFAULT_PORT)
    if not server.host or not server.path.strip("/"):
        raise SinkError(
            f"{url.name!r} names no {'path' if server.host else 'server'}",
            "use rtsp-push://host:8554/path",
        )
    transport = url.options.get("transport", "tcp")
    if transport not in _TRANSPORTS:
        raise ConfigError(f"{url.name!r}: option 'transport' must be tcp or udp, got {transport!r}")
    return PushSink(server, encoder_settings(url), udp=transport == "udp")
