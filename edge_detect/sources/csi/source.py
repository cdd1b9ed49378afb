"""Frames of a camera on a CSI connector."""

import errno
import gc
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edge_detect.core import ConfigError, Frame, Image, Size, SourceError
from edge_detect.core.url import Url
from edge_detect.sources.csi.cameras import Library, list_cameras, load_library
from edge_detect.sources.csi.options import CsiOptions, make_controls, read_options
from edge_detect.sources.csi.pixels import StreamCopier
from edge_detect.sources.csi.timeline import TimeLine
from edge_detect.sources.source import Source

__all__ = ["CsiLimits", "CsiSource", "open_picamera2", "read_picamera2_url"]

_log = logging.getLogger(__name__)

# Two that the image processor works on, one that picamera2 holds ready, one that is being
# copied. Each costs a few MB of CMA, which a Raspberry Pi has little of; for the same reason
# a camera is configured once and never again, and has no raw stream.
_BUFFERS = 4
_DEFAULT_FPS = 30.0
# An answer to a request that was being given while it was cancelled.
_LAST_MOMENT_S = 0.3
_HINT = "check the cable; `rpicam-hello --list-cameras` tells what the system sees"


@dataclass(slots=True, frozen=True)
class CsiLimits:
    """How long a camera is waited for.

    Attributes:
        silence_s: A camera that gives nothing for so long counts as lost.
        silence_frames: The same in frames, where these take longer.
        close_s: How long `close` waits for the drivers: some never answer again after a cable
            came loose.
    """

    silence_s: float = 5.0
    silence_frames: int = 10
    close_s: float = 5.0


class CsiSource(Source):
    """Captures through picamera2: a picture, and a smaller one for inference.

    Args:
        number: Of the camera, by picamera2's order.
        options: What is wanted of it.
        limits: How long it is waited for.

    Raises:
        DependencyError: picamera2 is missing or does not fit.
        SourceError: There is no such camera, or it is in use or does not start.
        ConfigError: The camera does not offer what is wanted.
    """

    live = True

    def __init__(self, number: int, options: CsiOptions, limits: CsiLimits | None = None) -> None:
        self.name = f"picamera2://{number}"
        self._limits = CsiLimits() if limits is None else limits
        self._library = load_library()
        self._closed = threading.Event()
        self._closing = threading.Lock()
        # Held while a frame is asked for, so that nothing is asked of a closed camera.
        self._asking = threading.Lock()
        # Held while a frame is waited for and copied.
        self._reading = threading.Lock()
        self._time_line = TimeLine()
        self._camera: Any = _open_camera(self._library, number)
        try:
            self._set_up(options)
        except (RuntimeError, OSError, ValueError) as error:
            reason, no_memory = str(error), getattr(error, "errno", 0) == errno.ENOMEM
        except BaseException:
            self.close()
            raise
        else:
            return
        self.close()
        if no_memory:
            hint = "use a smaller size, or a larger CMA area: dtoverlay=vc4-kms-v3d,cma-384"
            raise SourceError(f"{self.name} gets no memory for its buffers", hint, transient=True)
        raise SourceError(f"{self.name} does not start: {reason}", _HINT, transient=True)

    def read(self) -> Frame | None:
        """Wait for a frame newer than the last.

        A reader that is slower than the camera gets the newest one; the gap in `sequence`
        tells what it missed.

        Returns:
            The frame; None after `close`.

        Raises:
            SourceError: The camera gives no frames any more.
        """
        with self._reading:
            try:
                with self._borrowed() as request:
                    frame = None if request is None else self._take(request)
            except (RuntimeError, OSError) as error:
                raise SourceError(
                    f"{self.name} stopped giving frames: {error}", _HINT, transient=True
                ) from error
        if frame is None and not self._closed.is_set():
            raise SourceError(
                f"{self.name} has given no frame for {self._silence_s:g} s", _HINT, transient=True
            )
        return frame

    def close(self) -> None:
        """Let go of the camera; a waiting `read` returns None within milliseconds."""
        if not self._closing.acquire(blocking=False):
            return
        self._closed.set()
        closer = threading.Thread(target=self._shut, name="edge-csi-close", daemon=True)
        closer.start()
        closer.join(self._limits.close_s)
        if closer.is_alive():
            _log.warning("%s does not close: its driver does not answer", self.name)

    def _set_up(self, options: CsiOptions) -> None:
        """Configure the camera, set its controls and start it."""
        camera, libcamera = self._camera, self._library.libcamera
        lores = None if options.lores is None else _stream("YUV420", options.lores)
        camera.configure(
            camera.create_video_configuration(
                main=_stream(options.format, options.size),
                lores=lores,
                raw=None,
                transform=libcamera.Transform(hflip=options.hflip, vflip=options.vflip),
                buffer_count=_BUFFERS,
            )
        )
        made = camera.camera_configuration()
        if (made["transform"].hflip, made["transform"].vflip) != (options.hflip, options.vflip):
            raise ConfigError(
                f"{self.name} cannot turn its picture so", "leave hflip, vflip and rotation out"
            )
        self._main = StreamCopier(made["main"], made["colour_space"])
        self._lores = StreamCopier(made["lores"], made["colour_space"]) if lores else None
        # What a camera offers depends on its configuration.
        offered = camera.camera_controls
        controls = make_controls(options, offered, libcamera.controls)
        self.fps, duration_us = _rate(self.name, options, offered)
        if duration_us:
            controls["FrameDurationLimits"] = (duration_us, duration_us)
        camera.set_controls(controls)
        camera.start()
        self.size = self._main.size
        silent_frames_s = self._limits.silence_frames / (self.fps or _DEFAULT_FPS)
        self._silence_s = max(self._limits.silence_s, silent_frames_s)
        small = f" and {self._lores.size}" if self._lores else ""
        _log.info("%s gives %s %s%s", self.name, self._main.format, self.size, small)

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
        """Lend the next request, or None if none comes in time or the source was closed."""
        request = self._wait()
        try:
            yield request
        finally:
            if request is not None:
                request.release()

    def _wait(self) -> Any:
        with self._asking:
            if self._closed.is_set():
                return None
            camera = self._camera
            job = camera.capture_request(wait=False)
        try:
            return camera.wait(job, timeout=self._silence_s)
        except CancelledError:
            return None
        except TimeoutError:
            # Left in the queue it would take a buffer later, for nobody.
            camera.cancel_all_and_flush()
        try:
            return camera.wait(job, timeout=_LAST_MOMENT_S)
        except (CancelledError, TimeoutError):
            return None

    def _take(self, request: Any) -> Frame:
        """Make a frame of a request while it is borrowed."""
        metadata = request.get_metadata()
        captured_ns, sequence, media_ns = self._time_line.place(
            metadata.get("SensorTimestamp"), metadata.get("FrameDuration")
        )
        small = None if self._lores is None else self._copy(self._lores, request, "lores")
        image = self._copy(self._main, request, "main")
        return Frame(image, captured_ns, sequence, self.name, media_ns, small)

    def _copy(self, copier: StreamCopier, request: Any, stream: str) -> Image:
        with self._library.picamera2.MappedArray(request, stream, write=False) as mapped:
            return copier.copy(mapped.array)

    def _shut(self) -> None:
        """Close the camera, however long its driver takes."""
        try:
            with self._asking:
                # A request that waits would end neither the reader nor picamera2's own stop,
                # which takes its turn behind it.
                self._camera.cancel_all_and_flush()
            with self._reading:
                camera, self._camera = self._camera, None
                camera.close()
        except (RuntimeError, OSError) as error:
            _log.warning("%s was not closed well: %s", self.name, error)


def open_picamera2(url: Url, paced: bool | None) -> CsiSource:  # noqa: ARG001, FBT001
    """Open `picamera2://[N]?size=1280x720&lores=416x234&fps=30&format=RGB888`.

    Further options: `hflip`, `vflip`, `rotation` (0 or 180); `exposure` (µs), `gain`, `ev`,
    `awb`, `af` (auto, continuous, manual), `lens` (dioptres), `hdr`, `denoise`, `brightness`,
    `contrast`, `saturation`, `sharpness`; `lores=none` leaves the small image out.

    Raises:
        DependencyError: picamera2 is missing or does not fit.
        SourceError: There is no such camera, or it is in use or does not start.
        ConfigError: An option is misspelt, impossible, or not offered by the camera.
    """
    return CsiSource(*read_picamera2_url(url))


def read_picamera2_url(url: Url) -> tuple[int, CsiOptions]:
    """The number of the camera that a URL asks for, and how it is to be set.

    Raises:
        ConfigError: An option is misspelt or impossible, or the camera has no number.
    """
    options = read_options(url)
    number = url.location.rstrip("/") or "0"
    if not number.isdecimal():
        raise ConfigError(
            f"{url.name!r} names no camera", "cameras have numbers, e.g. picamera2://0"
        )
    return int(number), options


def _stream(pixel_format: str, size: Size) -> dict[str, Any]:
    return {"format": pixel_format, "size": (size.width, size.height)}


def _open_camera(library: Library, number: int) -> Any:
    """Open one of the cameras.

    Raises:
        SourceError: There is no such camera, or it is in use.
    """
    cameras = list_cameras(library)
    if number >= len(cameras):
        known = "; ".join(
            f"{index}: {camera.get('Model', 'unknown')} ({camera.get('Id', '')})"
            for index, camera in enumerate(cameras)
        )
        if known:
            raise SourceError(f"there is no camera {number}", f"there are {known}", transient=True)
        hint = "check the cable; users need the group video; `rpicam-hello --list-cameras`"
        raise SourceError("libcamera sees no camera", hint, transient=True)
    # A closed Picamera2 is a ring of references, and keeps three descriptors until collected.
    gc.collect()
    try:
        return library.picamera2.Picamera2(number)
    except (RuntimeError, OSError) as error:
        # Its traceback would keep the half-opened camera, so it must not become a cause.
        reason = _first_cause(error)
    name = f"picamera2://{number}"
    if "busy" in reason.lower():
        raise SourceError(
            f"{name} is in use by another program",
            "end that program; `fuser /dev/media*` tells which it is",
            transient=True,
        )
    if "permission" in reason.lower() or "dmaheap" in reason.lower():
        # For good: picamera2 keeps a camera that it found no memory for.
        raise SourceError(
            f"{name} cannot be opened: {reason}",
            "users need the groups video and render, and the kernel /dev/dma_heap",
        )
    raise SourceError(f"{name} cannot be opened: {reason}", _HINT, transient=True)


def _first_cause(error: BaseException) -> str:
    """What it was in the end; picamera2 wraps errors twice and more."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def _rate(
    name: str, options: CsiOptions, offered: dict[str, tuple[Any, Any, Any]]
) -> tuple[float | None, int]:
    """The frame rate, and the duration of a frame in microseconds; 0 if it cannot be set.

    Raises:
        ConfigError: The camera cannot give as many frames, or its rate cannot be set.
    """
    wanted = options.fps
    if "FrameDurationLimits" not in offered:
        if wanted is not None:
            raise ConfigError(f"{name} does not let its rate be set", "leave fps out")
        return None, 0
    shortest_us, longest_us = offered["FrameDurationLimits"][:2]
    duration_us = round(1e6 / (wanted or _DEFAULT_FPS))
    if wanted is None:
        # The sensor needs some of a frame to be read out; else libcamera cuts the exposure.
        duration_us = max(duration_us, round(1.01 * options.numbers.get("exposure", 0)))
    # Sensors round to lines: 60 frames a second may be 59.9.
    if wanted is not None and not shortest_us * 0.99 <= duration_us <= longest_us * 1.01:
        raise ConfigError(
            f"{name} gives {1e6 / longest_us:.3g} to {1e6 / shortest_us:.4g} frames a second"
            f" at this size, not {wanted:g}",
            "set fps to one of these; smaller sizes may allow more",
        )
    duration_us = min(max(duration_us, shortest_us), longest_us)
    return 1e6 / duration_us, duration_us
