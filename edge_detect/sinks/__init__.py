"""Where results go: one registry from URL scheme to sink."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from edge_detect.core import SinkError
from edge_detect.core.url import Url, parse_url
from edge_detect.sinks.encoder import Encoders
from edge_detect.sinks.sink import Sink, StreamInfo

__all__ = ["SCHEMES", "Encoders", "Sink", "StreamInfo", "open_sink"]

# Scheme → module and function that opens it; imported when first used, as encoders load slowly.
SCHEMES = {
    "file": ("edge_detect.sinks.video", "open_video_sink"),
    "http": ("edge_detect.sinks.web", "open_web_sink"),
    "jsonl": ("edge_detect.sinks.jsonl", "open_jsonl_sink"),
    "mp4": ("edge_detect.sinks.recorder.sink", "open_recorder_sink"),
    "null": ("edge_detect.sinks.null", "open_null_sink"),
    "rtsp": ("edge_detect.sinks.rtsp.sink", "open_rtsp_sink"),
    "rtsp-push": ("edge_detect.sinks.push.sink", "open_push_sink"),
}
# What the ending of a bare path means.
_SUFFIXES = {".mp4": "file", ".m4v": "file", ".mov": "file", ".mkv": "file", ".jsonl": "jsonl"}

Factory = Callable[[Url], Sink]


def open_sink(url: str | Path) -> Sink:
    """Make a sink; files are created by its `open`, and overwrite older ones of that name.

    A bare `*.mp4`, `*.mkv` or `*.jsonl` path and `-` (JSON lines on standard output) are
    understood as well as URLs: `file:///out.mp4`, `jsonl:///out.jsonl`, `jsonl://-`, `null://`.
    `rtsp://[user:password@][address]:8554/live` serves an RTSP stream.
    `rtsp-push://[user:password@]host:8554/path` publishes the stream on another server.
    `mp4:///directory?segment=60s&keep=10GB` records, `&events=person` around events only.

    Raises:
        SinkError: No sink handles this URL or file ending.
        ConfigError: An option of the URL is misspelt.
    """
    parsed = parse_url(url)
    scheme = parsed.scheme
    if not scheme:
        path = parsed.location
        scheme = "jsonl" if path == "-" else _SUFFIXES.get(Path(path).suffix.lower(), "")
        if not scheme:
            raise SinkError(
                f"no sink handles {path!r}: unknown file ending {Path(path).suffix!r}",
                f"use one of {', '.join(_SUFFIXES)}, or - for JSON lines on standard output",
            )
    if scheme not in SCHEMES:
        raise SinkError(
            f"no sink handles {parsed.name!r}: unknown scheme {scheme!r}",
            f"use one of {', '.join(sorted(SCHEMES))}, e.g. file:///home/pi/out.mp4",
        )
    module, function = SCHEMES[scheme]
    factory = cast("Factory", getattr(import_module(module), function))
    return factory(parsed)
