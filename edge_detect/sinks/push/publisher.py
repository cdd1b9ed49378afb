"""The client's side of RTSP for publishing: ANNOUNCE, SETUP, RECORD (RFC 2326)."""

import os
import re
import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from edge_detect.core import NS_PER_S, SinkError, monotonic_ns
from edge_detect.core.url import Authority
from edge_detect.sinks.push.auth import Challenge, read_challenges
from edge_detect.sinks.push.rtp import describe, is_rtcp
from edge_detect.sinks.push.transport import Inbox, Reply, UdpPorts

__all__ = ["Patience", "Publisher"]

_CONTROL = "streamid=0"
_SEND_BUFFER_BYTES = 512 * 1024


@dataclass(slots=True, frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        connect_s: For its host to take the connection.
        answer_s: For an answer, and for the network to take a picture.
        ask_s: How often the server is asked whether it is still there, which also keeps the
            session alive.
    """

    connect_s: float = 4.0
    answer_s: float = 4.0
    ask_s: float = 3.0


class _Asked(NamedTuple):
    """A request whose answer nobody waits for."""

    number: int
    since_ns: int


class Publisher:
    """One connection to an RTSP server that a stream is pushed to; every wait has an end.

    Args:
        name: For messages, without credentials.
        server: Where it is, and who we are.
        udp: Whether the stream goes by UDP.
        proven: Whether the server has taken the stream before: then whatever it refuses now
            is tried again.
        patience: How long to wait for it.

    Raises:
        SinkError: It cannot be reached or does not answer.
    """

    def __init__(
        self, name: str, server: Authority, *, udp: bool, proven: bool, patience: Patience
    ) -> None:
        self._name = name
        self._server = server
        self._proven = proven
        self._answer_ns = round(patience.answer_s * NS_PER_S)
        self._ask_ns = round(patience.ask_s * NS_PER_S)
        self._udp = UdpPorts() if udp else None
        host = f"[{server.host}]" if ":" in server.host else server.host
        self._uri = f"rtsp://{host}:{server.port}{quote(server.path, safe='/:@!$&()*+,;=~')}"
        self._session = ""
        self._channels = (0, 1)
        self._challenge: Challenge | None = None
        self._number = 0
        self._asked: _Asked | None = None
        self._asked_ns = monotonic_ns()
        self._inbox = Inbox()
        try:
            self._socket = socket.create_connection((server.host, server.port), patience.connect_s)
        except OSError as error:
            self._close_udp()
            raise self._lost(error) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What waits in the system's buffer is delay.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._socket.settimeout(patience.answer_s)
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        try:
            self._ask("OPTIONS", self._uri)
        except BaseException:
            self.close()
            raise

    def announce(self, sps: bytes, pps: bytes) -> None:
        """Tell the server what will come, and have it ready.

        Args:
            sps: Sequence parameter set of the video.
            pps: Picture parameter set.

        Raises:
            SinkError: It refuses, or has gone.
        """
        wanted = "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"
        try:
            host = self._socket.getpeername()[0]
            if self._udp is not None:
                first, second = self._udp.open(self._socket.family)
                wanted = f"RTP/AVP/UDP;unicast;client_port={first}-{second};mode=record"
        except OSError as error:
            raise self._lost(error) from error
        body = describe(sps, pps, host, _CONTROL)
        self._ask("ANNOUNCE", self._uri, ["Content-Type: application/sdp"], body)
        reply = self._ask("SETUP", f"{self._uri}/{_CONTROL}", [f"Transport: {wanted}"])
        self._session = reply.header("session").partition(";")[0]
        self._take_transport(reply.header("transport"), host)
        self._ask("RECORD", self._uri, ["Range: npt=0.000-"])

    def send(self, packets: Sequence[bytes]) -> None:
        """Send RTP and RTCP packets.

        Raises:
            SinkError: The server has gone, or takes nothing any more.
        """
        if self._udp is not None:
            try:
                for packet in packets:
                    self._udp.send(packet, control=is_rtcp(packet))
            except OSError as error:
                raise self._lost(error) from error
            return
        framed = bytearray()
        for packet in packets:
            channel = self._channels[is_rtcp(packet)]
            framed += b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet
        self._send(framed)

    def check(self) -> None:
        """See whether the server is still there; to be called often, never waits for it.

        Raises:
            SinkError: It is not, or has not answered for a while.
        """
        try:
            while self._readable.poll(0):
                self._receive()
                self._sort_replies()
        except OSError as error:
            raise self._lost(error) from error
        now_ns = monotonic_ns()
        if self._asked is not None:
            if now_ns - self._asked.since_ns > self._answer_ns:
                raise self._lost(TimeoutError())
        elif now_ns - self._asked_ns > self._ask_ns:
            self._asked_ns = now_ns
            self._send(self._request("OPTIONS", self._uri))
            self._asked = _Asked(self._number, now_ns)

    def close(self) -> None:
        """Say good-bye without waiting for an answer; may be called from any thread."""
        with suppress(OSError):
            if self._session:
                self._socket.settimeout(0)
                self._socket.sendall(self._request("TEARDOWN", self._uri))
        self.abort()
        self._socket.close()
        self._close_udp()

    def abort(self) -> None:
        """End every wait for the server at once; may be called from any thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _ask(self, method: str, uri: str, headers: Sequence[str] = (), body: bytes = b"") -> Reply:
        """Send a request and wait for its answer, once more with the password if asked to."""
        for _ in range(2):
            answered = self._challenge
            self._send(self._request(method, uri, headers, body))
            reply = self._wait_for_reply()
            if reply.status != 401:
                break
            self._challenge = read_challenges(reply.all("www-authenticate"))
            if self._challenge is None or not self._server.user:
                break
            if answered is not None and reply.header("www-authenticate").find("stale=true") < 0:
                break
        # A server that dislikes OPTIONS is there all the same.
        if reply.status == 200 or (method == "OPTIONS" and reply.status not in (401, 403)):
            return reply
        raise self._refused(method, reply)

    def _request(
        self, method: str, uri: str, headers: Sequence[str] = (), body: bytes = b""
    ) -> bytes:
        self._number += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self._number}", "User-Agent: edge-detect"]
        if self._session:
            lines.append(f"Session: {self._session}")
        if self._challenge is not None:
            user, password = self._server.user, self._server.password
            lines.append(f"Authorization: {self._challenge.answer(user, password, method, uri)}")
        lines += headers
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body

    def _wait_for_reply(self) -> Reply:
        until_ns = monotonic_ns() + self._answer_ns
        try:
            while True:
                reply = self._inbox.reply()
                if reply is not None and reply.number == self._number:
                    return reply
                if reply is None:
                    left_ms = (until_ns - monotonic_ns()) // 1_000_000
                    if left_ms <= 0 or not self._readable.poll(left_ms):
                        raise TimeoutError
                    self._receive()
        except OSError as error:
            raise self._lost(error) from error

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError
        self._inbox.add(data)

    def _sort_replies(self) -> None:
        while (reply := self._inbox.reply()) is not None:
            if self._asked is not None and reply.number == self._asked.number:
                self._asked = None

    def _send(self, data: bytes | bytearray) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def _take_transport(self, transport: str, host: str) -> None:
        if self._udp is None:
            match = re.search(r"interleaved=(\d{1,3})-(\d{1,3})", transport, re.ASCII)
            if match is not None:
                self._channels = (int(match[1]) & 255, int(match[2]) & 255)
            return
        match = re.search(r"server_port=(\d{1,5})-(\d{1,5})", transport, re.ASCII)
        if match is None:
            raise SinkError(
                f"{self._name} takes no stream by UDP", "leave transport=udp out", transient=True
            )
        self._udp.connect(host, int(match[1]), int(match[2]))

    def _close_udp(self) -> None:
        if self._udp is not None:
            self._udp.close()

    def _refused(self, method: str, reply: Reply) -> SinkError:
        if reply.status in (401, 403):
            known = bool(self._server.user)
            return SinkError(
                f"{self._name} refuses {'this user and password' if known else 'strangers'}",
                "check user and password, and that the user may publish there"
                if known
                else "name a user: rtsp-push://user:password@host:8554/path",
                transient=self._proven,
            )
        return SinkError(
            f"{self._name} refuses the stream: {method} is answered by "
            f"{reply.status} {reply.reason}",
            "check the path, and that the server lets streams be published there",
            transient=True,
        )

    def _lost(self, error: OSError) -> SinkError:
        if isinstance(error, TimeoutError):
            reason = "it does not answer"
        elif isinstance(error, socket.gaierror):
            reason = f"its address is not known ({error.strerror})"
        elif isinstance(error, ConnectionResetError | BrokenPipeError):
            reason = "it closed the connection"
        else:
            reason = os.strerror(error.errno) if error.errno else str(error)
        return SinkError(
            f"cannot push to {self._name}: {reason}",
            "see whether the server runs, and whether the address is right",
            transient=True,
        )
