"""Starting the test servers as programs of their own, and what may go wrong between."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Program", "Proxy", "http_server", "rtsp_server", "silent_port"]

_BLOCK = 1024
_HERE = Path(__file__).parent


class Program:
    """A server in a process of its own, which can be killed and frozen.

    Args:
        script: In this folder.
        arguments: For it; what is printed first is the port.
    """

    def __init__(self, script: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{script} did not start; see what it printed above")
        self.port = int(line)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        """Stop it; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, whatever its state."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def rtsp_server(*arguments: str) -> Iterator[Program]:
    """A camera that speaks RTSP; see rtsp_server.py for the arguments."""
    with contextlib.closing(Program("rtsp_server.py", *arguments)) as program:
        yield program


@contextlib.contextmanager
def http_server(*arguments: str) -> Iterator[Program]:
    """A camera that speaks HTTP; see http_server.py for the arguments."""
    with contextlib.closing(Program("http_server.py", *arguments)) as program:
        yield program


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class Proxy:
    """Passes bytes between a client and a server, damaging some of what the server says.

    Args:
        port: Of the server.
        damage: Part of the blocks of 1024 bytes that are overwritten with noise, once the first
            `spared` bytes have passed.
        spared: See there.
    """

    def __init__(self, port: int, damage: float, spared: int = 20_000) -> None:
        self._server_port = port
        self._damage = damage
        self._spared = spared
        self._random = random.Random(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self.damaged = 0
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def close(self) -> None:
        """Cut all connections."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port), 5)
                server.settimeout(None)
                self._open += [client, server]
                for job in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=job, name="proxy", daemon=True).start()

    def _pass(self, giver: socket.socket, taker: socket.socket, damage: bool) -> None:  # noqa: FBT001
        passed = 0
        with contextlib.suppress(OSError):
            while data := giver.recv(65536):
                if damage and passed > self._spared:
                    data = self._spoil(data)
                passed += len(data)
                taker.sendall(data)
        for each in (giver, taker):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _spoil(self, data: bytes) -> bytes:
        spoiled = bytearray(data)
        for begin in range(0, len(data), _BLOCK):
            if self._random.random() < self._damage:
                end = min(begin + _BLOCK, len(data))
                spoiled[begin:end] = self._random.randbytes(end - begin)
                self.damaged += 1
        return bytes(spoiled)
