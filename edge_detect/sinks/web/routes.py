"""The pages and the HTTP interface."""

import time
from collections.abc import Callable
from dataclasses import fields as fields_of
from email.utils import formatdate
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from edge_detect.core import NS_PER_MS, NS_PER_S, PipelineStatus, monotonic_ns
from edge_detect.sinks.jsonl import format_result
from edge_detect.sinks.web.audience import Audience, AudienceFullError, Rendition, Viewer
from edge_detect.sinks.web.feed import Feed, FeedFullError
from edge_detect.sinks.web.gate import Gate
from edge_detect.sinks.web.pages import add_pages, read_files
from edge_detect.sinks.web.reports import (
    ControlsChange,
    ControlsReport,
    DetectionsReport,
    StateReport,
)
from edge_detect.sinks.web.settings import WebSettings
from edge_detect.sinks.web.stage import Controls, Stage
from edge_detect.sinks.web.streams import EventStream, PictureStream, picture_headers
from edge_detect.sinks.web.timeouts import Timeouts

__all__ = ["VERSION", "make_app", "make_camera_app"]

VERSION = version("edge-detect")
READ_ONLY = "Nothing can be changed by everybody: give the page a password or a token."
# However many ask, the pipeline is asked this often.
_STATE_NS = 100 * NS_PER_MS

Fps = Annotated[float | None, Query(gt=0, le=120, description="at most so many a second")]
Width = Annotated[
    int | None, Query(ge=64, le=8192, description="pixels; never larger than the picture")
]
Quality = Annotated[int, Query(ge=10, le=95, description="of the JPEG")]


def make_app(settings: WebSettings, stage: Stage, timeouts: Timeouts) -> ASGIApp:
    """The page of one camera, behind its gate."""
    return Gate(make_camera_app(stage, timeouts), settings)


def make_camera_app(
    stage: Stage, timeouts: Timeouts | None = None, clock: Callable[[], int] = monotonic_ns
) -> FastAPI:
    """The page of one camera and its interface, without a gate; may be mounted anywhere.

    Args:
        stage: What the page shows.
        timeouts: How long pictures and results are waited for.
        clock: Gives the time in nanoseconds.
    """
    timeouts = timeouts or Timeouts()
    app = FastAPI(
        title="edge-detect",
        version=VERSION,
        summary="The live picture with its detections, and how the pipeline is doing.",
        docs_url=None,
        redoc_url=None,
    )
    pages = {"/": "index.html", "/docs": "docs.html"}
    add_pages(app, read_files("edge_detect.sinks.web"), pages)
    _add_pictures(app, stage, timeouts.snapshot_s)
    _add_detections(app, stage.feed, timeouts.silence_s)
    state = _add_state(app, stage, clock)
    if stage.controls is not None:
        _add_controls(app, stage.controls, state)
    return app


def _add_pictures(app: FastAPI, stage: Stage, snapshot_s: float) -> None:
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
            503: {"description": f"No picture came within {snapshot_s:g} s; the text says why."},
        },
        tags=["picture"],
    )
    async def snapshot(width: Width = None, quality: Quality = 92) -> Response:
        """The next picture with boxes, as JPEG; `X-Capture-Age-Ms` tells its age."""
        viewer = _join(stage.audience, Rendition(width, quality), None, passing=True)
        try:
            jpeg = await viewer.next(snapshot_s)
        finally:
            stage.audience.leave(viewer)
        if jpeg is None:
            raise _busy(_why_no_picture(stage.report(), snapshot_s))
        now_ns = monotonic_ns()
        headers = picture_headers(jpeg, now_ns)
        captured = time.time() - (now_ns - jpeg.captured_ns) / NS_PER_S
        name = time.strftime("edge-detect-%Y%m%d-%H%M%S.jpg", time.localtime(captured))
        headers["Last-Modified"] = formatdate(captured, usegmt=True)
        headers["Content-Disposition"] = f'inline; filename="{name}"'
        return Response(jpeg.data, headers=headers, media_type="image/jpeg")


def _add_detections(app: FastAPI, feed: Feed, silence_s: float) -> None:
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
            return EventStream(feed, feed.join(fps), silence_s)
        except FeedFullError as error:
            raise _busy(str(error)) from error


def _add_state(app: FastAPI, stage: Stage, clock: Callable[[], int]) -> Callable[[], None]:
    """Tell the state; returns what has the next answer asked for anew."""
    kept: tuple[int, bytes] | None = None

    def forget() -> None:
        nonlocal kept
        kept = None

    @app.get("/api/state", response_model=StateReport, tags=["state"])
    async def state() -> Response:
        """How camera, model, stages and outputs are doing."""
        nonlocal kept
        now_ns = clock()
        if kept is None or now_ns - kept[0] >= _STATE_NS:
            kept = (now_ns, _describe(stage))
        return Response(kept[1], media_type="application/json")

    return forget


def _add_controls(app: FastAPI, controls: Controls, forget_state: Callable[[], None]) -> None:
    @app.exception_handler(RequestValidationError)
    async def explain(_request: Request, error: RequestValidationError) -> Response:
        # Without what was given: an answer in JSON cannot repeat a NaN.
        told = [{key: each[key] for key in ("type", "loc", "msg")} for each in error.errors()]
        return JSONResponse({"detail": told}, 422)

    @app.put(
        "/api/controls",
        responses={403: {"description": "Whoever asks has not given a password or token."}},
        tags=["state"],
    )
    async def change(wanted: ControlsChange) -> ControlsReport:
        """Switch detection on or off, or change the least score, until the program ends.

        What is left out stays as it is.
        """
        if not controls.changeable:
            raise HTTPException(403, READ_ONLY)
        if wanted.score_threshold is not None:
            controls.set_score_threshold(wanted.score_threshold)
        if wanted.enabled is not None:
            controls.set_enabled(wanted.enabled)
        forget_state()
        return ControlsReport.model_validate(controls)


def _join(
    audience: Audience, rendition: Rendition, fps: float | None, *, passing: bool = False
) -> Viewer:
    try:
        return audience.join(rendition, fps, passing=passing)
    except AudienceFullError as error:
        raise _busy(str(error)) from error


def _describe(stage: Stage) -> bytes:
    status, controls = stage.report(), stage.controls
    fields: dict[str, Any] = {
        field.name: getattr(status, field.name) for field in fields_of(status)
    }
    report = StateReport.model_validate(
        {"version": VERSION, "camera": stage.camera, "controls": controls, **fields},
        from_attributes=True,
    )
    return report.model_dump_json().encode()


def _why_no_picture(status: PipelineStatus, waited_s: float) -> str:
    source = status.source
    if source.state == "live":
        return f"No picture was made within {waited_s:g} s, though the camera is live."
    reason = f": {source.reason}" if source.reason else ""
    return f"The camera is {source.state} for {source.for_s:.0f} s{reason}."


def _busy(text: str) -> HTTPException:
    return HTTPException(503, text, {"Retry-After": "2"})
