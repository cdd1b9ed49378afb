"""The RTSP servers of this process: sinks at one address and port share one."""

from threading import Lock

from edge_detect.core import SinkError
from edge_detect.sinks.rtsp.clients import Limits
from edge_detect.sinks.rtsp.mount import Mount
from edge_detect.sinks.rtsp.server import RtspServer

__all__ = ["join", "leave"]

_lock = Lock()
_servers: dict[tuple[str, int], RtspServer] = {}


def join(mount: Mount, limits: Limits) -> RtspServer:
    """Serve a path at its address, by the server that is there or a new one.

    Args:
        mount: What to serve.
        limits: On clients, if the server is new.

    Raises:
        SinkError: The address or port cannot be had, or the path is served already.
        DependencyError: GStreamer is not there.
    """
    address = mount.address
    key = (address.host, address.port)
    # Held no longer than a server may take to stop.
    with _lock:
        server = _servers.get(key)
        if server is not None and server.failed:
            # Its sinks will close it, each in its time; the first to come back begins anew.
            del _servers[key]
            server.stop()
            server = None
        if server is None:
            server = RtspServer(address.host, address.port, limits)
            try:
                server.start(address.name)
            except SinkError as error:
                raise _own_conflict(mount, error) or error from error.__cause__
            _servers[key] = server
        server.add(mount)
        return server


def leave(server: RtspServer, mount: Mount) -> None:
    """Serve a path no more; the last to leave frees the port.

    Raises:
        SinkError: The server does not come to an end.
    """
    with _lock:
        if not server.remove(mount):
            return
        for key, other in list(_servers.items()):
            if other is server:
                del _servers[key]
        server.stop()


def _own_conflict(mount: Mount, error: SinkError) -> SinkError | None:
    """What to say when it is this process that has the port, under another address."""
    address = mount.address
    for (host, port), server in _servers.items():
        if port == address.port and not error.transient:
            return SinkError(
                f"{error.message}, for {' and '.join(map(repr, server.names))}",
                f"give both the same address, {host}, or another port, e.g. {port + 1}",
            )
    return None
