"""One page for all cameras, served for as long as the daemon runs."""

import logging
import socket
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from edge_detect.core import DependencyError, SinkError, monotonic_ns
from edge_detect.core.backoff import Backoff
from edge_detect.service.companion import CameraView, Companion, ServiceView
from edge_detect.service.config.endpoint import Endpoint
from edge_detect.service.config.settings import WebSettings
from edge_detect.sinks.web.settings import WebSettings as PageSettings
from edge_detect.sinks.web.timeouts import Timeouts

if TYPE_CHECKING:
    from edge_detect.service.web.camera import CameraPage
    from edge_detect.service.web.hub import Hub
    from edge_detect.sinks.web.server import WebServer

__all__ = ["WebCompanion"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.2
# The server's own time, and this: its keeper has nothing else to wait for.
_STOP_S = 0.5


class WebCompanion(Companion):
    """Serves the pages of all cameras at one address.

    A port that is taken is tried again until it is free: cameras do not wait for that. A
    camera that goes takes its viewers along, and those of others stay.

    Args:
        settings: Where, and to whom.
        timeouts: How long clients and the server's end are waited for.
        backoff: The waits before a port that is taken, or a server that died, is tried again.
    """

    def __init__(
        self,
        settings: WebSettings,
        timeouts: Timeouts | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        endpoint = Endpoint.parse(settings.listen)
        self._endpoint = endpoint
        self._settings = PageSettings(
            name=f"http://{endpoint}",
            host=endpoint.host,
            port=endpoint.port,
            user=settings.user,
            password=settings.password.get_secret_value(),
            token=settings.token.get_secret_value(),
            hosts=tuple(host.lower() for host in settings.hosts),
            viewers=settings.viewers,
        )
        self._timeouts = timeouts or Timeouts()
        self._backoff = backoff or Backoff()
        self._ended = Event()
        self._pages: dict[str, CameraPage] = {}
        self._hub: Hub | None = None
        self._server: WebServer | None = None
        self._thread: Thread | None = None
        self._refused = ""
        self._announced = False

    def start(self, service: ServiceView) -> None:
        """Begin to answer.

        Raises:
            DependencyError: FastAPI or uvicorn is missing.
        """
        try:
            # A second on a Pi: only who wants a page pays for it.
            from edge_detect.service.web.hub import Hub
        except ModuleNotFoundError as error:
            raise DependencyError(
                f"the web page needs the package {error.name!r}, which is not installed",
                "pip install 'edge-detect[web]'",
            ) from error
        self._hub = Hub(service)
        # The first try is made here: who starts the daemon may look right after.
        listener = self._listen()
        self._thread = Thread(
            target=self._keep_up, args=(self._hub, listener), name="edge-web-keeper", daemon=True
        )
        self._thread.start()

    def add_camera(self, camera: CameraView) -> None:
        """Give a camera its page."""
        if self._hub is None:
            raise ValueError("add_camera needs start before it")
        from edge_detect.service.web.camera import CameraPage

        # What everybody on the network sees, not everybody on the network may change.
        changeable = self._settings.guarded or self._endpoint.loopback
        page = CameraPage(
            camera,
            f"{self._settings.name}/cameras/{camera.name}/",
            self._settings.viewers,
            self._call_soon,
            timeouts=self._timeouts,
            changeable=changeable,
        )
        self._pages[camera.name] = page
        self._hub.pages = dict(self._pages)
        camera.attach(page.sink)

    def remove_camera(self, camera: CameraView) -> None:
        """Take the page of a camera away, and send its viewers away."""
        page = self._pages.pop(camera.name, None)
        if page is None or self._hub is None:
            return
        self._hub.pages = dict(self._pages)
        camera.detach(page.sink)
        self._call_soon(page.end)

    def stop(self) -> None:
        """Cut all connections and free the port."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(self._timeouts.stop_s + _STOP_S)
        for page in list(self._pages.values()):
            self.remove_camera(page.camera)

    def trouble(self) -> str:
        """Whether the thread that keeps the server up has ended by itself."""
        thread = self._thread
        if thread is None or thread.is_alive() or self._ended.is_set():
            return ""
        return "the thread that serves the page has ended"

    def _call_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have the server's event loop call something; nothing happens while there is none."""
        server = self._server
        if server is not None:
            server.call_soon(function, *arguments)

    def _keep_up(self, hub: "Hub", listener: socket.socket | None) -> None:
        while not self._ended.is_set():
            if listener is not None:
                began_ns = monotonic_ns()
                self._serve(hub, listener)
                self._backoff.worked_for(monotonic_ns() - began_ns)
            if self._ended.wait(self._backoff.next_s()):
                return
            listener = self._listen()
        if listener is not None:
            listener.close()

    def _serve(self, hub: "Hub", listener: socket.socket) -> None:
        """Have a server answer until the end, or its own."""
        from edge_detect.service.web.hub import make_gate
        from edge_detect.sinks.web.server import WebServer

        server = WebServer(make_gate(hub, self._settings), listener, hub.end, self._timeouts)
        server.start()
        self._server = server
        while server.running and not self._ended.wait(_LOOK_S):
            pass
        if not self._ended.is_set():
            _log.error("the page's server has ended; starting another", exc_info=server.error)
        elif not server.stop():
            _log.warning("the page's server did not stop within %g s", self._timeouts.stop_s)
        self._server = None

    def _listen(self) -> socket.socket | None:
        from edge_detect.sinks.web.server import listen

        try:
            listener = listen(self._endpoint.host, self._endpoint.port)
        except SinkError as error:
            if error.message != self._refused:
                # Said once for each reason: it may last for weeks.
                _log.warning("web page: %s; trying again until it works", error.message)
            self._refused = error.message
            return None
        if self._refused or not self._announced:
            self._announce()
        self._refused = ""
        self._announced = True
        return listener

    def _announce(self) -> None:
        if self._settings.guarded or self._endpoint.loopback:
            _log.info("web page at %s", self._settings.name)
        else:
            _log.warning(
                "web page at %s, open to everyone on the network: user and password, or a token,"
                " in [web] close it",
                self._settings.name,
            )
