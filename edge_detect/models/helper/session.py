"""The program's side of a helper."""

import json
import os
from threading import Event
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
        deadline_s: An inference that takes longer, with the one before it, has failed.

    Attributes:
        first_invoke_ns: How long the helper's first inference took, nanoseconds.
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
        self.first_invoke_ns = described.first_invoke_ns
        self._process = process
        self._memory = memory
        self._deadline_s = deadline_s
        self._asked = [0] * SLOTS

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
        # Whoever was interrupted while it waited has left an answer behind: it is told by this.
        self._asked[slot] = (self._asked[slot] + 1) % 256
        try:
            self._process.channels[slot].send(bytes((self._asked[slot],)))
        except OSError as error:
            raise self._gone() from error

    def finish(self, slot: int = 0) -> int:
        """See `Session`."""
        while True:
            try:
                told = self._process.receive(slot, self._deadline_s)
            except TimeoutError as error:
                raise AcceleratorError(
                    f"{self.device} did not answer within {self._deadline_s:g} s"
                ) from error
            if told is None:
                raise self._gone()
            number, worked, took_ns = REPLY.unpack_from(told)
            if number != self._asked[slot]:
                continue
            if not worked:
                reason = told[REPLY.size :].decode("utf-8", "replace") or "it says no reason"
                raise AcceleratorError(f"{self.device} failed: {reason}")
            return int(took_ns)

    def invoke(self) -> None:
        """See `Session`."""
        self.begin()
        self.finish()

    def close(self) -> None:
        """End the helper, whatever it is doing."""
        self._process.kill()

    def _gone(self) -> AcceleratorError:
        return AcceleratorError(f"the process of {self.device} {self._process.outcome()}")


def open_in_helper(
    order: Order, *, deadline_s: float, give_up: Event, open_s: float = 30.0
) -> HelperSession:
    """Open a model in a process of its own.

    Args:
        order: What is to be opened.
        deadline_s: For one inference.
        give_up: Ends the wait when it is set.
        open_s: Longest wait for the model to be ready.

    Raises:
        AcceleratorError: The device or its library failed, or did not answer.
        ModelError: The model file cannot be used.
        DependencyError: No runtime is installed, or it does not fit the others.
    """
    try:
        process = HelperProcess(order)
    except (OSError, RuntimeError) as error:
        raise AcceleratorError(f"{order.device}: no process can be started: {error}") from error
    try:
        described, memory = _hear(process, order, give_up, open_s)
    except (OSError, LookupError, ValueError) as error:
        process.kill()
        raise AcceleratorError(f"{order.device}: its process cannot be used: {error}") from error
    except BaseException:
        process.kill()
        raise
    return HelperSession(process, described, memory, order.device, deadline_s)


def _hear(
    process: HelperProcess, order: Order, give_up: Event, open_s: float
) -> tuple[Description, Memory]:
    """What a helper has to say once it has opened the model, or failed to."""
    try:
        told, descriptors = process.receive_memory(open_s, give_up)
    except TimeoutError as error:
        raise AcceleratorError(f"{order.device} was not ready within {open_s:g} s") from error
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
