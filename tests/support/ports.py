"""Ports that no other test has, also when tests run side by side."""

import os
import random
import socket

# Below the ports that the system hands out itself (32768 and up), so that no client's
# connection takes one between the choice and its use.
_FIRST, _LAST = 12_000, 32_000
_SIDE_BY_SIDE = 16


def _block() -> list[int]:
    """The ports of this process among those that run tests side by side, in any order."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    mine = int(worker) % _SIDE_BY_SIDE if worker.isdecimal() else 0
    ports = list(range(_FIRST + mine, _LAST, _SIDE_BY_SIDE))
    random.SystemRandom().shuffle(ports)
    return ports


_ports = _block()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port on which nothing listens, and which no later call returns again.

    Args:
        kind: `SOCK_STREAM` for TCP, `SOCK_DGRAM` for UDP.
    """
    while _ports:
        port = _ports.pop()
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - for a moment, nothing listens
            except OSError:
                continue
        return port
    raise RuntimeError("all ports of this process have been handed out")
