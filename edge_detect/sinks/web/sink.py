"""The web page as a sink."""

import logging
from threading import Lock

from edge_detect.core import Picture, Result, SinkError
from edge_detect.sinks.sink import Sink, StreamInfo
from edge_detect.sinks.web.audience import Audience
from edge_detect.sinks.web.feed import Feed
from edge_detect.sinks.web.routes import make_app
from edge_detect.sinks.web.server import WebServer, listen
from edge_detect.sinks.web.settings import WebSettings
from edge_detect.sinks.web.stage import MOST_LISTENERS, Stage
from edge_detect.sinks.web.timeouts import Timeouts

__all__ = ["WebSink"]

_log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class WebSink(Sink):
    """Serves a page with the live picture, and everything on it to programs.

    JPEGs are made in the thread that calls `write_picture`, when somebody takes them; the
    server's own thread only hands out bytes. Nothing here ever waits for a client.

    Args:
        settings: Where, and to whom.
        timeouts: How long clients and the server's end are waited for.
    """

    takes_results = True
    takes_pictures = True

    def __init__(self, settings: WebSettings, timeouts: Timeouts | None = None) -> None:
        self.name = settings.name
        self._settings = settings
        self._timeouts = timeouts or Timeouts()
        self._lock = Lock()
        self._audience = Audience(settings.viewers)
        self._feed = Feed(MOST_LISTENERS)
        self._server: WebServer | None = None
        self._stream: StreamInfo | None = None
        self._was_open = False
        self._port = settings.port

    @property
    def address(self) -> str:
        """Where a browser on this machine finds the page; the port is known once it is open."""
        host = self._settings.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened at
            host = "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/"

    @property
    def wants_picture(self) -> bool:
        """Whether somebody watches and is ready for the next picture."""
        return self._audience.is_due()

    @property
    def viewers(self) -> int:
        """How many watch the picture."""
        return self._audience.count

    def open(self, stream: StreamInfo) -> None:
        """Take the port and begin to serve.

        Raises:
            SinkError: The port is taken, or the address is not this machine's.
        """
        audience, feed = Audience(self._settings.viewers), Feed(MOST_LISTENERS)
        stage = Stage(audience, feed, stream.report)
        app = make_app(self._settings, stage, self._timeouts)
        try:
            listener = listen(self._settings.host, self._settings.port)
        except SinkError as error:
            # A port that was ours a moment ago comes free again.
            error.transient = error.transient or self._was_open
            raise
        self._port = listener.getsockname()[1]
        server = WebServer(app, listener, stage.end, self._timeouts)
        server.start()
        self._audience, self._feed, self._stream, self._server = audience, feed, stream, server
        if not self._was_open:
            self._announce()
        self._was_open = True

    def write_result(self, result: Result) -> None:
        """Tell those who listen.

        Raises:
            SinkError: The server has died.
        """
        server = self._serving()
        if server is not None:
            self._feed.publish(result, server.call_soon)

    def write_picture(self, picture: Picture) -> None:
        """Show the picture to those who are ready for one.

        Raises:
            SinkError: The server has died.
        """
        server = self._serving()
        if server is None or self._stream is None:
            return
        if self._audience.serve(picture, server.call_soon):
            self._stream.encoded(picture.frame.captured_ns)

    def close(self) -> None:
        """End all connections, and free the port.

        Raises:
            SinkError: The server did not stop.
        """
        with self._lock:
            server, self._server = self._server, None
        if server is not None and not server.stop():
            raise SinkError(
                f"the server of {self.name} did not stop within {self._timeouts.stop_s:g} s"
            )

    def _serving(self) -> WebServer | None:
        """The server; None when another thread has closed the sink."""
        server = self._server
        if server is not None and not server.running:
            reason = f": {server.error}" if server.error is not None else ""
            raise SinkError(f"the server of {self.name} has ended{reason}", transient=True)
        return server

    def _announce(self) -> None:
        if self._settings.host in _LOOPBACK:
            _log.info(
                "web page on %s, for this machine only: put an address before the port,"
                " such as 0.0.0.0, for others",
                self.address,
            )
        elif self._settings.guarded:
            _log.info("web page on port %d of %s", self._port, self._settings.host)
        else:
            _log.warning(
                "web page on port %d of %s, open to everyone on the network:"
                " user:password@ before the address closes it",
                self._port,
                self._settings.host,
            )
