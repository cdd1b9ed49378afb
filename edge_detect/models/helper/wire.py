"""What the program and its helper tell each other.

They share one piece of memory: for every slot, the input tensor and the output tensors, one
after another. Every slot has a socket that keeps messages apart. Over the first one comes the
helper's description of the model, with the memory's descriptor, or an error. Then a byte,
the number of the question, asks that a slot's input be inferred, and the answer with that number
says that its outputs are there.
"""

import json
import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.tensors import TensorInfo

__all__ = ["MESSAGE_BYTES", "REPLY", "SLOTS", "Description", "Memory", "Order"]

# One at work, one that waits; and one for a frame that another device has failed with.
SLOTS = 3
MESSAGE_BYTES = 65_536
# Number of the question, whether it worked, and how long it took in nanoseconds; why it did not,
# follows as text.
REPLY = struct.Struct("<B?q")

# A cache line: no two tensors share one.
_ALIGNMENT = 64


@dataclass(slots=True, frozen=True)
class Order:
    """What a helper is to open.

    Attributes:
        model: Path of the model file.
        runtime: `litert` or `tflite-runtime`; None for the first that is installed.
        threads: Of the interpreter; None for its default.
        library: Path or name of a delegate's library; empty for none.
        options: Of the delegate.
        device: What the session calls what it runs on.
        compiled: Whether the runtime's own way to a GPU is taken.
        node: What stands for the device in the file system: whoever has it locked, has the
            device; empty if it may be shared.
        paired: Whether two interpreters take turns, so that the device never waits for us.
        input_shape: Shape of the input, taken where the model leaves it open.
    """

    model: str
    device: str
    runtime: str | None = None
    threads: int | None = None
    library: str = ""
    options: Mapping[str, str] | None = None
    compiled: bool = False
    node: str = ""
    paired: bool = False
    input_shape: Sequence[int] | None = None

    def dump(self) -> str:
        """As text."""
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def load(cls, text: str) -> "Order":
        """From what `dump` returned."""
        return cls(**json.loads(text))


@dataclass(slots=True, frozen=True)
class Description:
    """A model that a helper has opened.

    Attributes:
        runtime: As in `Session`.
        threads: As in `Session`.
        inputs: As in `Session`.
        outputs: As in `Session`.
        first_invoke_ns: How long the first inference took, nanoseconds.
    """

    runtime: str
    threads: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    first_invoke_ns: int

    def dump(self) -> bytes:
        """As bytes."""
        return json.dumps(
            {
                "runtime": self.runtime,
                "threads": self.threads,
                "inputs": [_dump_tensor(info) for info in self.inputs],
                "outputs": [_dump_tensor(info) for info in self.outputs],
                "first_invoke_ns": self.first_invoke_ns,
            }
        ).encode()

    @classmethod
    def load(cls, told: Mapping[str, Any]) -> "Description":
        """From what `dump` returned, parsed."""
        inputs, outputs = (
            tuple(_load_tensor(each) for each in told[key]) for key in ("inputs", "outputs")
        )
        return cls(told["runtime"], told["threads"], inputs, outputs, told["first_invoke_ns"])


class Memory:
    """The tensors of all slots.

    Args:
        described: The model.
        descriptor: Of the file that is mapped; `size_of` tells how large it must be.

    Attributes:
        inputs: The first input by slot.
        outputs: The outputs by slot and tensor name.
    """

    def __init__(self, described: Description, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, self.size_of(described))
        place = 0
        self.inputs: list[NDArray[Any]] = []
        self.outputs: list[dict[str, NDArray[Any]]] = []
        for _ in range(SLOTS):
            arrays = []
            for info in (described.inputs[0], *described.outputs):
                count = int(np.prod(info.shape))
                array = np.frombuffer(self._map, info.dtype, count, place).reshape(info.shape)
                arrays.append(array)
                place += _aligned(array.nbytes)
            self.inputs.append(arrays[0])
            names = [info.name for info in described.outputs]
            self.outputs.append(dict(zip(names, arrays[1:], strict=True)))

    @staticmethod
    def size_of(described: Description) -> int:
        """How many bytes it takes."""
        tensors: Sequence[TensorInfo] = (described.inputs[0], *described.outputs)
        sizes = (int(np.prod(info.shape)) * info.dtype.itemsize for info in tensors)
        return SLOTS * sum(_aligned(size) for size in sizes)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _dump_tensor(info: TensorInfo) -> list[Any]:
    return [info.name, info.index, info.shape, info.dtype.name, info.scale, info.zero_point]


def _load_tensor(told: Sequence[Any]) -> TensorInfo:
    name, index, shape, dtype, scale, zero_point = told
    return TensorInfo(name, index, tuple(shape), np.dtype(dtype), scale, zero_point)
