"""The connections of an RTSP server: who plays, who is idle, and who has to go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.sinks.rtsp_system import RtspLibraries

__all__ = ["Clients", "Limits"]


@dataclass(slots=True, frozen=True)
class Limits:
    """Bounds that keep a server going whatever its clients do.

    Attributes:
        clients: Most viewers at a time.
        strangers: Most connections beyond those of viewers. When there are more, the oldest
            without a session goes, so that a flood does not lock viewers out.
        idle_s: A connection without a session is closed after this time.
        session_s: A session is dropped when its client gave no sign of life for this long.
        first_picture_s: The first viewer is answered with 503 when no picture comes in time.
        body_bytes: Longest body of a request.
    """

    clients: int = 16
    strangers: int = 48
    idle_s: float = 10.0
    session_s: int = 30
    first_picture_s: float = 3.0
    body_bytes: int = 65_536


@dataclass(slots=True)
class _Connection:
    """What is known of one client.

    Attributes:
        alive_ns: When it connected, or was last seen to have a session.
        plays: Whether it asked to play.
    """

    alive_ns: int
    plays: bool = False


class Clients:
    """All connections of one server. Used in the server's thread, but for `viewers`.

    Args:
        libraries: GStreamer.
        sessions: The server's session pool.
        limits: What to allow.
        admit: Whether a client can be given a stream now.
        joined: Called when a client begins to play.
    """

    def __init__(
        self,
        libraries: RtspLibraries,
        sessions: Any,
        limits: Limits,
        admit: Callable[[], bool],
        joined: Callable[[], None],
    ) -> None:
        self._libraries = libraries
        self._sessions = sessions
        self._limits = limits
        self._admit = admit
        self._joined = joined
        self._connections: dict[Any, _Connection] = {}

    @property
    def viewers(self) -> int:
        """How many clients play."""
        return sum(connection.plays for connection in list(self._connections.values()))

    def add(self, _server: Any, client: Any) -> None:
        """Take a new connection; handles the server's signal."""
        if len(self._connections) >= self._limits.clients + self._limits.strangers:
            self._evict()
        self._connections[client] = _Connection(monotonic_ns())
        client.connect("closed", self._remove)
        client.connect("pre-describe-request", self._check_describe)
        client.connect("new-session", self._limit_session)
        client.connect("play-request", self._play)
        client.connect("pause-request", self._pause)
        client.connect("teardown-request", self._pause)

    def sweep(self) -> None:
        """Drop sessions that timed out and connections that do nothing; called every second."""
        self._sessions.cleanup()
        now_ns = monotonic_ns()
        oldest_ns = now_ns - round(self._limits.idle_s * NS_PER_S)
        for client, connection in list(self._connections.items()):
            if client.session_filter(None):
                connection.alive_ns = now_ns
            elif connection.alive_ns < oldest_ns:
                client.close()
            else:
                connection.plays = False

    def close(self) -> None:
        """Close all connections and end all sessions."""
        for client in list(self._connections):
            client.close()
        remove = self._libraries.GstRtspServer.RTSPFilterResult.REMOVE
        self._sessions.filter(lambda *_: remove)

    def _evict(self) -> None:
        for client in self._connections:
            if not client.session_filter(None):
                client.close()
                return

    def _remove(self, client: Any) -> None:
        self._connections.pop(client, None)

    def _check_describe(self, _client: Any, _context: Any) -> Any:
        status = self._libraries.GstRtsp.RTSPStatusCode
        return status.OK if self._admit() else status.SERVICE_UNAVAILABLE

    def _limit_session(self, _client: Any, session: Any) -> None:
        session.set_timeout(self._limits.session_s)

    def _play(self, client: Any, _context: Any) -> None:
        connection = self._connections.get(client)
        if connection is not None:
            connection.plays = True
            self._joined()

    def _pause(self, client: Any, _context: Any) -> None:
        connection = self._connections.get(client)
        if connection is not None:
            connection.plays = False
