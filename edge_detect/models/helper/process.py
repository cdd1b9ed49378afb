"""The helper's process, seen from outside."""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
from threading import Event, Thread
from time import monotonic

from edge_detect.models.helper.wire import MESSAGE_BYTES, SLOTS, Order

__all__ = ["HelperProcess", "helper_environment"]

_log = logging.getLogger(__name__)

_REAP_S = 1.0
_LOOK_S = 0.2
_KEPT_BYTES = 16_384
# LiteRT's exceptions name its own source files; why there is no GPU, it only prints.
_REASON = re.compile(r"(?:INTERNAL|UNAVAILABLE|UNIMPLEMENTED): ([^:\n]+)$", re.MULTILINE)
# systemd would take the helper's word for the program's; and the last that a helper says is to be
# what its library said, not where Python's threads stood.
_NOT_HANDED_ON = {
    *("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"),
    "PYTHONFAULTHANDLER",
}


class HelperProcess:
    """A helper's process, and what it says.

    Args:
        order: What it is to open.

    Attributes:
        channels: To it, one for each slot; they keep messages apart.
        pid: Its number.
    """

    def __init__(self, order: Order) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(SLOTS)]
        theirs = [pair[1].fileno() for pair in pairs]
        self.channels = [pair[0] for pair in pairs]
        module = "edge_detect.models.helper.worker"
        # Not from the working directory: whatever lies there has no business in here.
        command = [sys.executable, "-P", "-m", module, order.dump(), *map(str, theirs)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=theirs,
                env=helper_environment(),
                # Ctrl-C is for the program, which ends its helpers itself.
                start_new_session=True,
            )
        except OSError:
            self._close()
            raise
        finally:
            for _, each in pairs:
                each.close()
        self.pid = self._process.pid
        self._said = b""
        self._listener = Thread(target=self._listen, name="edge-helper-log", daemon=True)
        try:
            self._listener.start()
        except RuntimeError:
            self._process.kill()
            self._process.wait(_REAP_S)
            self._close()
            raise

    def receive(self, slot: int, timeout_s: float) -> bytes | None:
        """The next message of a slot; None when the process has ended.

        Raises:
            TimeoutError: Nothing came in time.
        """
        channel = self.channels[slot]
        try:
            channel.settimeout(timeout_s)
            return channel.recv(MESSAGE_BYTES) or None
        except TimeoutError:
            raise
        except OSError:
            return None

    def receive_memory(self, timeout_s: float, give_up: Event) -> tuple[bytes, list[int]]:
        """The first message, and the descriptor that came with it; empty if it has ended.

        Raises:
            TimeoutError: Nothing came in time, or before `give_up` was set.
        """
        until_s = monotonic() + timeout_s
        channel = self.channels[0]
        channel.settimeout(_LOOK_S)
        while True:
            try:
                told, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1)
            except TimeoutError:
                if give_up.is_set() or monotonic() > until_s:
                    raise
            except OSError:
                return b"", []
            else:
                return told, list(descriptors)

    def kill(self) -> None:
        """End it; nothing happens if it has ended."""
        self._process.kill()
        self._listener.join(_REAP_S)
        try:
            self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            # It waits for a device within the kernel, and ends when that answers.
            _log.warning("process %d does not end: its device holds it", self.pid)
        self._close()

    def _close(self) -> None:
        for channel in self.channels:
            channel.close()

    def outcome(self) -> str:
        """How it ended, and the last that it said, in words that follow a name."""
        try:
            status = self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            return "does not listen"
        self._listener.join(_REAP_S)
        how = f"ended with status {status}"
        if status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        lines = self._said.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}: {last}" if last else how

    def first_reason(self) -> str:
        """The first reason that a library gave in what it printed; empty if none did."""
        self._process.kill()
        self._listener.join(_REAP_S)
        reasons = _REASON.findall(self._said.decode("utf-8", "replace"))
        return str(reasons[0]).strip() if reasons else ""

    def _listen(self) -> None:
        """Keep the end of what it says off the user's terminal, for when it is needed."""
        output = self._process.stdout
        if output is None:
            return
        with output:
            while said := os.read(output.fileno(), _KEPT_BYTES):
                self._said = (self._said + said)[-_KEPT_BYTES:]
                _log.debug("helper %d: %s", self.pid, said.decode("utf-8", "replace").rstrip())


def helper_environment() -> dict[str, str]:
    """The environment of processes that open devices for this one."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
