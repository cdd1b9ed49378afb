"""Frames of video files, at their own rate or as fast as they are wanted."""

import threading
from pathlib import Path

from edge_detect.core import Frame, Size, SourceError, monotonic_ns
from edge_detect.core.buffers import ImagePool
from edge_detect.core.url import Url
from edge_detect.sources.decoder import DecodedImage, VideoDecoder
from edge_detect.sources.pacing import Pacer
from edge_detect.sources.pixels import BgrConverter
from edge_detect.sources.source import Source

__all__ = ["VideoSource", "open_video", "read_video_url"]

# How long `close` waits for a `read` that is decoding in another thread.
_CLOSE_WAIT_S = 0.4


class VideoSource(Source):
    """Gives the frames of a video file.

    Args:
        path: The file.
        paced: Whether frames come at the file's own rate or as fast as they are asked for.
        loop: Whether to start over at the end; time line and sequence numbers go on.

    Raises:
        SourceError: Not a single frame can be had.
    """

    def __init__(self, path: Path, *, paced: bool, loop: bool) -> None:
        self.name = str(path)
        self.live = paced
        self._path = path
        self._loop = loop
        self._pacer = Pacer(active=paced)
        self._converter = BgrConverter(ImagePool())
        # Held while decoding, so that `close` never frees a decoder at work.
        self._lock = threading.Lock()
        self._sequence = 0
        self._round_ns = 0
        self._decoder: VideoDecoder | None = None
        self._first: DecodedImage | None = self._start()
        height, width = self._first.image.shape[:2]
        self.size = Size(width, height)

    @property
    def resting(self) -> bool:
        """Whether `read` holds a frame back until its time has come."""
        return self._pacer.waiting

    def read(self) -> Frame | None:
        """Decode the next frame, and wait until it is due if paced.

        Returns:
            The frame; None at the end of the file and after `close`.

        Raises:
            SourceError: The file gives nothing any more when it is to start over; transient if
                it stands for a camera, that is, if paced.
        """
        with self._lock:
            decoded = self._next()
            if self._pacer.closed:
                self._release()
        if decoded is None:
            return None
        media_ns = self._round_ns + decoded.position_ns
        if not self._pacer.wait(media_ns):
            return None
        sequence = self._sequence
        self._sequence += 1
        return Frame(decoded.image, monotonic_ns(), sequence, self.name, media_ns)

    def close(self) -> None:
        """Close the file; a waiting `read` returns None at once."""
        self._pacer.close()
        if self._lock.acquire(timeout=_CLOSE_WAIT_S):
            try:
                self._release()
            finally:
                self._lock.release()

    def _start(self) -> DecodedImage:
        """Open the file and decode its first frame."""
        self._decoder = VideoDecoder(self._path, self._converter)
        self.fps = self._decoder.fps
        decoded = self._decoder.read()
        if decoded is None:
            self._release()
            raise SourceError(
                f"{self._path} holds no frame that can be decoded", "the file may be incomplete"
            )
        return decoded

    def _next(self) -> DecodedImage | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._decoder is None:
            return None
        decoded = self._decoder.read()
        if decoded is None:
            self._round_ns += self._decoder.end_ns
            self._release()
            if self._loop and not self._pacer.closed:
                return self._start_over()
        return decoded

    def _start_over(self) -> DecodedImage:
        """Go back to the start; opening again is the one way that works for every format."""
        try:
            return self._start()
        except SourceError as error:
            # As with a camera that was unplugged: a file that was there may come back.
            error.transient = self.live
            raise

    def _release(self) -> None:
        self._first = None
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None


def open_video(url: Url, paced: bool | None) -> VideoSource:  # noqa: FBT001
    """Open `file://PATH?loop=false&realtime=false` or a bare path.

    Raises:
        SourceError: The file cannot be read or holds no video.
        ConfigError: An option is misspelt or has an impossible value.
    """
    loop, realtime = read_video_url(url)
    return VideoSource(Path(url.location), paced=realtime if paced is None else paced, loop=loop)


def read_video_url(url: Url) -> tuple[bool, bool]:
    """Whether to start over at the end, and whether to keep the file's own rate.

    Raises:
        SourceError: The URL names no file.
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options("loop", "realtime")
    loop, realtime = url.flag("loop"), url.flag("realtime")
    if not url.location:
        raise SourceError(f"{url.name!r} names no file", "use file:///path/to/clip.mp4")
    return loop, realtime
