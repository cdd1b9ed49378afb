"""A TCP gate before a server: closed, nothing listens there; open, all goes through."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from support.ports import free_port
from support.waiting import HANG_S

_PIECE = 65536


class Gate:
    """Forwards connections to a port of this machine while it is open.

    Args:
        target: That port.

    Attributes:
        port: Where clients of the gate connect.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._listener: socket.socket | None = None
        self._pairs: list[socket.socket] = []
        self._threads: list[Thread] = []

    def open(self) -> None:
        """Listen, and let everybody in."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._start(self._accept, self._listener)

    def close(self) -> None:
        """Refuse new connections and end those that there are."""
        for each in [self._listener, *self._pairs]:
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        for thread in self._threads:
            thread.join(HANG_S)
        self._listener, self._pairs, self._threads = None, [], []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._pairs += client, server
            self._start(_forward, client, server)
            self._start(_forward, server, client)

    def _start(self, function, *sockets: socket.socket) -> None:
        thread = Thread(target=function, args=sockets, name="test-gate", daemon=True)
        self._threads.append(thread)
        thread.start()


@contextmanager
def gate_to(port: int) -> Iterator[Gate]:
    """A closed gate for the time of a `with` statement."""
    gate = Gate(port)
    try:
        yield gate
    finally:
        gate.close()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
