"""Frames of a USB camera."""

import threading
from pathlib import Path

import av
import av.error
import av.logging

from edge_detect.core import NS_PER_S, Frame, Image, Size, SourceError, monotonic_ns
from edge_detect.core.buffers import ImagePool
from edge_detect.core.url import Url
from edge_detect.sources.pixels import BgrConverter
from edge_detect.sources.source import Source

__all__ = ["V4l2Source", "captured_at", "open_v4l2"]

# A camera that gives nothing for so long counts as gone; auto-exposure in the dark may
# stretch a frame to a second.
_SILENCE_S = 5.0
# How often a device that has no frame yet is asked again.
_POLL_S = 0.002
_CLOSE_WAIT_S = 0.4
_HINT = "check the cable, and that no other program uses the camera"


class V4l2Source(Source):
    """Captures from a Video4Linux2 device.

    The device is opened without blocking and asked until it has a frame, because FFmpeg's
    waiting in the kernel could not be ended by `close`.

    Args:
        device: Path of the device node.
        size: Wanted; the driver takes the nearest that it can.
        fps: Wanted; likewise.

    Raises:
        SourceError: The device cannot be opened or gives no frames.
    """

    live = True

    def __init__(self, device: str, size: Size, fps: float) -> None:
        self.name = f"v4l2://{device}"
        self._device = device
        self._converter = BgrConverter(ImagePool())
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._sequence = 0
        av.logging.set_level(av.logging.PANIC)
        self._container = _open_device(device, size, fps)
        self._stream = self._container.streams.video[0]
        self._packets = self._container.demux(self._stream)
        rate = self._stream.average_rate
        self.fps: float | None = float(rate) if rate else fps
        self._first: Frame | None = self._capture()
        if self._first is None:
            raise self._silent()
        self.size = self._first.size

    def read(self) -> Frame | None:
        """Wait for the next frame; None after `close`.

        Raises:
            SourceError: The camera was unplugged or gives no frames any more.
        """
        frame, self._first = self._first, None
        return frame or self._capture()

    def close(self) -> None:
        """Let go of the device; a waiting `read` returns None within milliseconds."""
        self._closed.set()
        if self._lock.acquire(timeout=_CLOSE_WAIT_S):
            try:
                self._container.close()
            finally:
                self._lock.release()

    def _capture(self) -> Frame | None:
        give_up_ns = monotonic_ns() + round(_SILENCE_S * NS_PER_S)
        while monotonic_ns() < give_up_ns:
            with self._lock:
                if self._closed.is_set():
                    return None
                taken = self._take()
            if taken is not None:
                image, captured_ns = taken
                if self._sequence == 0:
                    self._origin_ns = captured_ns
                media_ns = captured_ns - self._origin_ns
                frame = Frame(image, captured_ns, self._sequence, self.name, media_ns)
                self._sequence += 1
                return frame
            if self._closed.wait(_POLL_S):
                return None
        raise self._silent()

    def _take(self) -> tuple[Image, int] | None:
        """What the device has ready, with its time; None if that is nothing."""
        try:
            packet = next(self._packets)
        except av.error.BlockingIOError:
            # The generator is used up by the error; a new one goes on where it was.
            self._packets = self._container.demux(self._stream)
            return None
        except (StopIteration, av.error.FFmpegError) as error:
            raise SourceError(
                f"{self.name} stopped giving frames", _HINT, transient=True
            ) from error
        try:
            pictures = packet.decode()
        except av.error.FFmpegError:
            # Cameras send damaged JPEG pictures now and then, mostly the first ones.
            return None
        if not pictures:
            return None
        base = packet.time_base
        stamp = None if packet.pts is None else round(packet.pts * base * NS_PER_S)
        return self._converter.convert(pictures[0]), captured_at(stamp, monotonic_ns())

    def _silent(self) -> SourceError:
        return SourceError(f"{self.name} gives no frames", _HINT, transient=True)


def open_v4l2(url: Url, paced: bool | None) -> V4l2Source:  # noqa: ARG001, FBT001
    """Open `v4l2:///dev/video0?size=1280x720&fps=30` or a bare `/dev/videoN`.

    Raises:
        SourceError: The device cannot be opened or gives no frames.
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options("size", "fps")
    return V4l2Source(url.location, url.size("size", Size(1280, 720)), url.number("fps", 30.0))


def captured_at(stamp_ns: int | None, now_ns: int) -> int:
    """The capture time of a frame.

    Args:
        stamp_ns: What the driver says; drivers may use CLOCK_REALTIME or nothing at all.
        now_ns: CLOCK_MONOTONIC now.

    Returns:
        The driver's time if it can be one of CLOCK_MONOTONIC, else now.
    """
    plausible = stamp_ns is not None and now_ns - NS_PER_S < stamp_ns <= now_ns
    return stamp_ns if stamp_ns is not None and plausible else now_ns


def _open_device(device: str, size: Size, fps: float) -> av.container.InputContainer:
    try:
        with Path(device).open("rb", buffering=0):
            pass
    except OSError as error:
        hint = "check `v4l2-ctl --list-devices`; users need the group video"
        raise SourceError(f"cannot open camera {device}: {error.strerror}", hint) from error
    wanted = {"video_size": str(size), "framerate": f"{fps:g}", "fflags": "nonblock"}
    # Most USB cameras reach 720p at 30 fps in JPEG only; those that have none get a second try.
    for formats in ({"input_format": "mjpeg"}, {}):
        try:
            return av.open(
                device,
                format="video4linux2",
                options=wanted | formats,
                timeout=_SILENCE_S,
            )
        except (av.error.FFmpegError, OSError) as error:
            reason = error.strerror
    raise SourceError(f"{device} cannot be used as a camera: {reason}", _HINT)
