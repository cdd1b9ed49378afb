"""Bounds on what a client can make the server hold: time, memory and connections."""

import asyncio
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_detect.sinks.web.timeouts import Timeouts

__all__ = ["GuestProtocol", "Guests"]

_MOST_UNFINISHED = 64


class Guests:
    """The connections of one server.

    Those that have not sent a whole request yet are held for a few seconds, and no more
    than a few dozen of them: the oldest gives way. So half-open connections, however many
    come, never keep out who has something to ask.
    """

    def __init__(self) -> None:
        self._all: set[GuestProtocol] = set()
        self._unfinished: dict[GuestProtocol, None] = {}

    def add(self, guest: "GuestProtocol") -> None:
        """Welcome a connection."""
        self._all.add(guest)

    def remove(self, guest: "GuestProtocol") -> None:
        """Forget a connection that has ended."""
        self._all.discard(guest)
        self._unfinished.pop(guest, None)

    def begins(self, guest: "GuestProtocol") -> None:
        """A connection owes us a request, or the rest of one."""
        self._unfinished[guest] = None
        if len(self._unfinished) > _MOST_UNFINISHED:
            next(iter(self._unfinished)).abort()

    def finishes(self, guest: "GuestProtocol") -> None:
        """A connection has sent its whole request."""
        self._unfinished.pop(guest, None)

    def abort_all(self) -> None:
        """Cut all connections, whatever they do."""
        for guest in list(self._all):
            guest.abort()


class GuestProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with the timeouts that it lacks.

    A request must be complete some seconds after its beginning, and a client that reads
    nothing for a while is cut off.

    Args:
        guests: All connections of the server.
        timeouts: How long a client is waited for.
        arguments: What uvicorn gives to a protocol.
    """

    def __init__(self, guests: Guests, timeouts: Timeouts, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._guests = guests
        self._timeouts = timeouts
        self._request_timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Cut the connection without waiting for what is still to be sent."""
        self._guests.finishes(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(cast("asyncio.Transport", transport))
        # A send has ended when all is with the kernel: only then is the next, newer picture
        # taken. What waits here would grow old.
        self.transport.set_write_buffer_limits(high=0)
        self._guests.add(self)
        self._watch_request()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        super().data_received(data)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        super().connection_lost(exc)
        self._guests.remove(self)
        for timer in (self._request_timer, self._stuck_timer):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Stop sending: the client does not read."""
        super().pause_writing()
        self._stuck_timer = self.loop.call_later(self._timeouts.stuck_s, self.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read everything."""
        super().resume_writing()
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None

    def _watch_request(self) -> None:
        unfinished = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if unfinished and self._request_timer is None:
            self._request_timer = self.loop.call_later(self._timeouts.request_s, self.abort)
            self._guests.begins(self)
        elif not unfinished and self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None
            self._guests.finishes(self)
