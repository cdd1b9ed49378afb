"""Answers without an end: pictures as MJPEG, results as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge_detect.core import NS_PER_MS, monotonic_ns
from edge_detect.sinks.web.audience import Audience, Jpeg, Viewer
from edge_detect.sinks.web.feed import Feed, Listener

__all__ = ["EventStream", "PictureStream", "picture_headers"]

_BOUNDARY = "edge-detect-picture"
_WAIT_S = 5.0
_RETRY_MS = 2000


def picture_headers(jpeg: Jpeg, now_ns: int) -> dict[str, str]:
    """What is said about a picture: how old it and its boxes are at a time, and its size."""
    age_ms = (now_ns - jpeg.captured_ns) / NS_PER_MS
    return {
        "X-Capture-Age-Ms": f"{age_ms:.1f}",
        "X-Boxes-Age-Ms": f"{jpeg.boxes_age_ns / NS_PER_MS:.1f}",
        "X-Size": str(jpeg.size),
    }


class PictureStream(Response):
    """One picture after another, each in place of the last.

    Args:
        audience: Which the viewer leaves at the end.
        viewer: Where the pictures come from.
    """

    media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"

    def __init__(self, audience: Audience, viewer: Viewer) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._audience = audience
        self._viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send pictures until either side has had enough."""
        del scope
        viewer = self._viewer
        try:
            async with _until_disconnect(receive, viewer):
                await _begin(self, send)
                await _send(send, f"--{_BOUNDARY}\r\n".encode())
                while not viewer.ended:
                    jpeg = await viewer.next(_WAIT_S)
                    if jpeg is not None:
                        await _send(send, _part(jpeg, monotonic_ns()))
                await _end(send)
        finally:
            self._audience.leave(viewer)


class EventStream(Response):
    """One event per result.

    Args:
        feed: Which the listener leaves at the end.
        listener: Where the results come from.
        silence_s: Without a result for so long, a comment is sent.
    """

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, listener: Listener, silence_s: float) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._feed = feed
        self._listener = listener
        self._silence_s = silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until either side has had enough."""
        del scope
        listener = self._listener
        try:
            async with _until_disconnect(receive, listener):
                await _begin(self, send)
                await _send(send, f"retry: {_RETRY_MS}\n\n".encode())
                while not listener.ended:
                    event = await listener.next(self._silence_s)
                    text = ": nothing new\n\n"
                    if event is not None:
                        text = f"id: {event[0]}\nevent: detections\ndata: {event[1]}\n\n"
                    if not listener.ended:
                        await _send(send, text.encode())
                await _end(send)
        finally:
            self._feed.leave(listener)


def _part(jpeg: Jpeg, now_ns: int) -> bytes:
    headers = {
        "Content-Type": "image/jpeg",
        "Content-Length": str(len(jpeg.data)),
        **picture_headers(jpeg, now_ns),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    # The boundary that begins the next part ends this one: browsers show a picture when they
    # see it, so it must not wait for the next picture.
    return b"".join((head.encode(), b"\r\n", jpeg.data, f"\r\n--{_BOUNDARY}\r\n".encode()))


async def _begin(response: Response, send: Send) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": response.raw_headers}
    await send(start)


async def _send(send: Send, data: bytes) -> None:
    """Send, and return when the kernel has taken everything."""
    await send({"type": "http.response.body", "body": data, "more_body": True})
    # uvicorn waits for earlier data before it sends, not after. An empty send only waits.
    await send({"type": "http.response.body", "body": b"", "more_body": True})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def _until_disconnect(receive: Receive, waiter: Viewer | Listener) -> AsyncIterator[None]:
    """End the waiter as soon as the client has gone."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        waiter.end()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
