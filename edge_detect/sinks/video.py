"""Annotated video files."""

from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import av.logging
import av.video
import av.video.plane
import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import NS_PER_S, Image, Letterbox, Result, SinkError, Size
from edge_detect.core.url import Url
from edge_detect.sinks.files import cannot_write, make_parent
from edge_detect.sinks.sink import Sink

__all__ = ["VideoSink", "open_video_sink"]

# The clock of MPEG: a frame lasts a whole number of its ticks at all usual rates.
_TICKS_PER_S = 90_000
_FALLBACK_FPS = 25.0
# Measured on 720p street video, one thread: ultrafast 2.5 ms a frame, superfast 4.9 ms and a
# fifth smaller, veryfast 8.1 ms and half the size. The detector needs the time more.
_ENCODER = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "threads": "1"}
# Fragments of a second, written at once, make a file that plays when the process is killed.
_MUXER = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_FORMATS = {".mkv": "matroska", ".mov": "mov"}
# AVCOL_SPC_SMPTE170M and AVCOL_RANGE_MPEG, which is what OpenCV's conversion makes.
_BT601, _LIMITED_RANGE = 6, 1


class VideoSink(Sink):
    """Encodes annotated pictures as H.264 in MP4, MOV or Matroska.

    Pictures keep their distances on the source's time line, so the video runs at the right
    speed when frames were dropped. It has the size of the first picture, made even by
    repeating the last row or column; pictures of other sizes are fitted into it with black
    bars. A file cut short, because the process was killed, plays up to its last second.

    Args:
        path: The file; it is overwritten.
    """

    wants_picture = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._container: av.container.OutputContainer | None = None
        self._first_ns = 0
        self._last_pts = -1

    def open(self, size: Size, fps: float | None) -> None:
        """Create the file, and its directory where it is missing.

        Args:
            size: Of the video.
            fps: Nominal rate; the distance of key frames follows from it.

        Raises:
            SinkError: It cannot be created.
        """
        make_parent(self._path)
        self._size = Size(size.width + size.width % 2, size.height + size.height % 2)
        width, height = self._size
        self._yuv = np.empty((height * 3 // 2, width), np.uint8)
        self._frame = av.VideoFrame(width, height, "yuv420p")
        self._frame.time_base = Fraction(1, _TICKS_PER_S)
        self._planes = [_as_array(plane) for plane in self._frame.planes]
        self._canvas = np.zeros((height, width, 3), np.uint8)
        av.logging.set_level(av.logging.PANIC)
        container_format = _FORMATS.get(self._path.suffix.lower(), "mp4")
        muxer = {"flush_packets": "1"} if container_format == "matroska" else _MUXER
        try:
            # The system says better than FFmpeg why a file cannot be created.
            self._path.open("wb").close()
            self._container = av.open(
                self.name, "w", format=container_format, container_options=muxer
            )
            self._stream = self._add_stream(self._container, fps or _FALLBACK_FPS)
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def write(self, result: Result, picture: Image | None) -> None:
        """Encode one picture.

        Raises:
            SinkError: The disk is full or the like.
        """
        if self._container is None or picture is None:
            raise ValueError("write needs a picture, and open before it")
        cv2.cvtColor(self._fit(picture), cv2.COLOR_BGR2YUV_I420, dst=self._yuv)
        self._fill_frame()
        if self._last_pts < 0:
            self._first_ns = result.frame.media_ns
        elapsed = (result.frame.media_ns - self._first_ns) * _TICKS_PER_S // NS_PER_S
        self._last_pts = max(elapsed, self._last_pts + 1)
        self._frame.pts = self._last_pts
        try:
            self._container.mux(self._stream.encode(self._frame))
        except OSError as error:
            raise cannot_write(self.name, error) from error

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
        self, container: av.container.OutputContainer, fps: float
    ) -> av.video.VideoStream:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=dict(_ENCODER))
        codec = stream.codec_context
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.time_base = codec.time_base = Fraction(1, _TICKS_PER_S)
        codec.gop_size = max(1, round(fps))
        codec.colorspace, codec.color_range = _BT601, _LIMITED_RANGE
        return stream

    def _fill_frame(self) -> None:
        """Copy the converted picture into the one frame that the encoder is given.

        The encoder copies what it keeps. `VideoFrame.from_numpy_buffer` would save the
        0.04 ms of this copy, but misplaces the colours unless the height divides by four.
        """
        luma = self._size.width * self._size.height
        flat = self._yuv.reshape(-1)
        parts = (flat[:luma], flat[luma : luma * 5 // 4], flat[luma * 5 // 4 :])
        for plane, part in zip(self._planes, parts, strict=True):
            np.copyto(plane, part.reshape(plane.shape))

    def _fit(self, picture: Image) -> Image:
        """The picture in the size of the video."""
        height, width = picture.shape[:2]
        target = self._size
        if (width, height) == target:
            return picture
        if 0 <= target.width - width <= 1 and 0 <= target.height - height <= 1:
            self._canvas[:height, :width] = picture
            self._canvas[height:, :width] = picture[-1:]
            self._canvas[:, width:] = self._canvas[:, width - 1 : width]
            return self._canvas
        box = Letterbox.fit(Size(width, height), target, keep_aspect=True)
        left, top, inner = box.offset_x, box.offset_y, box.inner
        self._canvas[:] = 0
        place = self._canvas[top : top + inner.height, left : left + inner.width]
        cv2.resize(picture, tuple(inner), dst=place, interpolation=cv2.INTER_LINEAR)
        return self._canvas


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


def _as_array(plane: av.video.plane.VideoPlane) -> NDArray[np.uint8]:
    """A view of a plane's pixels, without the padding of its rows."""
    rows = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    pixels: NDArray[np.uint8] = rows.reshape(plane.height, plane.line_size)[:, : plane.width]
    return pixels


def _finish(container: av.container.OutputContainer, name: str) -> None:
    try:
        container.close()
    except OSError as error:
        raise cannot_write(name, error) from error
