"""One stream of an RTSP server: its path, its viewers' pictures, its password."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from edge_detect.sinks.encoder import Encoder
from edge_detect.sinks.rtsp.feed import LAUNCH, Feed
from edge_detect.sinks.rtsp.system import RtspLibraries

__all__ = ["ROLE", "Address", "Mount"]

# Of those who know a path's password, in GStreamer's words.
ROLE = "viewer"


@dataclass(slots=True, frozen=True)
class Address:
    """Where a stream is served, and who may look.

    Attributes:
        host: Name or number of a network address of this computer.
        port: TCP port; sinks of this process share it.
        path: Of the stream, with a leading slash.
        user: Empty lets everybody in.
        password: Of the user.
    """

    host: str
    port: int
    path: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The URL, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:{self.port}{self.path}"


class Mount:
    """What an encoder makes, on its way to the viewers of one path.

    Args:
        address: Where, and for whom.
        encoder: Has a subscriber while somebody is connected, and nobody otherwise.
        flowing: Whether pictures can be expected soon; without, clients are told to come
            back later (503).
        encoded: Called with `captured_ns` of each picture that came from the encoder.
        most: How many may watch at a time.
        patience_s: The first viewer is answered with 503 when no picture comes in time.
    """

    def __init__(
        self,
        address: Address,
        encoder: Encoder,
        flowing: Callable[[], bool],
        encoded: Callable[[int], None],
        most: int,
        patience_s: float,
    ) -> None:
        self.address = address
        self.most = most
        self._encoder = encoder
        self._flowing = flowing
        self._encoded = encoded
        self._patience_s = patience_s
        # Between the server's thread, which gets viewers their feeds, and that of the sink,
        # which closes.
        self._lock = Lock()
        self._feeds: dict[Any, Feed] = {}
        self._dropped = 0
        self._closed = False

    @property
    def streaming(self) -> bool:
        """Whether anybody looks, or is about to."""
        return bool(self._feeds)

    @property
    def dropped(self) -> int:
        """Pictures that were left out because GStreamer's pipeline stood still."""
        return self._dropped + sum(feed.dropped for feed in list(self._feeds.values()))

    def admits(self) -> bool:
        """Whether a client can be given a stream now."""
        return bool(self._feeds) or self._flowing()

    def welcome(self) -> None:
        """Have a picture soon with which a new viewer can begin."""
        self._encoder.request_key()

    def feeds_media(self, media: Any) -> bool:
        """Whether a GstRTSPMedia is of this path."""
        return media in self._feeds

    def check(self) -> None:
        """Give up on first pictures that are overdue."""
        for feed in list(self._feeds.values()):
            feed.check(self._patience_s)

    def fail(self) -> None:
        """Let no client wait for the first picture any longer."""
        for feed in list(self._feeds.values()):
            feed.fail()

    def make_factory(
        self,
        libraries: RtspLibraries,
        kept: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> Any:
        """A GstRTSPMediaFactory for the path.

        Args:
            libraries: GStreamer.
            kept: Wraps a handler of signals, so that its exceptions are not lost.
        """
        factory = libraries.GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(LAUNCH)
        factory.set_shared(True)
        factory.set_latency(0)
        factory.set_clock(libraries.Gst.SystemClock.obtain())
        lower = libraries.GstRtsp.RTSPLowerTrans
        factory.set_protocols(lower.UDP | lower.TCP)
        if self.address.user:
            role = libraries.Gst.Structure.new_from_string(
                f"{ROLE}, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
            )
            factory.add_role_from_structure(role)

        def connect(_factory: Any, media: Any) -> None:
            media.connect("unprepared", kept(self._disconnect))
            self._connect(libraries, media)

        factory.connect("media-configure", kept(connect))
        return factory

    def close(self) -> None:
        """Take no more from the encoder; from any thread."""
        with self._lock:
            self._closed = True
            feeds = list(self._feeds.values())
        for feed in feeds:
            self._encoder.unsubscribe(feed.push)
            feed.fail()

    def _connect(self, libraries: RtspLibraries, media: Any) -> None:
        feed = Feed(libraries, media, self._encoded)
        with self._lock:
            self._feeds[media] = feed
            if not self._closed:
                self._encoder.subscribe(feed.push)

    def _disconnect(self, media: Any) -> None:
        with self._lock:
            feed = self._feeds.pop(media, None)
        if feed is not None:
            self._encoder.unsubscribe(feed.push)
            self._dropped += feed.dropped

    def disconnect_all(self) -> None:
        """Let go of what GStreamer has not let go of itself."""
        for media in list(self._feeds):
            self._disconnect(media)
