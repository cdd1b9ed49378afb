"""A viewer that reads the clock in the pictures it gets: the far end of `edge-detect latency`.

It runs as a process of its own, as viewers do, and prints two numbers a line for each picture:
CLOCK_MONOTONIC in nanoseconds when the picture was taken (0 where its clock cannot be read)
and when it had arrived as pixels. The clock is the same for all processes of a computer.
"""

import argparse
import re
import signal
import sys
from collections.abc import Iterator

import numpy as np

from edge_detect.core import DependencyError, EdgeDetectError, Image, Size, monotonic_ns
from edge_detect.core.burned_clock import read_clock
from edge_detect.sources import open_source

__all__ = ["main"]

# Whoever started the client has long given up when nothing came for so long.
_SILENCE_NS = 10_000_000_000
_LAUNCH = (
    "rtspsrc location={url} latency=0 protocols=tcp ! rtph264depay ! h264parse ! {decoder}"
    " ! videoconvert ! video/x-raw,format=BGR"
    " ! appsink name=sink max-buffers=1 drop=true sync=false"
)
# The first of them that is installed decodes.
_DECODERS = ("avdec_h264", "openh264dec")


def main() -> int:
    """Read `URL` with this project's own client, or with GStreamer, until it is ended."""
    parser = argparse.ArgumentParser(prog="latency_client")
    parser.add_argument("url")
    parser.add_argument("--client", choices=["own", "gstreamer"], default="own")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pictures = _own(arguments.url) if arguments.client == "own" else _gstreamer(arguments.url)
    try:
        for image in pictures:
            now_ns = monotonic_ns()
            sys.stdout.write(f"{read_clock(image, now_ns) or 0} {now_ns}\n")
            sys.stdout.flush()
    except EdgeDetectError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _own(url: str) -> Iterator[Image]:
    with open_source(url) as source:
        while (frame := source.read()) is not None:
            yield frame.image


def _gstreamer(url: str) -> Iterator[Image]:
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        raise DependencyError(
            "GStreamer is not there",
            "sudo apt install --no-install-recommends python3-gst-1.0",
        ) from error
    Gst.init(None)
    decoder = next((name for name in _DECODERS if Gst.ElementFactory.find(name)), None)
    if decoder is None:
        raise DependencyError(
            "GStreamer has no H.264 decoder", "sudo apt install gstreamer1.0-plugins-bad"
        )
    pipeline = Gst.parse_launch(_LAUNCH.format(url=url, decoder=decoder))
    sink = pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    try:
        while (sample := sink.emit("try-pull-sample", _SILENCE_NS)) is not None:
            width, height = _size_in(sample.get_caps().to_string())
            buffer = sample.get_buffer()
            taken, view = buffer.map(Gst.MapFlags.READ)
            if taken:
                rows = np.frombuffer(view.data, np.uint8).reshape(height, -1)
                yield rows[:, : width * 3].reshape(height, width, 3)
                buffer.unmap(view)
    finally:
        pipeline.set_state(Gst.State.NULL)


def _size_in(caps: str) -> Size:
    """Width and height; structures themselves have other methods since GStreamer 1.26."""
    found = dict(re.findall(r"\b(width|height)=\(int\)(\d+)", caps))
    return Size(int(found["width"]), int(found["height"]))


if __name__ == "__main__":
    sys.exit(main())
