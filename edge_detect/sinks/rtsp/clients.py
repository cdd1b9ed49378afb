"""The connections of an RTSP server: who plays, who is idle, and who has to go."""

import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.sinks.rtsp.mount import Mount
from edge_detect.sinks.rtsp.system import RtspLibraries

__all__ = ["Allowance", "Clients", "Limits"]

_log = logging.getLogger(__name__)
# What the system keeps for a client that reads slowly is delay; this is a fifth of a second
# of the default bitrate. The system doubles it.
_SEND_BUFFER_BYTES = 98_304
# `struct linger`: a closed connection is reset, and its peer does not go on for minutes.
_NO_FAREWELL = struct.pack("ii", 1, 0)
# For so long a client is kept after it left: GStreamer's sending threads may only now find
# out, and have the client closed once more by its mere address.
_FAREWELL_S = 5.0
# Where Linux counts the bytes received in its `struct tcp_info`, the same on all processors.
_TCP_INFO_BYTES, _BYTES_RECEIVED = 136, 128


@dataclass(slots=True, frozen=True)
class Limits:
    """Bounds that keep a server going whatever its clients do.

    Attributes:
        clients: Most viewers of a path at a time.
        strangers: Most connections beyond those of viewers. When there are more, the oldest
            without a session goes, so that a flood does not lock viewers out.
        idle_s: A connection without a session is closed after this time.
        session_s: What clients are told: a session lasts this long without a sign of life.
        session_grace_s: How much later it is dropped, for signs of life that come late.
        stuck_s: A connection that takes no data for this long is cut. GStreamer itself keeps
            ten seconds of the stream for a slow viewer, then gives up on it.
        first_picture_s: The first viewer is answered with 503 when no picture comes in time.
        burst_bytes: A client that sends more than this at once is cut off. Requests have some
            hundred bytes.
        bytes_per_s: What it may send in the long run. A decent one sends some ten.
    """

    clients: int = 16
    strangers: int = 48
    idle_s: float = 10.0
    session_s: int = 30
    session_grace_s: int = 5
    stuck_s: float = 15.0
    first_picture_s: float = 3.0
    burst_bytes: int = 32_768
    bytes_per_s: int = 4_096


class Allowance:
    """How much a client may still send: a bucket that fills up again, up to a burst.

    Args:
        burst_bytes: What it holds.
        bytes_per_s: How fast it fills.
    """

    def __init__(self, burst_bytes: int, bytes_per_s: int) -> None:
        self._burst = burst_bytes
        self._bytes_per_s = bytes_per_s
        self._left = float(burst_bytes)
        self._total = 0
        self._seen_ns = monotonic_ns()

    def exceeded(self, total_bytes: int, now_ns: int) -> bool:
        """Whether too much has come.

        Args:
            total_bytes: Received since the beginning.
            now_ns: CLOCK_MONOTONIC time of that.
        """
        filled = (now_ns - self._seen_ns) / NS_PER_S * self._bytes_per_s
        self._left = min(self._burst, self._left + filled) - (total_bytes - self._total)
        self._total, self._seen_ns = total_bytes, now_ns
        return self._left < 0


@dataclass(slots=True)
class _Connection:
    """What is known of one client.

    Attributes:
        tcp: The connection once more, for use while GStreamer holds the server's thread.
        allowance: What it may send.
        alive_ns: When it connected, or was last seen to have a session.
        asked: The paths that it asked for; it may hold their streams without a session.
        plays: The paths that it asked to play.
        sent_to: Whether it has asked for a path's packets, so that GStreamer may be sending.
        sessions: Of GStreamer, which would keep them for a while after the client left.
    """

    tcp: socket.socket
    allowance: Allowance
    alive_ns: int
    asked: set[Mount] = field(default_factory=set)
    plays: set[Mount] = field(default_factory=set)
    sent_to: bool = False
    sessions: list[Any] = field(default_factory=list)


class Clients:
    """All connections of one server.

    Used in the server's thread, but for `viewers`, `cut_off_talkers` and `cut_off_all`.

    Args:
        libraries: GStreamer.
        sessions: The server's session pool.
        limits: What to allow.
        find: The stream that a path belongs to, if any.
        admit: Whether a client can be given what it asks for at a path now.
        kept: Wraps a handler of signals, so that its exceptions are not lost.
    """

    def __init__(
        self,
        libraries: RtspLibraries,
        sessions: Any,
        limits: Limits,
        find: Callable[[str], Mount | None],
        admit: Callable[[str], bool],
        kept: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        self._libraries = libraries
        self._sessions = sessions
        self._limits = limits
        self._find = find
        self._admit = admit
        self._kept = kept
        self._most_viewers = limits.clients
        self._connections: dict[Any, _Connection] = {}
        # With the time when they left.
        self._gone: deque[tuple[int, Any]] = deque()

    def viewers(self, mount: Mount) -> int:
        """How many clients play the stream of a path."""
        return sum(mount in connection.plays for connection in list(self._connections.values()))

    def limit(self, viewers: int) -> None:
        """Allow so many viewers on all paths together."""
        self._most_viewers = viewers
        self._sessions.set_max_sessions(viewers)

    def add(self, _server: Any, client: Any) -> None:
        """Take a new connection; handles the server's signal."""
        if len(self._connections) >= self._most_viewers + self._limits.strangers:
            self._evict()
        tcp = socket.socket(fileno=os.dup(client.get_connection().get_read_socket().get_fd()))
        # It may be gone already.
        with suppress(OSError):
            self._tune(tcp)
        allowance = Allowance(self._limits.burst_bytes, self._limits.bytes_per_s)
        self._connections[client] = _Connection(tcp, allowance, monotonic_ns())
        handlers: dict[str, Callable[..., Any]] = {
            "closed": self._remove,
            "pre-describe-request": self._check_describe,
            "pre-setup-request": self._check_setup,
            "new-session": self._limit_session,
            "play-request": self._play,
            "pause-request": self._pause,
            "teardown-request": self._pause,
        }
        for signal, handler in handlers.items():
            client.connect(signal, self._kept(handler))

    def sweep(self) -> None:
        """Drop who timed out, does nothing or cannot keep up; called every second."""
        self._sessions.cleanup()
        now_ns = monotonic_ns()
        oldest_ns = now_ns - round(self._limits.idle_s * NS_PER_S)
        for client, connection in list(self._connections.items()):
            sessions = client.session_filter(None)
            if sessions:
                connection.alive_ns = now_ns
            else:
                connection.plays.clear()
            # GStreamer takes the stream from a client that is ten seconds behind, but leaves
            # it connected; closed, its player knows that it must come again.
            cut_off = bool(connection.plays) and any(_is_cut_off(session) for session in sessions)
            if cut_off:
                _log.info("a viewer that fell ten seconds behind was sent away")
            if cut_off or connection.alive_ns < oldest_ns:
                client.close()

    def forget(self) -> None:
        """Let go of those who left; to be called when nothing else is to be done.

        A thread of GStreamer (1.22) that cannot send to a client has the server's
        thread close it when it is idle, and nothing keeps the client until then but this.
        """
        latest_ns = monotonic_ns() - round(_FAREWELL_S * NS_PER_S)
        while self._gone and self._gone[0][0] < latest_ns:
            self._gone.popleft()

    def close(self) -> list[Any]:
        """Close all connections and end all sessions.

        Returns:
            All clients, to be kept until GStreamer has done what it put off, as in `forget`.
        """
        clients = list(self._connections)
        for client in clients:
            client.close()
        remove = self._libraries.GstRtspServer.RTSPFilterResult.REMOVE
        self._sessions.filter(lambda *_: remove)
        clients.extend(client for _, client in self._gone)
        self._gone.clear()
        return clients

    def close_those_of(self, mount: Mount) -> None:
        """Close the connections of whoever looks at a path, and end their sessions."""
        for client, connection in list(self._connections.items()):
            if mount in connection.asked:
                client.close()
        result = self._libraries.GstRtspServer.RTSPFilterResult

        def of_mount(_pool: Any, session: Any) -> Any:
            return result.REMOVE if _is_of(session, mount) else result.KEEP

        self._sessions.filter(of_mount)

    def cut_off_talkers(self) -> None:
        """Cut off who sends too much; called a few times a second from another thread.

        GStreamer reads requests byte by byte, a megabyte a second, and does not return
        while more is coming: one header without an end would hold the server for ever.
        """
        now_ns = monotonic_ns()
        for connection in list(self._connections.values()):
            # The server's thread may have closed it in the meantime.
            with suppress(OSError):
                if connection.allowance.exceeded(_received_bytes(connection.tcp), now_ns):
                    connection.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_FAREWELL)
                    connection.tcp.shutdown(socket.SHUT_RDWR)

    def cut_off_all(self) -> None:
        """End whatever clients hold the server's thread with."""
        for connection in list(self._connections.values()):
            with suppress(OSError):
                connection.tcp.shutdown(socket.SHUT_RDWR)

    def _tune(self, tcp: socket.socket) -> None:
        # Pictures do not wait until the one before them is acknowledged.
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        stuck_ms = round(self._limits.stuck_s * 1000)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stuck_ms)

    def _evict(self) -> None:
        for client in self._connections:
            if not client.session_filter(None):
                client.close()
                return

    def _remove(self, client: Any) -> None:
        connection = self._connections.pop(client, None)
        if connection is not None:
            if connection.sent_to:
                self._gone.append((monotonic_ns(), client))
            connection.tcp.close()
            for session in connection.sessions:
                self._sessions.remove(session)

    def _check_describe(self, client: Any, context: Any) -> Any:
        status = self._libraries.GstRtsp.RTSPStatusCode
        path = context.uri.abspath
        if not self._admit(path):
            return status.SERVICE_UNAVAILABLE
        self._note(client, path)
        return status.OK

    def _check_setup(self, client: Any, context: Any) -> Any:
        status = self._libraries.GstRtsp.RTSPStatusCode
        mount = self._note(client, context.uri.abspath)
        connection = self._connections.get(client)
        if connection is not None:
            connection.sent_to = True
        if mount is not None:
            others = [each for each in self._sessions.filter(None) if each != context.session]
            if sum(_is_of(session, mount) for session in others) >= mount.most:
                return status.SERVICE_UNAVAILABLE
        return status.OK

    def _note(self, client: Any, path: str) -> Mount | None:
        """Remember that a client asked for a path, and tell whose it is."""
        mount = self._find(path)
        connection = self._connections.get(client)
        if mount is not None and connection is not None:
            connection.asked.add(mount)
        return mount

    def _limit_session(self, client: Any, session: Any) -> None:
        session.set_timeout(self._limits.session_s)
        session.set_property("extra-timeout", self._limits.session_grace_s)
        connection = self._connections.get(client)
        if connection is not None:
            connection.sessions.append(session)

    def _play(self, client: Any, context: Any) -> None:
        connection = self._connections.get(client)
        mount = self._note(client, context.uri.abspath)
        if connection is not None and mount is not None:
            connection.sent_to = True
            connection.plays.add(mount)
            mount.welcome()

    def _pause(self, client: Any, context: Any) -> None:
        connection = self._connections.get(client)
        mount = self._find(context.uri.abspath)
        if connection is not None and mount is not None:
            connection.plays.discard(mount)


def _is_of(session: Any, mount: Mount) -> bool:
    """Whether a session has the stream of a path."""
    return any(mount.feeds_media(played.get_media()) for played in session.filter(None))


def _is_cut_off(session: Any) -> bool:
    """Whether GStreamer has stopped sending to a session that plays."""
    for played in session.filter(None):
        transport = played.get_transport(0)
        active = played.get_media().get_stream(0).transport_filter(None)
        if transport is not None and transport not in active:
            return True
    return False


def _received_bytes(tcp: socket.socket) -> int:
    """How much a client has sent so far."""
    info = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    received: int = struct.unpack_from("=Q", info, _BYTES_RECEIVED)[0]
    return received
