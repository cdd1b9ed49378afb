"""Where entries end up: the journal's socket, or a stream."""

import os
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TextIO

from edge_detect.service.logs.entry import Entry

__all__ = ["JOURNAL_SOCKET", "JournalOutput", "Output", "StreamOutput"]

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")

_WAIT_S = 0.2
_FIRST_WAIT_S = 0.001
# A pipe that can be written at all takes so much at once (POSIX: PIPE_BUF).
_CHUNK = 4096


class Output(ABC):
    """Takes one entry after another, all from one thread."""

    @abstractmethod
    def write(self, entry: Entry, given_up: Event) -> bool:
        """Write an entry, however long that takes.

        Args:
            entry: What was said.
            given_up: Once it is set, nothing is waited for.

        Returns:
            Whether it was written.
        """

    def close(self) -> None:
        """Let go of what was opened."""
        return


class StreamOutput(Output):
    """Writes lines to a stream, by its descriptor where it has one.

    A thread that waits inside Python's own stream holds its lock, and the interpreter aborts
    at its end when it finds that lock taken.

    Args:
        stream: Stays open at the end.
        render: Makes the line, without its end.
    """

    def __init__(self, stream: TextIO, render: Callable[[Entry], str]) -> None:
        self._stream = stream
        self._render = render
        try:
            self._descriptor: int | None = stream.fileno()
        except OSError:
            self._descriptor = None

    def write(self, entry: Entry, given_up: Event) -> bool:
        """Write a line."""
        line = f"{self._render(entry)}\n"
        if self._descriptor is None:
            self._stream.write(line)
            return True
        rest = memoryview(line.encode("utf-8", "backslashreplace"))
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while rest:
            if not poll.poll(_WAIT_S * 1000):
                if given_up.is_set():
                    return False
                continue
            try:
                rest = rest[os.write(self._descriptor, rest[:_CHUNK]) :]
            except BlockingIOError:
                if given_up.wait(_WAIT_S):
                    return False
            except OSError:
                # Its reader is gone, or its disk is full; there is nobody to tell.
                return False
        return True


class JournalOutput(Output):
    """Sends entries with all their fields to systemd's journal.

    It speaks the journal's native protocol itself: python3-systemd 235 keeps the interpreter
    locked while it sends, so that a journal that does not read stops every thread.

    Args:
        encode: Makes the fields.
        path: Of the journal's socket.

    Reference:
        systemd, "Native Journal Protocol", https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
    """

    def __init__(
        self, encode: Callable[[Entry], dict[str, str]], path: Path = JOURNAL_SOCKET
    ) -> None:
        self._encode = encode
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def write(self, entry: Entry, given_up: Event) -> bool:
        """Send an entry; a journal that is away or does not read is waited for."""
        data = _datagram(self._encode(entry))
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                # The journal may be restarted: its socket is looked up every time.
                self._socket.sendto(data, self._path)
            except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
                # Polling would not tell: it looks at our end of the socket alone.
                if given_up.wait(wait_s):
                    return False
                wait_s = min(2 * wait_s, _WAIT_S)
            except OSError:
                return False
            else:
                return True

    def close(self) -> None:
        """Close our end of the socket."""
        self._socket.close()


def _datagram(fields: dict[str, str]) -> bytes:
    parts = []
    for name, text in fields.items():
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            length = len(value).to_bytes(8, "little")
            parts.append(b"%s\n%s%s\n" % (name.encode(), length, value))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), value))
    return b"".join(parts)
