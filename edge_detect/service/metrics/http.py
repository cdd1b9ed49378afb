"""/metrics, /healthz and /readyz as ASGI applications, for any server that serves others too."""

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edge_detect.core import NS_PER_MS, DependencyError, monotonic_ns
from edge_detect.service.companion import ServiceView

__all__ = ["make_health_app", "make_metrics_app"]

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# However many ask, and however often, figures are put together so many times a second at most.
_FRESH_NS = 100 * NS_PER_MS
_COMPRESSION = 4


def make_health_app(service: ServiceView) -> ASGIApp:
    """Answers at /healthz and /readyz, and 404 elsewhere.

    Requests reach it with their whole path: dispatch to it, or mount it at the root.

    Args:
        service: Who is asked for its health.
    """

    async def healthz(_request: Request) -> Response:
        troubles = service.troubles()
        return _answer({"healthy": not troubles, "troubles": troubles}, well=not troubles)

    async def readyz(_request: Request) -> Response:
        ready = service.ready
        cameras = {camera.name: camera.state().phase for camera in service.cameras}
        return _answer({"ready": ready, "cameras": cameras}, well=ready)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz)])


def make_metrics_app(service: ServiceView) -> ASGIApp:
    """Answers at /metrics, and 404 elsewhere; the path is the whole one, as above.

    Args:
        service: Whose figures are told.

    Raises:
        DependencyError: prometheus-client is missing.
    """
    try:
        from prometheus_client.exposition import choose_encoder

        from edge_detect.service.metrics.exporter import ServiceCollector
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"metrics need the package {error.name!r}, which is not installed",
            "pip install 'edge-detect[metrics]'",
        ) from error
    collector = ServiceCollector(service)
    kept: dict[str, tuple[int, bytes]] = {}

    async def metrics(request: Request) -> Response:
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
        except (TypeError, ValueError):
            # It stumbles over a version that is no number.
            encode, content_type = choose_encoder("")
        made_ns, body = kept.get(content_type, (0, b""))
        now_ns = monotonic_ns()
        if not made_ns or now_ns - made_ns >= _FRESH_NS:
            body = encode(collector)
            # One form at a time: a client chooses parts of the content type.
            kept.clear()
            kept[content_type] = (now_ns, body)
        return Response(body, headers={**_HEADERS, "Content-Type": content_type})

    gzip = Middleware(GZipMiddleware, minimum_size=1024, compresslevel=_COMPRESSION)
    return Starlette(routes=[Route("/metrics", metrics)], middleware=[gzip])


def _answer(report: dict[str, Any], *, well: bool) -> Response:
    return JSONResponse(report, 200 if well else 503, _HEADERS)
