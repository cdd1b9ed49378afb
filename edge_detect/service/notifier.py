"""What systemd is told (sd_notify)."""

import os
import socket
from collections.abc import Mapping

from edge_detect.core import monotonic_ns

__all__ = ["Notifier"]

_STATUS_CHARACTERS = 400


class Notifier:
    """Tells systemd about the service; does nothing where no systemd listens.

    A few datagrams of sd_notify(3), sent without waiting: python3-systemd and the packages
    of PyPI wait for a manager that does not read, and the whole daemon with them.

    Args:
        environment: Of the process.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        # An '@' stands for the zero byte of an abstract address.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self._status = ""
        self._owed = ""
        own = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval_us = environment.get("WATCHDOG_USEC", "0")
        self._watchdog_s = int(interval_us) / 1e6 if own and interval_us.isdecimal() else 0.0

    @property
    def watchdog_s(self) -> float:
        """Within how many seconds systemd expects a sign of life; 0 if it expects none."""
        return self._watchdog_s

    def ready(self, status: str) -> None:
        """The service does its work, at the start or after a reload."""
        self._send("READY=1", status)

    def reloading(self) -> None:
        """The configuration is being read anew; `ready` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns() // 1000}", "reading configuration")

    def status(self, status: str) -> None:
        """A line for `systemctl status`; the same line is sent once."""
        if status != self._status:
            self._send(self._owed, status)

    def alive(self) -> None:
        """All is well: the watchdog may wait for another interval."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service comes to its end."""
        self._send("STOPPING=1", "stopping")

    def _send(self, state: str, status: str = "") -> None:
        if self._socket is None:
            return
        lines = [state] if state else []
        if status:
            # One line, whatever error messages it quotes.
            lines.append("STATUS=" + " ".join(status.split())[:_STATUS_CHARACTERS])
        try:
            self._socket.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError:
            # A manager that is away or busy for so long has other worries. But READY=1 is told
            # with the next status then: one that never hears it loses patience in the end.
            if status:
                self._owed, self._status = state, ""
        else:
            if status:
                self._owed, self._status = "", status
