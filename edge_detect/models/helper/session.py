"""The program's side of a helper."""

import json
import os
from threading import Event, Lock
from typing import Any

from numpy.typing import NDArray

from edge_detect.core import AcceleratorError, DependencyError, ModelError
from edge_detect.models.helper.process import HelperProcess
from edge_detect.models.helper.wire import (
    REPLY,
    SLOTS,
    Description,
    Memory,
    Order,
)

__all__ = ["HelperSession", "open_in_helper"]

# An Edge TPU on USB gets its firmware first; on a slow board, Python alone takes seconds.
_OPEN_S = 30.0
_MISFIT = "its library may not fit the runtime: `edge-detect doctor` tells more"
_ERRORS = {error.__name__: error for error in (DependencyError, ModelError)}


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

    slots = SLOTS - 1
    deferred = False

    def __init__(
        self,
        process: HelperProcess,
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
        # Why nothing more can be expected of it.
        self._failed = ""

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
            raise AcceleratorError(self._gone()) from error

    def finish(self, slot: int = 0) -> int:
        """See `Session`."""
        with self._reading:
            while self._took_ns[slot] is None and not self._reasons[slot]:
                if self._failed:
                    raise AcceleratorError(self._failed)
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
            self._failed = f"{self.device} did not answer within {self._deadline_s:g} s"
            return
        if told is None:
            self._failed = self._gone()
            return
        slot, worked, took_ns = REPLY.unpack_from(told)
        if worked:
            self._took_ns[slot] = took_ns
        else:
            self._reasons[slot] = told[REPLY.size :].decode("utf-8", "replace") or "no reason given"

    def _gone(self) -> str:
        return f"the process of {self.device} {self._process.outcome()}"


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
    process = HelperProcess(order)
    try:
        described, memory = _hear(process, order, give_up)
    except BaseException:
        process.kill()
        raise
    return HelperSession(process, described, memory, order.device, deadline_s)


def _hear(process: HelperProcess, order: Order, give_up: Event) -> tuple[Description, Memory]:
    """What a helper has to say once it has opened the model, or failed to."""
    try:
        told, descriptors = process.receive_memory(_OPEN_S, give_up)
    except TimeoutError as error:
        raise AcceleratorError(f"{order.device} was not ready within {_OPEN_S:g} s") from error
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
    return described, memory
