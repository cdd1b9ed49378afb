"""What systemd is told (sd_notify)."""

import os
from collections.abc import Callable, Mapping

from edge_detect.core import DependencyError, monotonic_ns

__all__ = ["Notifier"]

_STATUS_CHARACTERS = 400


class Notifier:
    """Tells systemd about the service; does nothing where no systemd listens.

    Args:
        environment: Of the process.

    Raises:
        DependencyError: systemd listens, but its Python package is not there.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._notify: Callable[[str], object] | None = None
        self._status = ""
        if environment.get("NOTIFY_SOCKET"):
            try:
                from systemd.daemon import notify
            except ImportError as error:
                raise DependencyError(
                    "systemd waits for word from this program, which needs python3-systemd",
                    "sudo apt install python3-systemd, and a venv with --system-site-packages",
                ) from error
            self._notify = notify
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
            self._send("", status)

    def alive(self) -> None:
        """All is well: the watchdog may wait for another interval."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service comes to its end."""
        self._send("STOPPING=1", "stopping")

    def _send(self, state: str, status: str = "") -> None:
        if self._notify is None:
            return
        lines = [state] if state else []
        if status:
            self._status = status
            # One line, whatever error messages it quotes.
            lines.append("STATUS=" + " ".join(status.split())[:_STATUS_CHARACTERS])
        self._notify("\n".join(lines))
