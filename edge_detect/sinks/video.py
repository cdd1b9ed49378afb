"""Annotated video files."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import av.logging
import av.video

from edge_detect.core import NS_PER_S, Picture, SinkError, Size
from edge_detect.core.url import Url
from edge_detect.sinks.files import cannot_write, make_parent
from edge_detect.sinks.sink import Sink, StreamInfo
from edge_detect.sinks.yuv import TICKS_PER_S, YuvPicture, even_size, tag_colors

__all__ = ["VideoSink", "open_video_sink"]

_FALLBACK_FPS = 25.0
# Measured on 720p street video, one thread: ultrafast 2.5 ms a frame, superfast 4.9 ms and a
# fifth smaller, veryfast 8.1 ms and half the size. The detector needs the time more.
_ENCODER = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "threads": "1"}
# Fragments of a second, written at once, make a file that plays when the process is killed.
_MUXER = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_FORMATS = {".mkv": "matroska", ".mov": "mov"}


class VideoSink(Sink):
    """Encodes annotated pictures as H.264 in MP4, MOV or Matroska.

    Pictures keep their distances on the source's time line, so the video runs at the right
    speed when frames were dropped. It has the size of the first picture, made even by
    repeating the last row or column; pictures of other sizes are fitted into it with black
    bars. A file cut short, because the process was killed, plays up to its last second.

    Args:
        path: The file; it is overwritten.
    """

    takes_pictures = True
    writes_file = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._container: av.container.OutputContainer | None = None
        self._yuv: YuvPicture | None = None
        self._encoded: Callable[[int], None] | None = None
        self._first_ns = 0
        self._last_pts = -1

    def open(self, stream: StreamInfo) -> None:
        """Create the file, and its directory where it is missing.

        Raises:
            SinkError: It cannot be created.
        """
        make_parent(self._path)
        self._encoded = stream.encoded
        self._fps = stream.fps or _FALLBACK_FPS
        av.logging.set_level(av.logging.PANIC)
        container_format = _FORMATS.get(self._path.suffix.lower(), "mp4")
        muxer = {"flush_packets": "1"} if container_format == "matroska" else _MUXER
        try:
            # The system says better than FFmpeg why a file cannot be created.
            self._path.open("wb").close()
            self._container = av.open(
                self.name, "w", format=container_format, container_options=muxer
            )
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def write_picture(self, picture: Picture) -> None:
        """Encode one picture.

        Raises:
            SinkError: The disk is full or the like.
        """
        if self._container is None:
            raise ValueError("write_picture needs open before it")
        if self._yuv is None:
            self._yuv = YuvPicture(even_size(picture.size))
            self._stream = self._add_stream(self._container, self._yuv.size)
            self._first_ns = picture.frame.media_ns
        self._yuv.fill(picture.image)
        elapsed = (picture.frame.media_ns - self._first_ns) * TICKS_PER_S // NS_PER_S
        self._last_pts = max(elapsed, self._last_pts + 1)
        self._yuv.frame.pts = self._last_pts
        try:
            self._container.mux(self._stream.encode(self._yuv.frame))
        except OSError as error:
            raise cannot_write(self.name, error) from error
        if self._encoded is not None:
            self._encoded(picture.frame.captured_ns)

    def close(self) -> None:
        """Write the end of the file.

        Raises:
            SinkError: The disk is full or the like.
        """
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._last_pts >= 0:
                container.mux(self._stream.encode(None))
        except OSError as error:
            raise cannot_write(self.name, error) from error
        finally:
            _finish(container, self.name)

    def _add_stream(
        self, container: av.container.OutputContainer, size: Size
    ) -> av.video.VideoStream:
        rate = Fraction(self._fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=dict(_ENCODER))
        codec = stream.codec_context
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = codec.time_base = Fraction(1, TICKS_PER_S)
        codec.gop_size = max(1, round(self._fps))
        tag_colors(codec)
        return stream


def open_video_sink(url: Url) -> VideoSink:
    """Open `file:///out.mp4` or a bare path that ends in .mp4, .m4v, .mov or .mkv.

    Raises:
        SinkError: The URL has no path.
        ConfigError: An option is misspelt.
    """
    url.check_options()
    if not url.location:
        raise SinkError(f"{url.name!r} names no file", "use file:///path/to/out.mp4")
    return VideoSink(Path(url.location))


def _finish(container: av.container.OutputContainer, name: str) -> None:
    try:
        container.close()
    except OSError as error:
        raise cannot_write(name, error) from error
