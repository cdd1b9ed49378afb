"""H.264 encoders that sinks share: each picture is encoded once, for whoever wants it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from threading import Lock

import av
import av.error
import av.logging
from av.video.frame import PictureType

from edge_detect.core import NS_PER_S, ConfigError, Picture, SinkError, Size
from edge_detect.core.url import Url
from edge_detect.sinks.h264 import ParameterSets
from edge_detect.sinks.yuv import TICKS_PER_S, YuvPicture, even_size, tag_colors

__all__ = [
    "ENCODER_OPTIONS",
    "EncodedPicture",
    "Encoder",
    "EncoderSettings",
    "Encoders",
    "encoder_settings",
]

# In the order of preference. The Pi 4 has an encoder in hardware; a Pi 5 and PCs have not.
_HARDWARE, _SOFTWARE = "h264_v4l2m2m", "libx264"
# GStreamer's names for the same two encoders are understood as well: they are what guides for
# the Raspberry Pi use.
_NAMES = {
    "libx264": _SOFTWARE,
    "x264enc": _SOFTWARE,
    "h264_v4l2m2m": _HARDWARE,
    "v4l2h264enc": _HARDWARE,
}
_FALLBACK_FPS = 30.0
_DEFAULT_BITRATE_KBPS = 4000
# Keyframes on demand come no closer than this, however many viewers join.
_LEAST_KEY_DISTANCE_NS = NS_PER_S // 2
# Hardware holds a few pictures back; their capture times are kept until they come out.
_MOST_PENDING = 32


@dataclass(slots=True, frozen=True)
class EncodedPicture:
    """One picture as H.264.

    Attributes:
        data: An access unit in Annex B form; key frames begin with their parameter sets.
        key: Whether decoding can begin here.
        size: Of the video.
        picture: What was encoded; do not keep it, its image is a buffer in use.
    """

    data: bytes
    key: bool
    size: Size
    picture: Picture


Receive = Callable[[EncodedPicture], None]


@dataclass(slots=True, frozen=True)
class EncoderSettings:
    """What a sink wants; sinks that want the same share one encoder.

    Attributes:
        name: FFmpeg's name of the encoder; empty takes hardware where there is some.
        size: Of the video; None takes that of the first picture.
        fps: Pictures above this rate are left out, evenly; None takes all.
        bitrate_kbps: Most, in kbit/s.
        keyframe_s: Distance of key frames in seconds.
    """

    name: str = ""
    size: Size | None = None
    fps: float | None = None
    bitrate_kbps: int = _DEFAULT_BITRATE_KBPS
    keyframe_s: float = 1.0


# What `encoder_settings` reads, for `Url.check_options`.
ENCODER_OPTIONS = ("encoder", "size", "fps", "bitrate", "keyframe")


def encoder_settings(url: Url) -> EncoderSettings:
    """Read `?encoder=&size=&fps=&bitrate=&keyframe=` (bitrate in kbit/s, keyframe in seconds).

    Raises:
        ConfigError: An option has an impossible value.
    """
    wanted = url.options.get("encoder", "")
    if wanted and wanted not in _NAMES:
        raise ConfigError(
            f"{url.name!r} asks for the unknown encoder {wanted!r}",
            f"use one of {', '.join(_NAMES)}, or none for the best that is there",
        )
    return EncoderSettings(
        _NAMES.get(wanted, ""),
        url.size("size", Size(2, 2)) if "size" in url.options else None,
        url.number("fps", 30.0) if "fps" in url.options else None,
        url.integer("bitrate", _DEFAULT_BITRATE_KBPS, minimum=16),
        url.number("keyframe", 1.0),
    )


class Encoder:
    """Encodes pictures for its subscribers, and does nothing while there are none.

    Every sink that shares it hands it each picture; the first to do so has it encoded, in
    its own thread. Subscribers are called in that thread and must return at once.

    Args:
        settings: What was asked for.
        fps: Nominal rate of the pictures, for the encoder's rate control.
    """

    def __init__(self, settings: EncoderSettings, fps: float | None) -> None:
        self.settings = settings
        self._fps = settings.fps or fps or _FALLBACK_FPS
        self._lock = Lock()
        self._receivers: tuple[Receive, ...] = ()
        self._codec: av.VideoCodecContext | None = None
        self._codec_name = ""
        self._broken: set[str] = set()
        self._yuv: YuvPicture | None = None
        self._sets = ParameterSets()
        self._pending: dict[int, Picture] = {}
        self._first_ns = 0
        # CLOCK_MONOTONIC may be near zero: None and not zero stands for "not yet".
        self._last_ns: int | None = None
        self._due_ns: int | None = None
        self._last_key_ns: int | None = None
        self._key_wanted = False

    @property
    def wanted(self) -> bool:
        """Whether anybody receives what it encodes."""
        return bool(self._receivers)

    def subscribe(self, receive: Receive) -> None:
        """Have every encoded picture from the next key frame on, which comes soon.

        Args:
            receive: Called with each; must neither wait nor raise.
        """
        with self._lock:
            self._receivers = (*self._receivers, receive)
            self._key_wanted = True

    def unsubscribe(self, receive: Receive) -> None:
        """Have no more of them; nothing is encoded after the last subscriber left."""
        with self._lock:
            self._receivers = tuple(each for each in self._receivers if each != receive)
            if not self._receivers:
                self._codec = None
                self._pending.clear()

    def request_key(self) -> None:
        """Have a key frame soon, for a new viewer: half a second after the last at the latest."""
        self._key_wanted = True

    def write(self, picture: Picture) -> None:
        """Encode a picture unless another sink had it encoded already.

        Raises:
            SinkError: No encoder can be opened, or it failed.
        """
        captured_ns = picture.frame.captured_ns
        with self._lock:
            old = self._last_ns is not None and captured_ns <= self._last_ns
            if not self._receivers or old or self._too_soon(captured_ns):
                return
            self._last_ns = captured_ns
            if self._codec is None:
                self._open(picture)
            for encoded in self._encode(picture):
                for receive in self._receivers:
                    receive(encoded)

    def _too_soon(self, captured_ns: int) -> bool:
        """Whether the wanted rate leaves this picture out; a tenth of slack for jitter."""
        if self.settings.fps is None:
            return False
        period_ns = round(NS_PER_S / self.settings.fps)
        due_ns = captured_ns if self._due_ns is None else self._due_ns
        if captured_ns < due_ns - period_ns // 10:
            return True
        # Counted from when it was due, so that 25 of 30 pictures are 25, and not every other.
        on_time = captured_ns < due_ns + period_ns
        self._due_ns = (due_ns if on_time else captured_ns) + period_ns
        return False

    def _open(self, picture: Picture) -> None:
        size = even_size(self.settings.size or picture.size)
        av.logging.set_level(av.logging.PANIC)
        names = [self.settings.name] if self.settings.name else [_HARDWARE, _SOFTWARE]
        # Hardware that failed at work would fail again: the software then takes over for good.
        names = [name for name in names if name not in self._broken] or names
        reason = ""
        for name in names:
            try:
                self._codec = _open_codec(name, size, self._fps, self.settings)
            except (av.error.FFmpegError, ValueError, OSError) as error:
                reason = f"{name}: {getattr(error, 'strerror', None) or error}"
            else:
                self._codec_name = name
                self._yuv = YuvPicture(size)
                self._pending.clear()
                self._first_ns = picture.frame.captured_ns
                self._last_key_ns, self._key_wanted = None, True
                return
        raise SinkError(
            f"no H.264 encoder works ({reason})", "leave encoder= out, or use encoder=libx264"
        )

    def _encode(self, picture: Picture) -> list[EncodedPicture]:
        if self._codec is None or self._yuv is None:
            raise ValueError("the encoder is not open")
        captured_ns = picture.frame.captured_ns
        self._yuv.fill(picture.image)
        frame = self._yuv.frame
        frame.pts = (captured_ns - self._first_ns) * TICKS_PER_S // NS_PER_S
        key = self._key_is_due(captured_ns)
        if key:
            self._last_key_ns, self._key_wanted = captured_ns, False
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._pending[frame.pts] = picture
        while len(self._pending) > _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        try:
            packets = self._codec.encode(frame)
        except (av.error.FFmpegError, OSError) as error:
            self._broken.add(self._codec_name)
            self._codec = None
            raise SinkError(
                f"the H.264 encoder {self._codec_name} failed: {error.strerror}", transient=True
            ) from error
        return [encoded for packet in packets if (encoded := self._take(packet)) is not None]

    def _key_is_due(self, captured_ns: int) -> bool:
        """Whether this is to be a key frame: by the clock, as real rates are not the nominal."""
        if self._last_key_ns is None:
            return True
        elapsed_ns = captured_ns - self._last_key_ns
        if self._key_wanted and elapsed_ns >= _LEAST_KEY_DISTANCE_NS:
            return True
        return elapsed_ns >= (self.settings.keyframe_s - 0.5 / self._fps) * NS_PER_S

    def _take(self, packet: "av.Packet[av.VideoStream]") -> EncodedPicture | None:
        data = self._sets.complete(bytes(packet))
        if data is None or self._yuv is None:
            return None
        picture = self._pending.pop(packet.pts or 0, None)
        if picture is None:
            return None
        return EncodedPicture(data, packet.is_keyframe, self._yuv.size, picture)


class Encoders:
    """The encoders of one pipeline, by what was asked for.

    Args:
        fps: Nominal rate of the source; None where it is not known.
    """

    def __init__(self, fps: float | None = None) -> None:
        self._fps = fps
        self._lock = Lock()
        self._encoders: dict[EncoderSettings, Encoder] = {}

    def get(self, settings: EncoderSettings) -> Encoder:
        """The encoder for these settings; the same object for equal ones."""
        with self._lock:
            if settings not in self._encoders:
                self._encoders[settings] = Encoder(settings, self._fps)
            return self._encoders[settings]


def _open_codec(
    name: str, size: Size, fps: float, settings: EncoderSettings
) -> av.VideoCodecContext:
    codec = av.CodecContext.create(name, "w")
    if not isinstance(codec, av.VideoCodecContext):
        raise ValueError(f"{name} encodes no video")  # noqa: TRY004 - handled as any other failure
    codec.width, codec.height = size
    codec.pix_fmt = "yuv420p"
    codec.time_base = Fraction(1, TICKS_PER_S)
    codec.framerate = Fraction(fps).limit_denominator(1001)
    # Key frames are asked for by the clock. The encoder's own distance, in pictures, is for
    # hardware that does not listen.
    codec.gop_size = max(1, round(2 * fps * settings.keyframe_s))
    tag_colors(codec)
    if name == _SOFTWARE:
        rate = str(settings.bitrate_kbps * 1000)
        # One thread: with more, `zerolatency` cuts pictures into slices, which FFmpeg's RTP
        # reader puts together wrongly. Half a second of rate buffer keeps key frames short.
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "23",
            "maxrate": rate,
            "bufsize": str(settings.bitrate_kbps * 500),
            "threads": "1",
            "forced-idr": "1",
        }
    else:
        codec.bit_rate = settings.bitrate_kbps * 1000
    codec.open()
    return codec
