"""One JSON object per detected frame and line."""

import json
import os
import sys
from pathlib import Path

from edge_detect.core import NS_PER_MS, Result, SinkError
from edge_detect.core.serialize import detection_fields
from edge_detect.core.url import Url
from edge_detect.sinks.files import cannot_write, make_parent
from edge_detect.sinks.sink import Sink, StreamInfo

__all__ = ["JsonLinesSink", "format_result", "open_jsonl_sink"]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def format_result(result: Result) -> str:
    """One result as one line of JSON, without the line feed.

    Boxes are rounded to a tenth of a pixel, scores to four digits, times to a microsecond.
    """
    frame, timings = result.frame, result.timings
    height, width = frame.image.shape[:2]
    return _encode(
        {
            "sequence": frame.sequence,
            "source": frame.source,
            "captured_ns": frame.captured_ns,
            "media_ms": round(frame.media_ns / NS_PER_MS, 3),
            "width": width,
            "height": height,
            "detections": [
                {
                    **detection_fields(found, digits=1),
                    **({"zones": list(found.zones)} if result.detections.zones else {}),
                }
                for found in result.detections
            ],
            "timings_ms": {
                "preprocess": round(timings.preprocess_ns / NS_PER_MS, 3),
                "invoke": round(timings.invoke_ns / NS_PER_MS, 3),
                "postprocess": round(timings.postprocess_ns / NS_PER_MS, 3),
                "capture_to_detect": round(result.capture_to_detect_ns / NS_PER_MS, 3),
            },
        }
    )


class JsonLinesSink(Sink):
    """Writes JSON lines to a file or to standard output.

    Every line goes out by its own write call, so a process that is killed leaves whole
    lines only, and whoever follows the file sees each result at once.

    Args:
        path: The file; it is overwritten. None stands for standard output.
    """

    takes_results = True
    writes_file = True

    def __init__(self, path: Path | None) -> None:
        self.name = "-" if path is None else str(path)
        self._path = path
        self._file = -1

    def open(self, stream: StreamInfo) -> None:  # noqa: ARG002
        """Create the file, and its directory where it is missing.

        Raises:
            SinkError: Directory or file cannot be created.
        """
        if self._path is None:
            sys.stdout.flush()
            self._file = os.dup(1)
            return
        make_parent(self._path)
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def write_result(self, result: Result) -> None:
        """Write one line.

        Raises:
            SinkError: The disk is full, the reader of the pipe has gone, or the like.
        """
        line = memoryview((format_result(result) + "\n").encode())
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def close(self) -> None:
        """Close the file; standard output itself stays open."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def open_jsonl_sink(url: Url) -> JsonLinesSink:
    """Open `jsonl:///path`, `jsonl://-` or a bare path.

    Raises:
        SinkError: The URL has no path.
        ConfigError: An option is misspelt.
    """
    url.check_options()
    if not url.location:
        raise SinkError(
            f"{url.name!r} names no file", "use jsonl:///path/to/out.jsonl or jsonl://-"
        )
    return JsonLinesSink(None if url.location == "-" else Path(url.location))
