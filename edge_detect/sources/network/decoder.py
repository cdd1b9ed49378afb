"""Pictures of an open network stream, each as soon as its last byte is there."""

from typing import NamedTuple, cast

import av
import av.container
import av.error
from av.codec.context import Flags

from edge_detect.core import NS_PER_S, SourceError, monotonic_ns
from edge_detect.sources.network.address import StreamAddress
from edge_detect.sources.network.clock import ArrivalClock, Backlog
from edge_detect.sources.network.damage import Damage
from edge_detect.sources.network.errors import disconnected, no_answer, nothing_decodable

__all__ = ["ReceivedPicture", "StreamDecoder"]

# Cameras may have a key frame every ten seconds only, and pictures begin with one.
_LONGEST_UNDECODABLE_S = 15.0
# For these formats FFmpeg makes time stamps up, from a nominal rate.
_WITHOUT_CLOCK = {"mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc", "m4v"}
_SLOWEST_FPS, _FASTEST_FPS = 0.5, 240.0
# The duration in a file's head and the time of its last picture differ a little.
_END_SLACK_S = 1.0


class ReceivedPicture(NamedTuple):
    """A decoded picture.

    Attributes:
        picture: As decoded.
        captured_ns: CLOCK_MONOTONIC when it was taken, as far as the stream tells, or came.
        sequence: Number among the decoded pictures, from 0.
        position_ns: On the stream's own time line, from its first picture; 0 where there is
            no such line.
        fps: Nominal rate of the stream; None where it does not tell.
    """

    picture: av.VideoFrame
    captured_ns: int
    sequence: int
    position_ns: int
    fps: float | None


class StreamDecoder:
    """Receives the packets of a stream and decodes them in the same thread.

    More threads would hold back a picture each, or help only where cameras cut pictures into
    slices. One decodes 1080p at 30 fps on a Raspberry Pi 4.

    Args:
        container: Open; it remains the caller's to close.
        address: Where it came from.

    Attributes:
        recording: Whether it is a file with a known end, which comes as fast as it is read.

    Raises:
        SourceError: It holds no video.
    """

    def __init__(self, container: av.container.InputContainer, address: StreamAddress) -> None:
        self._address = address
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            raise SourceError(
                f"{address.name} holds no video", "check the path after the host", transient=True
            )
        self._stream = stream
        codec = stream.codec_context
        codec.thread_type, codec.thread_count = "NONE", 1
        codec.flags |= Flags.low_delay
        self._packets = container.demux()
        self._duration_s = max(0, container.duration or 0) / av.time_base
        self.recording = self._duration_s > 0
        self._has_clock = container.format.name not in _WITHOUT_CLOCK
        self._clock = ArrivalClock(round(address.read_s * NS_PER_S))
        self._backlog = Backlog()
        self._damage = Damage()
        self._undecodable_s = max(_LONGEST_UNDECODABLE_S, 2 * address.read_s)
        self._last_picture_ns = monotonic_ns()
        self._sequence = 0
        self._first_ns: int | None = None
        self._position_ns = 0

    def receive(self) -> list[ReceivedPicture] | None:
        """Wait for one packet.

        Returns:
            The pictures that it completes, mostly one; None at the end of a recording.

        Raises:
            SourceError: A live stream ended or fell silent, or nothing in it can be decoded.
            av.error.FFmpegError: It broke off.
        """
        asked_ns = monotonic_ns()
        packet = next(self._packets, None)
        arrived_ns = monotonic_ns()
        # Empty packets follow the last one; what they flush out is no longer live.
        if packet is None or packet.size == 0:
            if self.recording and self._position_ns > (self._duration_s - _END_SLACK_S) * NS_PER_S:
                return None
            raise disconnected(self._address)
        if arrived_ns - asked_ns >= self._address.read_s * NS_PER_S:
            # When the time is over, FFmpeg first hands out what its parser had held back.
            raise no_answer(self._address, connected=True)
        if arrived_ns - self._last_picture_ns > self._undecodable_s * NS_PER_S:
            raise nothing_decodable(self._address, self._undecodable_s)
        if packet.stream_index != self._stream.index:
            return []
        if not self.recording and self._backlog.leave_out(
            asked_ns, arrived_ns, key=packet.is_keyframe
        ):
            return []
        if packet.is_corrupt:
            self._damage.note(arrived_ns)
        try:
            pictures = cast("av.Packet[av.VideoStream]", packet).decode()
        except av.error.FFmpegError:
            self._damage.note(arrived_ns)
            return []
        if pictures:
            self._last_picture_ns = arrived_ns
        return [
            self._describe(picture, arrived_ns)
            for picture in pictures
            if not self._damage.hides(
                arrived_ns, corrupt=picture.is_corrupt, key=bool(picture.key_frame)
            )
        ]

    def _describe(self, picture: av.VideoFrame, arrived_ns: int) -> ReceivedPicture:
        stamp_ns = self._stamp_ns(picture)
        if stamp_ns is not None:
            if self._first_ns is None:
                self._first_ns = stamp_ns
            self._position_ns = stamp_ns - self._first_ns
        captured_ns = self._clock.captured_ns(arrived_ns, stamp_ns)
        sequence = self._sequence
        self._sequence += 1
        return ReceivedPicture(picture, captured_ns, sequence, self._position_ns, self._fps())

    def _stamp_ns(self, picture: av.VideoFrame) -> int | None:
        pts, base = picture.pts, picture.time_base
        if not self._has_clock or pts is None or base is None:
            return None
        return pts * base.numerator * NS_PER_S // base.denominator

    def _fps(self) -> float | None:
        # Not `guessed_rate`: for MPEG-TS that is the rate of fields.
        rate = self._stream.average_rate or self._stream.codec_context.framerate
        if not self._has_clock or not rate or not _SLOWEST_FPS <= rate <= _FASTEST_FPS:
            return None
        return float(rate)
