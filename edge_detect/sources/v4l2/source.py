"""Frames of a USB camera."""

import logging
import os
import threading

from edge_detect.core import NS_PER_S, ConfigError, Frame, Image, Size, SourceError, monotonic_ns
from edge_detect.core.buffers import ImagePool
from edge_detect.core.url import Url
from edge_detect.sources.camera import query_capability
from edge_detect.sources.source import Source
from edge_detect.sources.v4l2 import calls
from edge_detect.sources.v4l2.calls import PictureFormat
from edge_detect.sources.v4l2.controls import parse_controls, set_controls
from edge_detect.sources.v4l2.errors import explain, not_a_camera
from edge_detect.sources.v4l2.modes import DEFAULT_SIZE, Choice, Wanted, choose, describe
from edge_detect.sources.v4l2.pixels import READABLE, open_decoder
from edge_detect.sources.v4l2.stream import CaptureStream, Filled
from edge_detect.sources.wake import Wake

__all__ = ["V4l2Source", "captured_at", "open_v4l2", "read_v4l2_url"]

_log = logging.getLogger(__name__)

# Auto-exposure in the dark may stretch a frame to a second.
_SILENCE_S = 5.0
_CLOSE_WAIT_S = 0.4
# Of a driver that ran out of buffers, a frame older than so many periods is not worth showing.
_STALE_PERIODS = 2
_FALLBACK_FPS = 30.0


class V4l2Source(Source):
    """Captures from a Video4Linux2 device.

    The newest frame wins: what was captured while nobody read is skipped, and the sequence
    numbers tell how much that was.

    Args:
        device: Path of the device node, or of a link to it as in /dev/v4l/by-id.
        wanted: Size, rate and pixel format; what is None is chosen.
        controls: Settings of the camera by name, as `v4l2-ctl --list-ctrls` shows them.
        silence_s: A camera that gives nothing for so long counts as lost.

    Attributes:
        fourcc: Pixel format that is captured.
        damaged: Pictures that were incomplete and therefore skipped.

    Raises:
        SourceError: The device cannot be opened, or has not what is asked for.
        ConfigError: The camera has no such control.
    """

    live = True

    def __init__(
        self,
        device: str,
        wanted: Wanted,
        controls: tuple[tuple[str, int], ...] = (),
        *,
        silence_s: float = _SILENCE_S,
    ) -> None:
        self.name = f"v4l2://{device}"
        self.damaged = 0
        self._lock = threading.Lock()
        self._stream: CaptureStream | None = None
        self._wake = Wake()
        self._fd = -1
        self._silence_s = silence_s
        self._last_ns = -1
        self._origin_ns: int | None = None
        try:
            self._open(device, wanted, controls)
        except OSError as error:
            raise explain(device, error) from error
        finally:
            if self._stream is None:
                self._release()

    def read(self) -> Frame | None:
        """Wait for the next frame; None after `close`.

        Raises:
            SourceError: The camera was unplugged, or gives no good frames any more.
        """
        with self._lock:
            try:
                return self._next()
            except OSError as error:
                raise SourceError(
                    f"{self.name} was lost: {error.strerror}",
                    "check the cable and the power supply",
                    transient=True,
                ) from error
            finally:
                # `close` may have given up waiting for the lock.
                if self._wake.is_set:
                    self._release()

    def close(self) -> None:
        """Let go of the device; a waiting `read` returns None within milliseconds."""
        self._wake.set()
        if self._lock.acquire(timeout=_CLOSE_WAIT_S):
            try:
                self._release()
            finally:
                self._lock.release()

    def _open(self, device: str, wanted: Wanted, controls: tuple[tuple[str, int], ...]) -> None:
        self._fd = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        capability = query_capability(self._fd)
        if not capability.is_camera:
            raise not_a_camera(device, capability)
        choice = _choose(self._fd, device, wanted)
        layout = calls.set_format(self._fd, choice.fourcc, choice.size)
        _check_given(device, layout, choice, wanted)
        rate = calls.set_rate(self._fd, choice.fps)
        set_controls(self._fd, device, controls)
        self.size: Size = layout.size
        self.fourcc = layout.fourcc
        self.fps = None if rate is None else float(rate)
        self._stale_ns = round(_STALE_PERIODS * NS_PER_S / (self.fps or _FALLBACK_FPS))
        self._decode = open_decoder(layout, ImagePool())
        self._stream = CaptureStream(self._fd, self._wake)

    def _next(self) -> Frame | None:
        give_up_ns = monotonic_ns() + round(self._silence_s * NS_PER_S)
        damaged_before = self.damaged
        may_refuse_stale = True
        while self._stream is not None and not self._wake.is_set:
            left_ns = give_up_ns - monotonic_ns()
            if left_ns <= 0:
                raise self._silent(self.damaged - damaged_before)
            self._stream.wait(left_ns / NS_PER_S)
            with self._stream.newest() as filled:
                if filled is None:
                    continue
                now_ns = monotonic_ns()
                if may_refuse_stale and self._is_stale(filled, now_ns):
                    # Once: on a machine that is always late, a late picture beats none.
                    may_refuse_stale = False
                    continue
                image = self._decoded(filled)
                if image is not None:
                    return self._frame(image, filled, now_ns)
        return None

    def _is_stale(self, filled: Filled, now_ns: int) -> bool:
        old = filled.stamp_ns is None or now_ns - filled.stamp_ns > self._stale_ns
        return filled.starved and old

    def _decoded(self, filled: Filled) -> Image | None:
        image = None if filled.damaged else self._decode(filled.data)
        if image is None:
            self.damaged += 1
        return image

    def _frame(self, image: Image, filled: Filled, now_ns: int) -> Frame:
        # Drivers that compute times from the camera's clock let them run back now and then.
        captured_ns = max(captured_at(filled.stamp_ns, now_ns), self._last_ns + 1)
        self._last_ns = captured_ns
        if self._origin_ns is None:
            self._origin_ns = captured_ns
        media_ns = captured_ns - self._origin_ns
        return Frame(image, captured_ns, filled.sequence, self.name, media_ns)

    def _silent(self, damaged: int) -> SourceError:
        found = f"only {damaged} damaged pictures" if damaged else "no frames"
        return SourceError(
            f"{self.name} gave {found} in {self._silence_s:g} s",
            "check the cable and the power supply; MJPG at a smaller size needs less of the bus",
            transient=True,
        )

    def _release(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            if self.damaged:
                _log.info("%s: %d damaged pictures were skipped", self.name, self.damaged)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._wake.close()


def open_v4l2(url: Url, paced: bool | None) -> V4l2Source:  # noqa: ARG001, FBT001
    """Open `v4l2:///dev/video0?size=1280x720&fps=30&fourcc=MJPG` or a bare `/dev/videoN`.

    Raises:
        SourceError: The device cannot be opened, or has not what is asked for.
        ConfigError: An option is misspelt or has an impossible value.
    """
    return V4l2Source(*read_v4l2_url(url))


def read_v4l2_url(url: Url) -> tuple[str, Wanted, tuple[tuple[str, int], ...]]:
    """Device, mode and controls that a URL asks for.

    Raises:
        SourceError: It names no device.
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options("size", "fps", "fourcc", "controls")
    wanted = Wanted(
        url.size("size", DEFAULT_SIZE) if "size" in url.options else None,
        url.number("fps", _FALLBACK_FPS) if "fps" in url.options else None,
        url.options["fourcc"].upper() if "fourcc" in url.options else None,
    )
    if wanted.fourcc not in {None, *READABLE}:
        raise ConfigError(
            f"{url.name!r}: cannot read pictures in the format {wanted.fourcc!r}",
            f"use one of {', '.join(READABLE)}, or leave fourcc out",
        )
    if not url.location or "\0" in url.location:
        raise SourceError(f"{url.name!r} names no device", "use v4l2:///dev/video0")
    return url.location, wanted, parse_controls(url)


def captured_at(stamp_ns: int | None, now_ns: int) -> int:
    """The capture time of a frame.

    Args:
        stamp_ns: What the driver says, if it uses CLOCK_MONOTONIC; drivers err, and some say
            0 for nothing, which is a recent time on a machine that has just started.
        now_ns: CLOCK_MONOTONIC now.

    Returns:
        The driver's time if it can be true, else now.
    """
    plausible = stamp_ns is not None and max(0, now_ns - NS_PER_S) < stamp_ns <= now_ns
    return stamp_ns if stamp_ns is not None and plausible else now_ns


def _check_given(device: str, given: PictureFormat, choice: Choice, wanted: Wanted) -> None:
    """Refuse what a driver makes of our choice, in spite of its list, if it is no use."""
    fits = wanted.size in {None, given.size} and wanted.fourcc in {None, given.fourcc}
    if not fits or given.fourcc not in READABLE:
        raise SourceError(
            f"camera {device} gives {given.fourcc} {given.size} "
            f"when asked for {choice.fourcc} {choice.size}",
            f"use other values for size= and fourcc= ({', '.join(READABLE)}), or leave them out",
        )


def _choose(fd: int, device: str, wanted: Wanted) -> Choice:
    modes = calls.list_modes(fd, wanted.size or DEFAULT_SIZE)
    choice = choose(modes, wanted, READABLE)
    if choice is not None:
        return choice
    readable = [mode for mode in modes if mode.fourcc in READABLE]
    if not readable:
        formats = ", ".join(dict.fromkeys(mode.fourcc for mode in modes)) or "no pictures"
        raise SourceError(
            f"camera {device} gives {formats} and none of {', '.join(READABLE)}",
            "a camera on the CSI connector is read with picamera2://0",
        )
    asked = [wanted.fourcc or "", str(wanted.size or "")]
    asked.append("" if wanted.fps is None else f"{wanted.fps:g} fps")
    raise SourceError(
        f"camera {device} has no {' '.join(part for part in asked if part)}",
        f"it offers {describe(readable)}",
    )
