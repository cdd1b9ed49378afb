"""A GStreamer RTSP server in a thread of its own, with bounds on everything."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from edge_detect.core import NS_PER_S, SinkError, monotonic_ns
from edge_detect.sinks.encoder import Encoder
from edge_detect.sinks.rtsp.clients import Clients, Limits
from edge_detect.sinks.rtsp.feed import LAUNCH, Feed
from edge_detect.sinks.rtsp.system import RtspLibraries, load_rtsp_libraries

__all__ = ["Address", "RtspServer"]

_TICK_S = 1
_WATCH_S = 0.1
_STOP_S = 0.8
_LAST_EVENTS = 1000
# Requests are short. The system doubles it.
_RECEIVE_BUFFER_BYTES = 8_192
_REALM = "edge-detect"
_ROLE = "viewer"


@dataclass(slots=True, frozen=True)
class Address:
    """Where the server listens, and who may look.

    Attributes:
        host: Name or number of a network address of this computer.
        port: TCP port.
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


class RtspServer:
    """Serves what an encoder makes to any number of viewers, from `start` to `stop`.

    All of GStreamer's calls into this object, and its own into GStreamer's clients and
    sessions, happen in the one thread "edge-rtsp". A client can hold that thread: with its
    first request until there is a picture, and with requests that do not end. The thread
    "edge-rtsp-guard" puts an end to it.

    Args:
        address: Where, and for whom.
        encoder: Has a subscriber while somebody is connected, and nobody otherwise.
        limits: On clients.
        flowing: Whether pictures can be expected soon; without, clients are told to come
            back later (503).
        encoded: Called with `captured_ns` of each picture that came from the encoder.

    Raises:
        DependencyError: GStreamer is not there.
    """

    def __init__(
        self,
        address: Address,
        encoder: Encoder,
        limits: Limits,
        flowing: Callable[[], bool],
        encoded: Callable[[int], None],
    ) -> None:
        self._libraries = load_rtsp_libraries()
        self._address = address
        self._encoder = encoder
        self._limits = limits
        self._flowing = flowing
        self._encoded = encoded
        self._feeds: dict[Any, Feed] = {}
        self._dropped = 0
        self._stopping = Event()
        self._error: BaseException | None = None

    @property
    def streaming(self) -> bool:
        """Whether anybody looks, or is about to."""
        return bool(self._feeds)

    @property
    def viewers(self) -> int:
        """How many clients play the stream."""
        return self._clients.viewers

    @property
    def dropped(self) -> int:
        """Pictures that were left out because GStreamer's pipeline stood still."""
        return self._dropped + sum(feed.dropped for feed in list(self._feeds.values()))

    @property
    def failed(self) -> bool:
        """Whether it has come to an end by itself."""
        return self._error is not None

    def check(self) -> None:
        """Raise what brought it to an end.

        Raises:
            SinkError: An exception that nobody foresaw; transient.
        """
        if self._error is not None:
            raise SinkError(
                f"the server of {self._address.name!r} failed: {self._error!r}", transient=True
            ) from self._error

    def start(self) -> None:
        """Listen.

        Raises:
            SinkError: The address or port cannot be had.
        """
        server = self._libraries.GstRtspServer.RTSPServer.new()
        server.set_address(self._address.host)
        server.set_service(str(self._address.port))
        server.set_backlog(self._limits.strangers)
        server.set_content_length_limit(self._limits.burst_bytes)
        # No threads for clients: everything happens in ours.
        server.get_thread_pool().set_max_threads(0)
        try:
            self._listener = server.create_socket(None)
        except self._libraries.GLib.Error as error:
            raise _cannot_listen(self._libraries, self._address, error) from error
        # Connections inherit it: what a client sends in vain shall be little from the start.
        self._listener.set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        sessions = server.get_session_pool()
        sessions.set_max_sessions(self._limits.clients)
        self._clients = Clients(
            self._libraries, sessions, self._limits, self._admit, self._joined, self._kept
        )
        server.connect("client-connected", self._kept(self._clients.add))
        if self._address.user:
            server.set_auth(self._make_auth())
        server.get_mount_points().add_factory(self._address.path, self._make_factory())
        self._server = server
        self._context = self._libraries.GLib.MainContext.new()
        self._thread = Thread(target=self._kept(self._run), name="edge-rtsp", daemon=True)
        self._guard = Thread(target=self._kept(self._watch), name="edge-rtsp-guard", daemon=True)
        self._thread.start()
        self._guard.start()

    def stop(self) -> None:
        """Send everybody away and let go of the port; returns within a second.

        Raises:
            SinkError: GStreamer does not come to an end.
        """
        self._stopping.set()
        deadline_ns = monotonic_ns() + round(_STOP_S * NS_PER_S)
        while self._thread.is_alive() and monotonic_ns() < deadline_ns:
            for feed in list(self._feeds.values()):
                feed.fail()
            self._clients.cut_off_all()
            self._context.wakeup()
            self._thread.join(_STOP_S / 20)
        self._guard.join(_STOP_S)
        if self._thread.is_alive():
            raise SinkError(f"{self._address.name!r} does not stop", "restart edge-detect")
        # It holds a file descriptor, which shall not wait for the garbage collector.
        del self._context

    def _run(self) -> None:
        glib = self._libraries.GLib
        channel = glib.IOChannel.unix_new(self._listener.get_fd())
        newcomers = glib.io_create_watch(channel, glib.IOCondition.IN)
        tick = glib.timeout_source_new_seconds(_TICK_S)
        for source, work in ((newcomers, self._accept), (tick, self._tick)):
            source.set_callback(self._kept(work))
            source.attach(self._context)
        while not self._stopping.is_set():
            self._context.iteration(True)
        tick.destroy()
        newcomers.destroy()
        self._listener.close()
        self._clients.close()
        for media in list(self._feeds):
            self._disconnect_media(media)
        # What GStreamer put off until later; it may not go on for ever.
        for _ in range(_LAST_EVENTS):
            if not self._context.iteration(False):
                break
        # The objects hold each other; apart they are freed at once.
        del self._server, self._listener

    def _watch(self) -> None:
        """See to what must not wait while a client holds the server's thread."""
        while not self._stopping.wait(_WATCH_S):
            self._clients.cut_off_talkers()
            for feed in list(self._feeds.values()):
                feed.check(self._limits.first_picture_s)

    def _accept(self, *_: Any) -> bool:
        libraries = self._libraries
        readable = libraries.GLib.IOCondition.IN
        libraries.GstRtspServer.RTSPServer.io_func(self._listener, readable, self._server)
        return True

    def _tick(self, *_: Any) -> bool:
        self._clients.sweep()
        return True

    def _kept(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, but an exception ends the server and is kept for `check`.

        GStreamer would print it and go on.
        """

        def run(*arguments: Any) -> Any:
            try:
                return work(*arguments)
            except BaseException as error:  # noqa: BLE001 - raised again in the pipeline's thread
                self._error = self._error or error
                self._stopping.set()
                return None

        return run

    def _make_auth(self) -> Any:
        rtsp, address = self._libraries.GstRtspServer, self._address
        auth = rtsp.RTSPAuth.new()
        # Basic would send the password in clear.
        auth.set_supported_methods(self._libraries.GstRtsp.RTSPAuthMethod.DIGEST)
        auth.set_realm(_REALM)
        token = rtsp.RTSPToken.new()
        token.set_string("media.factory.role", _ROLE)
        auth.add_digest(address.user, address.password, token)
        return auth

    def _make_factory(self) -> Any:
        rtsp, gst_rtsp = self._libraries.GstRtspServer, self._libraries.GstRtsp
        factory = rtsp.RTSPMediaFactory.new()
        factory.set_launch(LAUNCH)
        factory.set_shared(True)
        factory.set_latency(0)
        factory.set_clock(self._libraries.Gst.SystemClock.obtain())
        lower = gst_rtsp.RTSPLowerTrans
        factory.set_protocols(lower.UDP | lower.TCP)
        if self._address.user:
            role = self._libraries.Gst.Structure.new_from_string(
                f"{_ROLE}, media.factory.access=(boolean)true,"
                " media.factory.construct=(boolean)true"
            )
            factory.add_role_from_structure(role)
        factory.connect("media-configure", self._kept(self._connect_media))
        return factory

    def _connect_media(self, _factory: Any, media: Any) -> None:
        feed = Feed(self._libraries, media, self._encoded)
        self._feeds[media] = feed
        media.connect("unprepared", self._kept(self._disconnect_media))
        self._encoder.subscribe(feed.push)

    def _disconnect_media(self, media: Any) -> None:
        feed = self._feeds.pop(media, None)
        if feed is not None:
            self._encoder.unsubscribe(feed.push)
            self._dropped += feed.dropped

    def _admit(self) -> bool:
        return bool(self._feeds) or self._flowing()

    def _joined(self) -> None:
        self._encoder.request_key()


def _cannot_listen(libraries: RtspLibraries, address: Address, error: Any) -> SinkError:
    hint = "name an address of this computer, or 0.0.0.0 for all of them"
    transient = True
    codes, domain = libraries.Gio.IOErrorEnum, libraries.Gio.io_error_quark()
    if error.matches(domain, codes.ADDRESS_IN_USE):
        hint = f"another program listens there; choose another port, e.g. {address.port + 1}"
        transient = False
    elif error.matches(domain, codes.PERMISSION_DENIED):
        hint = "ports below 1024 belong to the system; choose another one, e.g. 8554"
        transient = False
    return SinkError(
        f"{address.name!r} cannot be served: {error.message}", hint, transient=transient
    )
