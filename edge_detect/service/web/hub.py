"""What is answered where: all cameras together, each one below, health and metrics."""

import re
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_detect.core import NS_PER_S, DependencyError, monotonic_ns
from edge_detect.service.companion import ServiceView
from edge_detect.service.metrics.http import make_health_app, make_metrics_app
from edge_detect.service.web.camera import CameraPage
from edge_detect.service.web.history import add_report
from edge_detect.service.web.reports import CamerasReport, describe_board
from edge_detect.sinks.web.gate import Gate, Rules
from edge_detect.sinks.web.pages import add_pages, read_files
from edge_detect.sinks.web.routes import VERSION
from edge_detect.sinks.web.settings import WebSettings

__all__ = ["Hub", "make_gate"]

_HEALTH = ("/healthz", "/readyz")
_CAMERA = re.compile(r"/cameras/([^/]+)(/.*)?")
_PAGES = re.compile(r"/|/docs|/report|/cameras/[^/]+/(docs)?")
_CONTROLS = re.compile(r"/cameras/[^/]+/api/controls")


class Hub:
    """The ASGI application for all cameras.

    Args:
        service: Who is asked about all of them.

    Attributes:
        pages: Of the cameras, by name; replaced as a whole when cameras come and go.
    """

    def __init__(self, service: ServiceView) -> None:
        self._service = service
        self.pages: Mapping[str, CameraPage] = {}
        self._health = make_health_app(service)
        self._metrics = _metrics_app(service)
        self._all = FastAPI(
            title="edge-detect",
            version=VERSION,
            summary="All cameras, and how they are doing. Below the path of each camera is a page"
            " of its own with its pictures, its detections, and their documentation.",
            docs_url=None,
            redoc_url=None,
        )
        content = {
            **read_files("edge_detect.sinks.web"),
            **read_files("edge_detect.service.web"),
        }
        add_pages(self._all, content, {"/overview": "overview.html", "/docs": "docs.html"})
        self._add_routes()
        add_report(self._all, service.state_directory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope["path"]
        answer: ASGIApp = self._all
        camera = _CAMERA.fullmatch(path)
        if path in _HEALTH:
            answer = self._health
        elif path == "/metrics":
            answer = self._metrics
        elif path == "/":
            answer = self._first_page()
            scope = {**scope, "path": "/overview"}
        elif camera is not None:
            name, below = camera.groups()
            page = self.pages.get(name)
            if page is None:
                answer = JSONResponse({"detail": f"There is no camera {name!r}."}, 404)
            elif below is None:
                answer = RedirectResponse(f"{name}/", 303)
            else:
                answer = page.app
                scope = {**scope, "root_path": f"/cameras/{name}"}
        await answer(scope, receive, send)

    def end(self) -> None:
        """Send all viewers away; in the event loop."""
        for page in self.pages.values():
            page.end()

    def _first_page(self) -> ASGIApp:
        """One camera needs no page for all."""
        if len(self.pages) == 1:
            [name] = self.pages
            return RedirectResponse(f"cameras/{name}/", 303)
        return self._all

    def _add_routes(self) -> None:
        service = self._service

        @self._all.get("/api/cameras", tags=["cameras"])
        async def cameras() -> CamerasReport:
            """How all cameras are doing, and the computer that they run on."""
            pages = self.pages
            return CamerasReport(
                version=VERSION,
                elapsed_s=(monotonic_ns() - service.started_ns) / NS_PER_S,
                ready=service.ready,
                troubles=service.troubles(),
                board=describe_board(service.board()),
                cameras=[
                    pages[camera.name].describe()
                    for camera in service.cameras
                    if camera.name in pages
                ],
            )

        @self._all.get("/cameras", include_in_schema=False)
        async def all_cameras(_request: Request) -> Response:
            return RedirectResponse("./", 303)


def make_gate(hub: Hub, settings: WebSettings) -> ASGIApp:
    """The hub behind its gate: watchdogs may ask for its health without a password."""
    rules = Rules(
        is_page=lambda path: _PAGES.fullmatch(path) is not None,
        is_open=_HEALTH.__contains__,
        is_changeable=lambda path: _CONTROLS.fullmatch(path) is not None,
    )
    return Gate(hub, settings, rules)


def _metrics_app(service: ServiceView) -> ASGIApp:
    try:
        return make_metrics_app(service)
    except DependencyError as error:
        # The page is of use without them.
        return JSONResponse({"detail": f"{error.message}: {error.hint}"}, 404)
