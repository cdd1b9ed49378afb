"""Reading an RTSP connection, and the pair of UDP sockets beside it."""

import re
import socket
from dataclasses import dataclass

from edge_detect.core import SinkError

__all__ = ["Inbox", "Reply", "UdpPorts"]

# A server that sends more than this without an end of a message sends no RTSP.
_MOST_BYTES = 256 * 1024
_STATUS = re.compile(rb"RTSP/\d\.\d (\d{3}) ?([^\r\n]{0,80})", re.ASCII)
_TRIES = 20


@dataclass(slots=True, frozen=True)
class Reply:
    """An answer of a server.

    Attributes:
        status: 200 for yes.
        reason: The same in words.
        headers: Names in lower case.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    @property
    def number(self) -> int:
        """Of the request that it answers; -1 where it does not say."""
        text = self.header("cseq")
        return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else -1

    def header(self, name: str) -> str:
        """The first header of a name; empty where there is none."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """All headers of a name."""
        return [value for key, value in self.headers if key == name]


class Inbox:
    """Takes apart what a server sends: replies, requests, and reports in between."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Add what came.

        Raises:
            ConnectionAbortedError: It makes no sense.
        """
        self._data += data
        if len(self._data) > _MOST_BYTES:
            raise ConnectionAbortedError(0, "it sends no RTSP")

    def reply(self) -> Reply | None:
        """The next whole reply; None until one is there."""
        while self._data:
            if self._data[0] == ord("$"):
                length = 4 + int.from_bytes(self._data[2:4], "big")
                if len(self._data) < max(4, length):
                    return None
                del self._data[:length]
                continue
            head, found, _ = bytes(self._data).partition(b"\r\n\r\n")
            if not found:
                return None
            lines = head.decode("utf-8", "replace").split("\r\n")
            pairs = (line.partition(":") for line in lines[1:])
            headers = tuple((key.strip().lower(), value.strip()) for key, _, value in pairs)
            status = _STATUS.match(head)
            reply = Reply(
                int(status[1]) if status else 0,
                status[2].decode("ascii", "replace").strip() if status else "",
                headers,
            )
            body = reply.header("content-length")
            end = len(head) + 4 + (int(body) if re.fullmatch(r"\d{1,6}", body, re.ASCII) else 0)
            if len(self._data) < end:
                return None
            del self._data[:end]
            if status is not None:
                return reply
        return None


class UdpPorts:
    """Two neighbouring UDP ports, for the stream and for its reports."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def open(self, family: int) -> tuple[int, int]:
        """Take two free ports, the first of them even, as RFC 3550 wants it.

        Args:
            family: `socket.AF_INET` or `AF_INET6`.

        Raises:
            SinkError: There are none.
        """
        for _ in range(_TRIES):
            first = socket.socket(family, socket.SOCK_DGRAM)
            second = socket.socket(family, socket.SOCK_DGRAM)
            try:
                first.bind(("", 0))
                port = first.getsockname()[1]
                if port % 2 == 0:
                    second.bind(("", port + 1))
                    self._sockets = [first, second]
                    return port, port + 1
            except OSError:
                # The neighbour is taken; another pair is not.
                pass
            first.close()
            second.close()
        raise SinkError("no two neighbouring UDP ports are free", "use TCP", transient=True)

    def connect(self, host: str, stream_port: int, report_port: int) -> None:
        """Send to these ports of a server from now on."""
        for each, port in zip(self._sockets, (stream_port, report_port), strict=True):
            each.connect((host, port))
            each.setblocking(False)

    def send(self, packet: bytes, *, control: bool) -> None:
        """Send a packet; a full buffer or a closed port loses it, as the network may."""
        try:
            self._sockets[control].send(packet)
        except (BlockingIOError, ConnectionRefusedError):
            return

    def close(self) -> None:
        """Let the ports go."""
        for each in self._sockets:
            each.close()
