"""The way of encoded pictures into one GStreamer pipeline."""

import logging
from collections.abc import Callable
from typing import Any

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.sinks.encoder import EncodedPicture
from edge_detect.sinks.rtsp.system import RtspLibraries

__all__ = ["LAUNCH", "Feed"]

_log = logging.getLogger(__name__)
# Pictures leave the encoder as RTP wants them, with parameter sets in every key frame, so
# that no parser is needed between.
LAUNCH = (
    "( appsrc name=video is-live=true format=time block=false"
    " caps=video/x-h264,stream-format=byte-stream,alignment=au"
    " ! rtph264pay name=pay0 pt=96 config-interval=0 )"
)
# More pictures waiting than this means that the pipeline stands still. They leave in no
# time when it goes on.
_MOST_WAITING = 30
# The pipeline's time line begins this long before the pipeline, or with the clock, so that
# pictures taken just before it have a place on it.
_HEAD_START_NS = 10 * NS_PER_S


class Feed:
    """Pushes encoded pictures into one media, stamped with their time of capture.

    While the pipeline stands still (it does between a client's first request and its PLAY),
    pictures are left out up to the next key frame, so that delay never builds up.

    Args:
        libraries: GStreamer.
        media: A GstRTSPMedia made of `LAUNCH`, not yet prepared.
        encoded: Called with `captured_ns` for each picture that came from the encoder.
        clock_ns: CLOCK_MONOTONIC, in nanoseconds.

    Attributes:
        dropped: Pictures left out.
    """

    def __init__(
        self,
        libraries: RtspLibraries,
        media: Any,
        encoded: Callable[[int], None],
        clock_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._libraries = libraries
        self._encoded = encoded
        element = media.get_element()
        self._source = element.get_by_name("video")
        # The clock is CLOCK_MONOTONIC, as that of the frames. A base time of our own makes
        # the difference between the two time lines known before the first picture.
        pipeline = element.get_parent()
        self._clock_ns = clock_ns
        self._began_ns = clock_ns()
        # GStreamer's times are unsigned, and the clock begins with the computer.
        self._base_ns = max(0, self._began_ns - _HEAD_START_NS)
        pipeline.set_start_time(libraries.Gst.CLOCK_TIME_NONE)
        pipeline.set_base_time(self._base_ns)
        self._last_ns = -1
        # An encoder that others use already is somewhere between two key frames. The first
        # picture also tells what the stream's description says.
        self._skipping = True
        self.dropped = 0

    def push(self, encoded: EncodedPicture) -> None:
        """Hand one picture to the pipeline; never waits."""
        captured_ns = encoded.picture.frame.captured_ns
        self._encoded(captured_ns)
        pts_ns = captured_ns - self._base_ns
        if self._leaves_out(encoded, pts_ns):
            self.dropped += self._last_ns >= 0
            return
        self._last_ns = pts_ns
        gst = self._libraries.Gst
        buffer = gst.Buffer.new_wrapped(encoded.data)
        buffer.pts = buffer.dts = pts_ns
        if not encoded.key:
            buffer.set_flags(gst.BufferFlags.DELTA_UNIT)
        self._source.emit("push-buffer", buffer)

    def check(self, patience_s: float) -> None:
        """Fail when the first picture is overdue.

        Args:
            patience_s: Time allowed from the construction on.
        """
        if self._clock_ns() - self._began_ns > patience_s * NS_PER_S:
            self.fail()

    def fail(self) -> None:
        """Have the client that waits for the first picture answered with 503, if one does."""
        if self._last_ns >= 0:
            return
        gst, glib = self._libraries.Gst, self._libraries.GLib
        error = glib.Error.new_literal(gst.StreamError.quark(), "no picture came", 1)
        self._source.post_message(gst.Message.new_error(self._source, error, ""))

    def _leaves_out(self, encoded: EncodedPicture, pts_ns: int) -> bool:
        """Whether the picture has to be left out."""
        waiting = self._source.get_property("current-level-buffers")
        # GStreamer's server aborts the process (an assertion on the queues of slow clients)
        # when time ever goes backwards.
        crowded = waiting >= _MOST_WAITING or pts_ns <= self._last_ns
        if crowded and not self._skipping:
            _log.debug("the RTSP pipeline stands still; waiting for the next key frame")
        self._skipping = crowded or (self._skipping and not encoded.key)
        return self._skipping
