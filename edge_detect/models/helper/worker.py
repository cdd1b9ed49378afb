"""The helper's own program: opens a model, then infers slot after slot until nobody asks.

It is started as `python -m edge_detect.models.helper.worker ORDER DESCRIPTOR…`, with one socket
for each slot.
"""

import fcntl
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import AcceleratorError, EdgeDetectError
from edge_detect.models.helper.wire import MESSAGE_BYTES, REPLY, Description, Memory, Order
from edge_detect.models.runtime import open_session
from edge_detect.models.session import Session

__all__ = ["main"]

# Longer than anybody waits for a model to be opened. A library that hangs may keep the
# interpreter's lock, so that no thread of ours could end this process.
_OPEN_S = 60


def main(arguments: list[str]) -> int:
    """Serve one model.

    Args:
        arguments: The order as text, and the numbers of the sockets' descriptors, one per slot.

    Returns:
        The exit status.
    """
    signal.alarm(_OPEN_S)
    order = Order.load(arguments[0])
    channels = [socket.socket(fileno=int(each)) for each in arguments[1:]]
    Thread(target=_leave_with_the_other_side, args=(channels[0],), daemon=True).start()
    try:
        _lock(order)
        session = _open(order)
        # The first inference brings the model to the device, and takes many times as long.
        first_ns = session.finish()
        # It may also have brought the device its firmware: then it has come back as another one.
        _lock(order)
        second = _open_second(order)
    except EdgeDetectError as error:
        told = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        channels[0].send(json.dumps(told).encode())
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - raised by the other side
        reason = " ".join(str(error).split())
        channels[0].send(json.dumps({"error": "", "message": reason}).encode())
        return 1
    signal.alarm(0)
    memory = _share_memory(session, first_ns, channels[0])
    shared = (session, Lock())
    servers = [shared, (second, Lock()) if second else shared, shared]
    threads = [
        Thread(target=_serve, args=(*server, memory, slot, channel))
        for slot, (server, channel) in enumerate(zip(servers, channels, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


_locked: list[int] = []


def _lock(order: Order) -> None:
    """Have the device for this process alone, until it ends.

    An Edge TPU serves one process: another one that opens it throws the first one out.

    Raises:
        AcceleratorError: Another process has it.
    """
    if not order.node:
        return
    try:
        node = os.open(order.node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # Whether it is there at all, its library says.
        return
    if any(os.path.sameopenfile(node, known) for known in _locked):
        os.close(node)
        return
    try:
        fcntl.flock(node, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AcceleratorError(
            f"{order.device} is in use by another model or program",
            "one Edge TPU runs one model at a time: let cameras share a model, or add a device",
        ) from error
    _locked.append(node)


def _open(order: Order) -> Session:
    if order.compiled:
        from edge_detect.models.gpu import open_compiled

        return open_compiled(Path(order.model), input_shape=order.input_shape)
    delegate = (order.library, dict(order.options or {})) if order.library else None
    return open_session(
        Path(order.model),
        threads=order.threads,
        runtime=order.runtime,
        delegate=delegate,
        input_shape=order.input_shape,
    )


def _open_second(order: Order) -> Session | None:
    """One interpreter more on the same device, if it lets us.

    While results of one are read and its next input is written, the device works for the other:
    its queue never runs dry.
    """
    if not order.paired:
        return None
    try:
        session = _open(order)
        session.invoke()
    except (EdgeDetectError, RuntimeError):
        return None
    return session


def _share_memory(session: Session, first_ns: int, channel: socket.socket) -> Memory:
    """Tell the other side what there is, and where it lies."""
    outputs = tuple(session.outputs.values())
    described = Description(session.runtime, session.threads, session.inputs, outputs, first_ns)
    file = os.memfd_create("edge-detect-tensors")
    os.ftruncate(file, Memory.size_of(described))
    memory = Memory(described, file)
    socket.send_fds(channel, [described.dump()], [file])
    os.close(file)
    return memory


def _serve(session: Session, lock: Lock, memory: Memory, slot: int, channel: socket.socket) -> None:
    """Infer one slot whenever it is asked for."""
    given, kept = memory.inputs[slot], memory.outputs[slot]
    while (asked := channel.recv(1)) != b"":
        with lock:
            try:
                took_ns = _infer(session, given, kept)
            except Exception as error:  # noqa: BLE001 - raised by the other side
                reason = " ".join(str(error).split()).encode()[: MESSAGE_BYTES - REPLY.size]
                channel.send(REPLY.pack(asked[0], False, 0) + reason)
                continue
        channel.send(REPLY.pack(asked[0], True, took_ns))


def _infer(session: Session, given: NDArray[Any], kept: Mapping[str, NDArray[Any]]) -> int:
    """Bring the input there, infer, and bring the outputs back; all views die with this call."""
    np.copyto(session.input_view(), given)
    took_ns = session.finish()
    for name, view in session.output_views().items():
        np.copyto(kept[name], view)
    return took_ns


def _leave_with_the_other_side(channel: socket.socket) -> None:
    """End this process when the program has ended, whatever the device is doing."""
    poll = select.poll()
    poll.register(channel, 0)
    while not poll.poll():
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
