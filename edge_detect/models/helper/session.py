"""The program's side of a helper."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from numpy.typing import NDArray

from edge_detect.core import AcceleratorError, DependencyError, ModelError
from edge_detect.models.helper.wire import (
    MESSAGE_BYTES,
    REPLY,
    SLOTS,
    Description,
    Memory,
    Order,
)

__all__ = ["HelperSession", "open_in_helper"]

_log = logging.getLogger(__name__)

# An Edge TPU on USB gets its firmware first; on a slow board, Python alone takes seconds.
_OPEN_S = 60.0
_REAP_S = 1.0
_LOOK_S = 0.2
_KEPT_BYTES = 16_384
_MISFIT = "its library may not fit the runtime: `edge-detect doctor` tells more"
# LiteRT's exceptions name its own source files; why there is no GPU, it only prints.
_REASON = re.compile(r"(?:INTERNAL|UNAVAILABLE|INVALID_ARGUMENT|UNIMPLEMENTED): ([^:\n]+)$", re.M)
_ERRORS = {error.__name__: error for error in (DependencyError, ModelError)}
# systemd would take the helper's word for the program's.
_NOT_HANDED_ON = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"}


class HelperSession:
    """A session in a process of its own.

    `begin` and `finish` of different slots may be called by different threads.

    Args:
        process: The helper.
        channel: To it.
        described: The model that it has opened.
        memory: The tensors.
        device: What it runs on.
        deadline_s: An inference that takes longer has failed.
    """

    slots = SLOTS

    def __init__(
        self,
        process: "_Process",
        described: Description,
        memory: Memory,
        device: str,
        deadline_s: float,
    ) -> None:
        self.runtime = described.runtime
        self.device = device
        self.threads = described.threads
        self.inputs = described.inputs
        self.outputs = {info.name: info for info in described.outputs}
        self._process = process
        self._memory = memory
        self._deadline_s = deadline_s
        self._reading = Lock()
        self._took_ns: list[int | None] = [None] * SLOTS
        self._reasons = [""] * SLOTS
        self._failed: AcceleratorError | None = None

    @property
    def pid(self) -> int:
        """Of the helper."""
        return self._process.pid

    def input_view(self, slot: int = 0) -> NDArray[Any]:
        """See `Session`."""
        return self._memory.inputs[slot]

    def output_views(self, slot: int = 0) -> dict[str, NDArray[Any]]:
        """See `Session`."""
        return self._memory.outputs[slot]

    def begin(self, slot: int = 0) -> None:
        """See `Session`."""
        self._took_ns[slot], self._reasons[slot] = None, ""
        try:
            self._process.channel.send(bytes((slot,)))
        except OSError as error:
            raise self._gone() from error

    def finish(self, slot: int = 0) -> int:
        """See `Session`."""
        with self._reading:
            while self._took_ns[slot] is None and not self._reasons[slot]:
                if self._failed:
                    raise self._failed
                self._receive()
            if self._reasons[slot]:
                raise AcceleratorError(f"{self.device} failed: {self._reasons[slot]}")
            return self._took_ns[slot] or 0

    def invoke(self) -> None:
        """See `Session`."""
        self.begin()
        self.finish()

    def close(self) -> None:
        """End the helper, whatever it is doing."""
        self._process.kill()

    def _receive(self) -> None:
        """Take the next slot's outcome, whichever slot it is for."""
        try:
            told = self._process.receive(self._deadline_s)
        except TimeoutError:
            self._failed = AcceleratorError(
                f"{self.device} did not answer within {self._deadline_s:g} s"
            )
            return
        if told is None:
            self._failed = self._gone()
            return
        slot, worked, took_ns = REPLY.unpack_from(told)
        if worked:
            self._took_ns[slot] = took_ns
        else:
            self._reasons[slot] = told[REPLY.size :].decode("utf-8", "replace") or "no reason given"

    def _gone(self) -> AcceleratorError:
        return AcceleratorError(f"the process of {self.device} {self._process.outcome()}")


class _Process:
    """A helper's process, and what it says."""

    def __init__(self, order: Order) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        module = "edge_detect.models.helper.worker"
        # Not from the working directory: whatever lies there has no business in here.
        command = [sys.executable, "-P", "-m", module, order.dump(), str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=_environment(os.environ),
                # Ctrl-C is for the program, which ends its helpers itself.
                start_new_session=True,
            )
        self.channel = ours
        self.pid = self._process.pid
        self._said = b""
        self._listener = Thread(target=self._listen, name="edge-helper-log", daemon=True)
        self._listener.start()

    def receive(self, timeout_s: float) -> bytes | None:
        """The next message; None when the process has ended.

        Raises:
            TimeoutError: Nothing came in time.
        """
        try:
            self.channel.settimeout(max(0.001, timeout_s))
            return self.channel.recv(MESSAGE_BYTES) or None
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
        self.channel.settimeout(_LOOK_S)
        while True:
            try:
                told, descriptors, _, _ = socket.recv_fds(self.channel, MESSAGE_BYTES, 1)
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
        self.channel.close()

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


def open_in_helper(order: Order, *, deadline_s: float, give_up: Event) -> HelperSession:
    """Open a model in a process of its own.

    Args:
        order: What is to be opened.
        deadline_s: For one inference.
        give_up: Ends the wait when it is set.

    Raises:
        AcceleratorError: The device or its library failed, or did not answer.
        ModelError: The model file cannot be used.
        DependencyError: No runtime is installed, or it does not fit the others.
    """
    process = _Process(order)
    try:
        told, descriptors = process.receive_memory(_OPEN_S, give_up)
        if not told:
            hint = _MISFIT if order.library else ""
            raise AcceleratorError(f"the process of {order.device} {process.outcome()}", hint)
        message = json.loads(told)
        if "error" in message:
            known = _ERRORS.get(message["error"], AcceleratorError)
            said = process.first_reason() if order.compiled else ""
            text = f"{message['message']}: {said}" if said else message["message"]
            raise known(text, message.get("hint", ""))
        described = Description.load(message)
        memory = Memory(described, descriptors[0])
        os.close(descriptors[0])
    except TimeoutError as error:
        process.kill()
        raise AcceleratorError(f"{order.device} was not ready within {_OPEN_S:g} s") from error
    except BaseException:
        process.kill()
        raise
    return HelperSession(process, described, memory, order.device, deadline_s)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name not in _NOT_HANDED_ON}
