"""The endpoint for Prometheus, kept up for as long as the daemon runs."""

import logging
import socket
from threading import Event, Thread

from starlette.types import ASGIApp, Receive, Scope, Send

from edge_detect.core import SinkError, monotonic_ns
from edge_detect.core.backoff import Backoff
from edge_detect.service.companion import CameraView, Companion, ServiceView
from edge_detect.service.config.endpoint import Endpoint
from edge_detect.service.config.settings import MetricsSettings
from edge_detect.service.metrics.http import make_health_app, make_metrics_app
from edge_detect.sinks.web.server import WebServer, listen

__all__ = ["MetricsCompanion"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
_STOP_S = 2.0


class MetricsCompanion(Companion):
    """Serves /metrics, /healthz and /readyz at an address of their own.

    A port that is taken is tried again until it is free: cameras do not wait for that.

    Args:
        settings: Where to listen.
    """

    def __init__(self, settings: MetricsSettings) -> None:
        self._settings = settings
        self._ended = Event()
        self._refused = ""
        self._thread: Thread | None = None

    def start(self, service: ServiceView) -> None:
        """Begin to answer.

        Raises:
            ConfigError: The address is none.
            DependencyError: prometheus-client is missing.
        """
        endpoint = Endpoint.parse(self._settings.listen)
        app = _both(make_metrics_app(service), make_health_app(service))
        # The first try is made here: who starts the daemon may ask right after.
        listener = self._listen(endpoint)
        self._thread = Thread(
            target=self._keep_up, args=(endpoint, app, listener), name="edge-metrics", daemon=True
        )
        self._thread.start()

    def add_camera(self, camera: CameraView) -> None:
        """Nothing: every scrape asks the service for its cameras."""

    def remove_camera(self, camera: CameraView) -> None:
        """Nothing, for the same reason."""

    def stop(self) -> None:
        """Cut all connections and free the port."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def trouble(self) -> str:
        """Whether the thread that keeps the server up has ended by itself."""
        thread = self._thread
        if thread is None or thread.is_alive() or self._ended.is_set():
            return ""
        return "the thread that serves metrics has ended"

    def _keep_up(self, endpoint: Endpoint, app: ASGIApp, listener: socket.socket | None) -> None:
        backoff = Backoff()
        while not self._ended.is_set():
            if listener is not None:
                began_ns = monotonic_ns()
                self._serve(app, listener)
                backoff.worked_for(monotonic_ns() - began_ns)
            if self._ended.wait(backoff.next_s()):
                return
            listener = self._listen(endpoint)
        if listener is not None:
            listener.close()

    def _serve(self, app: ASGIApp, listener: socket.socket) -> None:
        """Have a server answer until the end, or its own."""
        server = WebServer(app, listener, _no_streams)
        server.start()
        while server.running and not self._ended.wait(_LOOK_S):
            pass
        if not self._ended.is_set():
            _log.error("the metrics' server has ended; starting another", exc_info=server.error)
        elif not server.stop():
            _log.warning("the metrics' server did not stop within a second")

    def _listen(self, endpoint: Endpoint) -> socket.socket | None:
        try:
            listener = listen(endpoint.host, endpoint.port)
        except SinkError as error:
            if error.message != self._refused:
                # Said once for each reason: it may last for weeks.
                _log.warning("metrics: %s; trying again until it works", error.message)
            self._refused = error.message
            return None
        if self._refused:
            _log.warning("metrics: answering at %s now", self._settings.listen)
        self._refused = ""
        return listener


def _both(metrics: ASGIApp, health: ASGIApp) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = metrics if scope["path"] == "/metrics" else health
        await chosen(scope, receive, send)

    return app


def _no_streams() -> None:
    """Every answer ends by itself."""
