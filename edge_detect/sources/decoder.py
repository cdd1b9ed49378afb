"""Decoding one video file from its beginning to its end."""

from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import av.logging

from edge_detect.core import NS_PER_S, Image, SourceError
from edge_detect.sources.pixels import BgrConverter

__all__ = ["DecodedImage", "VideoDecoder"]

_HINT = "use a video file that FFmpeg can decode, such as H.264 in MP4"
# Rate of the time line of files that tell no rate.
_FALLBACK_FPS = 25.0
# One decoder thread gives 720p at 1500 fps on a desktop core and leaves the other cores to
# the detector, and more threads cost more CPU in sum; pictures above 1080p get a second one.
_ONE_THREAD_PIXELS = 1920 * 1088


class DecodedImage(NamedTuple):
    """A picture and its position on the file's time line, in nanoseconds from the first one."""

    image: Image
    position_ns: int


class VideoDecoder:
    """One pass over a video file.

    Positions follow the file's own timestamps, so variable rates are kept; pictures without
    timestamps, or with ones that run backwards, follow at the nominal rate. A damaged or
    truncated file gives what can be decoded of it.

    Args:
        path: The file.
        converter: What makes images of the pictures.

    Attributes:
        fps: Nominal rate; None if the file tells none.
        end_ns: Where a picture after the last one given would lie.

    Raises:
        SourceError: The file cannot be read or holds no video; names the file.
    """

    def __init__(self, path: Path, converter: BgrConverter) -> None:
        self._path = path
        self._converter = converter
        _check_readable(path)
        # Everything that FFmpeg would print is either in our errors or of no use to anybody.
        av.logging.set_level(av.logging.PANIC)
        try:
            self._container = av.open(str(path))
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{path} is not a video that can be read", _HINT) from error
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"{path} holds no video stream", _HINT)
        self._stream = self._container.streams.video[0]
        codec = self._stream.codec_context
        large = codec.width * codec.height > _ONE_THREAD_PIXELS
        codec.thread_type = "FRAME" if large else "NONE"
        codec.thread_count = 2 if large else 1
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else None
        self._step_ns = round(NS_PER_S / (self.fps or _FALLBACK_FPS))
        self.end_ns = 0
        self._first_pts: int | None = None
        self._rotation = 0
        self._pictures = self._decode()

    def read(self) -> DecodedImage | None:
        """The next picture; None at the end."""
        picture = next(self._pictures, None)
        if picture is None:
            return None
        first = self.end_ns == 0
        position = self._position(picture, first=first)
        if first:
            self._rotation = picture.rotation
        self.end_ns = position + self._step_ns
        return DecodedImage(self._converter.convert(picture, self._rotation), position)

    def close(self) -> None:
        """Let go of the file; not while `read` is at work in another thread."""
        self._pictures.close()
        self._container.close()

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                # A damaged packet; the decoder finds its way back at the next key frame.
                continue

    def _position(self, picture: av.VideoFrame, *, first: bool) -> int:
        pts, base = picture.pts, picture.time_base
        if pts is None or base is None:
            return self.end_ns
        if self._first_pts is None:
            self._first_pts = pts - round(self.end_ns / NS_PER_S / base)
        position = (pts - self._first_pts) * base.numerator * NS_PER_S // base.denominator
        running_on = first or position > self.end_ns - self._step_ns
        return position if running_on else self.end_ns


def _check_readable(path: Path) -> None:
    """Say what is wrong with a path, in the words of the system and not of a codec library."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror}", "check the path and its permissions"
        ) from error
    if empty:
        raise SourceError(f"{path} is empty", _HINT)
