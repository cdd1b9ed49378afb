"""A GStreamer RTSP server in a thread of its own, with bounds on everything."""

import socket
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from edge_detect.core import NS_PER_S, SinkError, monotonic_ns
from edge_detect.sinks.rtsp.auth import make_path_auth, make_user_auth
from edge_detect.sinks.rtsp.clients import Clients, Limits
from edge_detect.sinks.rtsp.mount import Mount
from edge_detect.sinks.rtsp.system import RtspLibraries, load_rtsp_libraries

__all__ = ["RtspServer"]

_TICK_S = 1
_WATCH_S = 0.1
_REMOVE_S = 0.8
# Far more than it takes, also on a busy computer; half of what systemd allows the
# whole program.
_STOP_S = 2.5
# How often clients that hold the thread are cut off meanwhile.
_CUT_S = 0.04
_LAST_EVENTS = 1000
# Between GLib's PRIORITY_DEFAULT_IDLE, at 200, and its PRIORITY_LOW, at 300.
_LEISURE_PRIORITY = 250
# Requests are short. The system doubles it.
_RECEIVE_BUFFER_BYTES = 8_192


class RtspServer:
    """Serves the streams of some paths to any number of viewers, from `start` to `stop`.

    All of GStreamer's calls into this object, and its own into GStreamer's clients, sessions
    and paths, happen in the one thread "edge-rtsp". A client can hold that thread: with its
    first request until there is a picture, and with requests that do not end. The thread
    "edge-rtsp-guard" puts an end to it; pictures flow in any case.

    `add`, `remove` and `stop` are not to be called at the same time.

    Args:
        host: Name or number of a network address of this computer.
        port: TCP port.
        limits: On clients; `clients` is for each path, and each mount tells its own.

    Raises:
        DependencyError: GStreamer is not there.
    """

    def __init__(self, host: str, port: int, limits: Limits) -> None:
        self._libraries = load_rtsp_libraries()
        self._host = host
        self._port = port
        self._limits = limits
        # By path; replaced and never changed, so that all threads can read it as it is.
        self._mounts: dict[str, Mount] = {}
        # What guards the paths, by factory. In the server's thread alone, as `_away`.
        self._auths: dict[Any, Any] = {}
        self._away: set[str] = set()
        self._context: Any = None
        self._stopping = Event()
        self._error: BaseException | None = None

    @property
    def names(self) -> list[str]:
        """The URLs that are served, without credentials."""
        return [mount.address.name for mount in self._mounts.values()]

    @property
    def failed(self) -> bool:
        """Whether it has come to an end by itself."""
        return self._error is not None

    def viewers(self, mount: Mount) -> int:
        """How many clients play the stream of a path."""
        return self._clients.viewers(mount)

    def check(self, mount: Mount) -> None:
        """Raise what brought the server to an end.

        Raises:
            SinkError: An exception that nobody foresaw; transient.
        """
        if self._error is not None:
            raise SinkError(
                f"the server of {mount.address.name!r} failed: {self._error!r}", transient=True
            ) from self._error

    def start(self, name: str) -> None:
        """Listen.

        Args:
            name: Of the first stream, for errors.

        Raises:
            SinkError: The address or port cannot be had.
        """
        server = self._libraries.GstRtspServer.RTSPServer.new()
        server.set_address(self._host)
        server.set_service(str(self._port))
        server.set_backlog(self._limits.strangers)
        server.set_content_length_limit(self._limits.burst_bytes)
        # No threads for clients: everything happens in ours.
        server.get_thread_pool().set_max_threads(0)
        try:
            self._listener = server.create_socket(None)
        except self._libraries.GLib.Error as error:
            raise _cannot_listen(self._libraries, name, self._port, error) from error
        # Connections inherit it: what a client sends in vain shall be little from the start.
        self._listener.set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._clients = Clients(
            self._libraries,
            server.get_session_pool(),
            self._limits,
            self._find,
            self._admit,
            self._kept,
        )
        server.connect("client-connected", self._kept(self._clients.add))
        server.set_auth(make_path_auth(self._libraries, self._auths.__getitem__))
        self._server = server
        self._context = self._libraries.GLib.MainContext.new()
        self._thread = Thread(target=self._kept(self._run), name="edge-rtsp", daemon=True)
        self._guard = Thread(target=self._kept(self._watch), name="edge-rtsp-guard", daemon=True)
        self._thread.start()
        self._guard.start()

    def add(self, mount: Mount) -> None:
        """Serve one more path: whatever is asked from now on.

        Raises:
            SinkError: It is served already.
        """
        address = mount.address
        other = self._mounts.get(address.path)
        if other is not None:
            raise SinkError(
                f"{address.name!r} cannot be served: its path is in use by another output,"
                f" {other.address.name!r}",
                f"choose another path, such as {address.path}2, or another port, such as"
                f" {self._port + 1}",
            )
        self._mounts = {**self._mounts, address.path: mount}
        self._do(lambda: self._add(mount))

    def remove(self, mount: Mount) -> bool:
        """Send the viewers of a path away, and nobody else; returns within a second.

        While another client holds the server's thread, they see no more pictures, and are
        sent away when it is free.

        Returns:
            Whether it was the last one, so that the server can be stopped.
        """
        mount.close()
        others = {path: each for path, each in self._mounts.items() if each is not mount}
        if not others:
            return True
        self._mounts = others
        gone = Event()

        def remove() -> None:
            self._remove(mount)
            gone.set()

        self._do(remove)
        deadline_ns = monotonic_ns() + round(_REMOVE_S * NS_PER_S)
        while not (gone.wait(_CUT_S) or self.failed) and monotonic_ns() < deadline_ns:
            mount.fail()
        return False

    def stop(self) -> None:
        """Send everybody away and let go of the port; waits for no client.

        Raises:
            SinkError: GStreamer does not come to an end.
        """
        self._stopping.set()
        deadline_ns = monotonic_ns() + round(_STOP_S * NS_PER_S)
        while self._thread.is_alive() and monotonic_ns() < deadline_ns:
            for mount in self._mounts.values():
                mount.fail()
            self._clients.cut_off_all()
            self._context.wakeup()
            self._thread.join(_CUT_S)
        self._guard.join(max(0, deadline_ns - monotonic_ns()) / NS_PER_S)
        if self._thread.is_alive():
            where = f"port {self._port} of {self._host}"
            raise SinkError(f"the RTSP server at {where} does not stop", "restart edge-detect")
        # It holds a file descriptor, which shall not wait for the garbage collector.
        self._context = None

    def _run(self) -> None:
        glib = self._libraries.GLib
        channel = glib.IOChannel.unix_new(self._listener.get_fd())
        newcomers = glib.io_create_watch(channel, glib.IOCondition.IN)
        tick = glib.timeout_source_new_seconds(_TICK_S)
        leisure = glib.timeout_source_new_seconds(_TICK_S)
        # After whatever GStreamer does when it is idle, which a flood of connections must
        # not put off either.
        leisure.set_priority(_LEISURE_PRIORITY)
        newcomers.set_priority(glib.PRIORITY_LOW)
        sources = {newcomers: self._accept, tick: self._tick, leisure: self._forget}
        for source, work in sources.items():
            source.set_callback(self._kept(work))
            source.attach(self._context)
        while not self._stopping.is_set():
            self._context.iteration(True)
        for source in sources:
            source.destroy()
        self._listener.close()
        clients = self._clients.close()
        for mount in self._mounts.values():
            mount.disconnect_all()
        # What GStreamer put off until later; it may not go on for ever.
        for _ in range(_LAST_EVENTS):
            if not self._context.iteration(False):
                break
        # The objects hold each other; apart they are freed at once.
        clients.clear()
        self._auths.clear()
        del self._server, self._listener

    def _watch(self) -> None:
        """See to what must not wait while a client holds the server's thread."""
        while not self._stopping.wait(_WATCH_S):
            self._clients.cut_off_talkers()
            for mount in self._mounts.values():
                mount.check()

    def _do(self, work: Callable[[], None]) -> None:
        """Have the server's thread do something before anything else; in this order."""
        glib = self._libraries.GLib
        source = glib.idle_source_new()
        source.set_priority(glib.PRIORITY_HIGH)
        source.set_callback(self._kept(lambda *_: work()))
        source.attach(self._context)

    def _add(self, mount: Mount) -> None:
        factory = mount.make_factory(self._libraries, self._kept)
        address = mount.address
        self._auths[factory] = make_user_auth(self._libraries, address) if address.user else None
        self._away.discard(address.path)
        self._server.get_mount_points().add_factory(address.path, factory)
        self._clients.limit(sum(each.most for each in self._mounts.values()))

    def _remove(self, mount: Mount) -> None:
        path = mount.address.path
        points = self._server.get_mount_points()
        factory, _ = points.match(path)
        self._auths.pop(factory, None)
        points.remove_factory(path)
        self._away.add(path)
        self._clients.close_those_of(mount)
        mount.disconnect_all()

    def _find(self, path: str) -> Mount | None:
        """The stream that a client asks for, by its path or that of its only track."""
        return self._mounts.get(path) or self._mounts.get(path.rpartition("/")[0])

    def _admit(self, path: str) -> bool:
        """Whether a client can be given what it asks for now, or be told that it never can.

        The path of a camera that is being started again is only away.
        """
        mount = self._find(path)
        return mount.admits() if mount is not None else path not in self._away

    def _accept(self, *_: Any) -> bool:
        libraries = self._libraries
        readable = libraries.GLib.IOCondition.IN
        libraries.GstRtspServer.RTSPServer.io_func(self._listener, readable, self._server)
        return True

    def _tick(self, *_: Any) -> bool:
        self._clients.sweep()
        return True

    def _forget(self, *_: Any) -> bool:
        self._clients.forget()
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


def _cannot_listen(libraries: RtspLibraries, name: str, port: int, error: Any) -> SinkError:
    hint = "name an address of this computer, or 0.0.0.0 for all of them"
    transient = True
    codes, domain = libraries.Gio.IOErrorEnum, libraries.Gio.io_error_quark()
    if error.matches(domain, codes.ADDRESS_IN_USE):
        other = name.replace(f":{port}", f":{port + 1}", 1)
        hint = (
            f"another program listens there; choose another port, e.g. {other}"
            ' (--sink URL; make run ARGS="--sink URL"; or `sinks` of a configuration)'
        )
        transient = False
    elif error.matches(domain, codes.PERMISSION_DENIED):
        hint = "ports below 1024 belong to the system; choose another one, e.g. 8554"
        transient = False
    return SinkError(f"{name!r} cannot be served: {error.message}", hint, transient=transient)
