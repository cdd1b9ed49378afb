"""An HTTP server in a thread of its own."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from edge_detect.core import SinkError
from edge_detect.sinks.web.connections import GuestProtocol, Guests
from edge_detect.sinks.web.timeouts import Timeouts

__all__ = ["WebServer", "listen"]

_BACKLOG = 128
_MOST_CONNECTIONS = 256
_MOST_HEADER_BYTES = 16 * 1024
# The page asks every second.
_KEEP_ALIVE_S = 2
# Time for streams to end in good order before connections are cut.
_GOODBYE_S = 0.05
_SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    # Clients that vanished without a word are noticed after half a minute.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),
    # The kernel takes little more than the network carries: a picture that waits there
    # cannot be replaced by a newer one.
    (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16 * 1024),
)


def listen(host: str, port: int) -> socket.socket:
    """Take a port; connections wait there until a server serves them.

    Args:
        host: An address of this machine, or a name for one.
        port: 0 lets the system choose.

    Raises:
        SinkError: The address is not this machine's, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        # UnicodeError: a label of the name is empty, too long, or of impossible characters.
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise SinkError(
            f"{host!r} is no address to listen at: {reason}",
            "use http://:8080 for this machine alone, or http://0.0.0.0:8080 for the network",
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        for level, option, value in _SOCKET_OPTIONS:
            listener.setsockopt(level, option, value)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


class WebServer:
    """Serves an application from a thread "edge-web".

    Args:
        app: What to serve.
        listener: Where; closed at the end.
        end_streams: Called in the event loop when the server stops: whatever answers without
            an end must end now.
        timeouts: How long clients, and the end of the thread, are waited for.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        end_streams: Callable[[], None],
        timeouts: Timeouts | None = None,
    ) -> None:
        timeouts = timeouts or Timeouts()
        guests = Guests()
        config = uvicorn.Config(
            cast("Any", app),
            loop="asyncio",
            # A class is asked for, but anything that makes protocols does.
            http=cast("Any", partial(GuestProtocol, guests, timeouts)),
            ws="none",
            lifespan="off",
            log_config=None,
            # Nonsense from clients is not worth a line each; a defect of ours is.
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        )
        self._server = _Server(config, guests, end_streams)
        self._listener = listener
        self._stop_s = timeouts.stop_s
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._run, name="edge-web", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def call_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have the event loop call something; nothing happens before the start and at the end."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> bool:
        """End all connections and the thread.

        Returns:
            Whether that happened in time.
        """
        self._server.should_exit = True
        self._thread.join(self._stop_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                with self._lock:
                    self._loop = runner.get_loop()
                try:
                    runner.run(self._server.serve(sockets=[self._listener]))
                finally:
                    with self._lock:
                        self._loop = None
        except BaseException as error:  # noqa: BLE001 - kept for whoever asks how it ended
            self.error = error
        finally:
            self._listener.close()


class _Server(uvicorn.Server):
    """A server that does not wait for viewers who would watch for ever."""

    def __init__(
        self, config: uvicorn.Config, guests: Guests, end_streams: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._guests = guests
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then connections, then the server."""
        self._end_streams()
        await asyncio.sleep(_GOODBYE_S)
        self._guests.abort_all()
        with contextlib.suppress(OSError):
            await super().shutdown(sockets)


def _cannot_listen(host: str, port: int, error: OSError) -> SinkError:
    if error.errno == errno.EADDRINUSE:
        return SinkError(
            f"port {port} of {host} is in use by another program",
            f"`sudo ss -ltnp 'sport = :{port}'` tells which; or use another, e.g. :{port + 1}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return SinkError(f"port {port} of {host} is not allowed", "use a port from 1024")
    if error.errno == errno.EADDRNOTAVAIL:
        # After boot the network may come up later than we do.
        return SinkError(
            f"no network interface has the address {host}",
            "`ip -brief address` lists those there are; 0.0.0.0 stands for all",
            transient=True,
        )
    return SinkError(f"cannot listen at port {port} of {host}: {error.strerror}")
