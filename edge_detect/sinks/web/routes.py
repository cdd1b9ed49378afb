"""The pages and the HTTP interface."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from starlette.types import ASGIApp

from edge_detect.core import NS_PER_MS, NS_PER_S, PipelineStatus, monotonic_ns
from edge_detect.sinks.jsonl import format_result
from edge_detect.sinks.web.audience import Audience, AudienceFullError, Rendition, Viewer
from edge_detect.sinks.web.feed import Feed, FeedFullError
from edge_detect.sinks.web.gate import Gate
from edge_detect.sinks.web.reports import DetectionsReport, StateReport
from edge_detect.sinks.web.settings import WebSettings
from edge_detect.sinks.web.streams import EventStream, PictureStream, picture_headers

__all__ = ["Stage", "make_app"]

_VERSION = version("edge-detect")
_SNAPSHOT_S = 2.0
# However many ask, the pipeline is asked this often.
_STATE_NS = 100 * NS_PER_MS
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

Fps = Annotated[float | None, Query(gt=0, le=120, description="at most so many a second")]
Width = Annotated[
    int | None, Query(ge=64, le=8192, description="pixels; never larger than the picture")
]
Quality = Annotated[int, Query(ge=10, le=95, description="of the JPEG")]


@dataclass(slots=True, frozen=True)
class Stage:
    """What the pages show.

    Attributes:
        audience: Those who watch the picture.
        feed: Results, and those who hear of them.
        report: Gives the state of the pipeline.
    """

    audience: Audience
    feed: Feed
    report: Callable[[], PipelineStatus]


def make_app(settings: WebSettings, stage: Stage) -> ASGIApp:
    """The whole application, behind its gate."""
    app = FastAPI(
        title="edge-detect",
        version=_VERSION,
        summary="The live picture with its detections, and how the pipeline is doing.",
        docs_url=None,
        redoc_url=None,
    )
    _add_pages(app)
    _add_pictures(app, stage)
    _add_detections(app, stage.feed)
    _add_state(app, stage.report)
    return Gate(app, settings)


def _add_pages(app: FastAPI) -> None:
    folder = files("edge_detect.sinks.web") / "static"
    # In memory: reading them later would need a thread, and a disk that still answers.
    content = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    tags = {name: f'"{sha256(data).hexdigest()[:16]}"' for name, data in content.items()}

    async def page(request: Request) -> Response:
        name = {"/": "index.html", "/docs": "docs.html"}.get(request.url.path, "")
        name = name or request.path_params["name"]
        if name not in content:
            raise HTTPException(404, "There is no such file.")
        headers = {"ETag": tags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        media_type = _TYPES[name.rpartition(".")[2]]
        return Response(content[name], headers=headers, media_type=media_type)

    for path in ("/", "/docs", "/static/{name}"):
        app.add_route(path, page, include_in_schema=False)


def _add_pictures(app: FastAPI, stage: Stage) -> None:
    @app.get(
        "/stream.mjpg",
        response_class=Response,
        responses={
            200: {"content": {PictureStream.media_type: {}}, "description": "JPEGs without end."},
            503: {"description": "Too many are watching already."},
        },
        tags=["picture"],
    )
    async def stream(fps: Fps = None, width: Width = None, quality: Quality = 80) -> Response:
        """The live picture with boxes, as motion JPEG.

        Each part tells its `Content-Length` and the age of the capture and the boxes. A slow
        reader gets fewer pictures, never older ones.
        """
        viewer = _join(stage.audience, Rendition(width, quality), fps)
        return PictureStream(stage.audience, viewer)

    @app.get(
        "/snapshot.jpg",
        response_class=Response,
        responses={
            200: {"content": {"image/jpeg": {}}, "description": "A picture taken just now."},
            503: {"description": "No picture came within 2 s; the text says why."},
        },
        tags=["picture"],
    )
    async def snapshot(width: Width = None, quality: Quality = 92) -> Response:
        """The next picture with boxes, as JPEG; `X-Capture-Age-Ms` tells its age."""
        viewer = _join(stage.audience, Rendition(width, quality), None, passing=True)
        try:
            jpeg = await viewer.next(_SNAPSHOT_S)
        finally:
            stage.audience.leave(viewer)
        if jpeg is None:
            raise _busy(_why_no_picture(stage.report()))
        headers = picture_headers(jpeg)
        captured = time.time() - (monotonic_ns() - jpeg.captured_ns) / NS_PER_S
        name = time.strftime("edge-detect-%Y%m%d-%H%M%S.jpg", time.localtime(captured))
        headers["Last-Modified"] = formatdate(captured, usegmt=True)
        headers["Content-Disposition"] = f'inline; filename="{name}"'
        return Response(jpeg.data, headers=headers, media_type="image/jpeg")


def _add_detections(app: FastAPI, feed: Feed) -> None:
    @app.get(
        "/api/detections",
        response_model=DetectionsReport,
        responses={503: {"description": "Nothing has been detected in yet."}},
        tags=["detections"],
    )
    async def detections() -> Response:
        """What was found in the newest frame that was looked at."""
        if feed.newest is None:
            raise _busy("No frame has gone through the detector yet.")
        return Response(format_result(feed.newest), media_type="application/json")

    @app.get(
        "/api/detections/stream",
        response_class=Response,
        responses={
            200: {"content": {EventStream.media_type: {}}, "description": "Events without end."},
            503: {"description": "Too many are listening already."},
        },
        tags=["detections"],
    )
    async def events(fps: Fps = None) -> Response:
        """Server-sent events `detections`, one per detected frame.

        The data of each is what `/api/detections` answers; the id is the number of the frame.
        """
        try:
            return EventStream(feed, feed.join(fps))
        except FeedFullError as error:
            raise _busy(str(error)) from error


def _add_state(app: FastAPI, report: Callable[[], PipelineStatus]) -> None:
    kept = (0, b"")

    @app.get("/api/state", response_model=StateReport, tags=["state"])
    async def state() -> Response:
        """How camera, model, stages and outputs are doing."""
        nonlocal kept
        now_ns = monotonic_ns()
        if now_ns - kept[0] >= _STATE_NS:
            kept = (now_ns, _describe(report()))
        return Response(kept[1], media_type="application/json")


def _join(
    audience: Audience, rendition: Rendition, fps: float | None, *, passing: bool = False
) -> Viewer:
    try:
        return audience.join(rendition, fps, passing=passing)
    except AudienceFullError as error:
        raise _busy(str(error)) from error


def _describe(status: PipelineStatus) -> bytes:
    fields: dict[str, Any] = {
        name: getattr(status, name) for name in StateReport.model_fields if name != "version"
    }
    report = StateReport.model_validate({"version": _VERSION, **fields}, from_attributes=True)
    return report.model_dump_json().encode()


def _why_no_picture(status: PipelineStatus) -> str:
    source = status.source
    if source.state == "live":
        return f"No picture was made within {_SNAPSHOT_S:g} s, though the camera is live."
    reason = f": {source.reason}" if source.reason else ""
    return f"The camera is {source.state} for {source.for_s:.0f} s{reason}."


def _busy(text: str) -> HTTPException:
    return HTTPException(503, text, {"Retry-After": "2"})
