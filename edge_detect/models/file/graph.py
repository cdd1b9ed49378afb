"""Tensors, operators and metadata of a TFLite file, read without a runtime.

Reference:
    TensorFlow's schema.fbs, version 3 (numbers of the fields).
"""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.models.file.flatbuffer import Table, root_table
from edge_detect.models.file.operators import builtin_name
from edge_detect.models.structure import check_structure
from edge_detect.models.tensors import TensorInfo

__all__ = ["FileGraph", "FileOperator", "FileTensor", "read_graph"]

_TYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float64",
    12: "uint64",
    15: "uint32",
    16: "uint16",
    17: "int4",
}
_NUMPY_TYPES = (
    "float32",
    "float16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "int64",
)
_CUSTOM = 32
# Operators that keep the values, in another shape or type.
_TRIVIAL = ("DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST")
_LONGEST_CHAIN = 16


@dataclass(slots=True, frozen=True)
class FileTensor:
    """A tensor; `real = (stored - zero_point) * scale`.

    Attributes:
        index: Its number in the file.
        name: As the file says; may be empty, and two may have the same.
        shape: Including the batch dimension; empty for one that only the runtime knows.
        signature: The same, with -1 where it may change.
        dtype: NumPy's name of the type.
        scale: 0 for a tensor that is not quantized, or has a scale per channel.
        zero_point: 0 likewise.
        variable: Whether it keeps its content from one inference to the next.
        buffer: Number of the buffer with its content.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    variable: bool
    buffer: int

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def quantized(self) -> bool:
        """Whether its elements are steps of a scale."""
        return self.dtype in ("int8", "uint8", "int16") and self.scale > 0

    @property
    def limits(self) -> tuple[float, float]:
        """Least and largest value that it can hold."""
        if not self.quantized:
            return -math.inf, math.inf
        info = np.iinfo(self.dtype)
        low, high = (int(each) - self.zero_point for each in (info.min, info.max))
        return low * self.scale, high * self.scale

    @property
    def info(self) -> TensorInfo:
        """What a runtime would tell about it."""
        dtype = np.dtype(self.dtype if self.dtype in _NUMPY_TYPES else "void")
        return TensorInfo(
            self.name, self.index, self.shape, dtype, self.scale, self.zero_point, self.signature
        )

    def __str__(self) -> str:
        shape = "x".join(str(each) for each in self.shape) or "scalar"
        return f"{shape} {self.dtype}"


@dataclass(slots=True, frozen=True)
class FileOperator:
    """An operator.

    Attributes:
        name: Of the schema for built-in ones, else its own.
        custom: Whether it is no built-in one.
        inputs: Numbers of tensors; -1 for one that is left out.
        outputs: Numbers of tensors.
        options: Bytes of a custom operator's options.
    """

    name: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: bytes = b""


@dataclass(slots=True, frozen=True)
class FileGraph:
    """The first graph of a TFLite file.

    Attributes:
        path: Of the file.
        content: All of it.
        tensors: By number.
        inputs: Of the graph.
        outputs: Of the graph.
        operators: In order.
        description: As the file says.
        metadata: Entries by name.
        signatures: Names that signatures give to tensors, by tensor number.
        subgraphs: How many graphs there are.
    """

    path: Path
    content: bytes = field(repr=False)
    tensors: tuple[FileTensor, ...]
    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    description: str
    metadata: dict[str, bytes] = field(repr=False)
    signatures: dict[int, str]
    subgraphs: int
    buffers: tuple[Table, ...] = field(repr=False)

    def custom(self, name: str) -> FileOperator | None:
        """The first custom operator of a name."""
        return next((each for each in self.operators if each.custom and each.name == name), None)

    def count_operators(self) -> Counter[str]:
        """How many there are of each kind."""
        return Counter(each.name for each in self.operators)

    def producer(self, index: int, through: Collection[str] = _TRIVIAL) -> FileOperator | None:
        """The operator that makes a tensor, seen through those that keep its values.

        Args:
            index: Number of the tensor.
            through: Names of operators to see through.
        """
        makers = {made: each for each in self.operators for made in each.outputs}
        found: FileOperator | None = makers.get(index)
        for _ in range(_LONGEST_CHAIN):
            if found is None or found.name not in through or not found.inputs:
                return found
            found = makers.get(found.inputs[0])
        return found

    def follow(self, index: int) -> FileTensor | None:
        """The output of the graph that a tensor becomes, its values kept; None where none."""
        numbers = {each.index: each for each in self.outputs}
        for _ in range(_LONGEST_CHAIN):
            if index in numbers:
                return numbers[index]
            user = next((each for each in self.operators if index in each.inputs), None)
            if user is None or user.name not in _TRIVIAL or not user.outputs:
                return None
            index = user.outputs[0]
        return None

    def constant(self, index: int) -> NDArray[np.float64] | None:
        """The real values of a constant tensor; None where it is none, or of another type.

        Returns:
            Of the tensor's shape.
        """
        if not 0 <= index < len(self.tensors):
            return None
        tensor = self.tensors[index]
        if not 0 < tensor.buffer < len(self.buffers):
            return None
        data = self.buffers[tensor.buffer].data(0)
        if tensor.dtype not in ("float32", "float16", "int32", "int8", "uint8", "int16"):
            return None
        values = np.frombuffer(data, np.uint8)
        dtype = np.dtype(tensor.dtype)
        if values.size != tensor.count * dtype.itemsize or not values.size:
            return None
        real = values.view(dtype).reshape(tensor.shape).astype(np.float64)
        return (real - tensor.zero_point) * tensor.scale if tensor.quantized else real


def read_graph(path: Path, content: bytes) -> FileGraph:
    """Read a file that says it is a TFLite model.

    Args:
        path: Of the file, for errors.
        content: All of it.

    Raises:
        ModelError: It is damaged.
    """
    try:
        check_structure(content)
        return _read(path, content)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} cannot be loaded: {error}",
            "the file may be truncated; fetch or convert it again",
        ) from error


def _read(path: Path, content: bytes) -> FileGraph:
    model = root_table(content)
    subgraphs = model.tables(2)
    if not subgraphs:
        raise ValueError("it has no graph")
    graph, buffers = subgraphs[0], tuple(model.tables(4))
    tensors = tuple(_tensor(index, table) for index, table in enumerate(graph.tables(0)))
    codes = [_operator_code(table) for table in model.tables(1)]
    metadata = {}
    for entry in model.tables(6, limit=64):
        buffer = entry.number(1, "I")
        if buffer < len(buffers):
            metadata[entry.text(0)] = buffers[buffer].data(0)
    return FileGraph(
        path,
        content,
        tensors,
        _pick(tensors, graph.numbers(1, "i")),
        _pick(tensors, graph.numbers(2, "i")),
        tuple(_operator(table, codes) for table in graph.tables(3)),
        model.text(3),
        metadata,
        _signature_names(model),
        len(subgraphs),
        buffers,
    )


def _tensor(index: int, table: Table) -> FileTensor:
    shape = table.numbers(0, "i")
    number = table.number(1, "b")
    scale, zero_point = 0.0, 0
    quantization = table.table(4)
    if quantization is not None:
        scales, zeros = quantization.numbers(2, "f"), quantization.numbers(3, "q")
        if len(scales) == 1 and math.isfinite(scales[0]):
            scale, zero_point = scales[0], zeros[0] if zeros else 0
    return FileTensor(
        index,
        table.text(3),
        shape,
        table.numbers(7, "i") or shape,
        _TYPES.get(number, f"type {number}"),
        scale,
        zero_point,
        bool(table.number(5, "B")),
        table.number(2, "I"),
    )


def _operator_code(table: Table) -> tuple[str, bool]:
    number = max(table.number(0, "b"), table.number(3, "i"))
    return (table.text(1), True) if number == _CUSTOM else (builtin_name(number), False)


def _operator(table: Table, codes: list[tuple[str, bool]]) -> FileOperator:
    index = table.number(0, "I")
    if index >= len(codes):
        raise ValueError("an operator is of a kind that the file does not name")
    name, custom = codes[index]
    return FileOperator(
        name,
        custom,
        table.numbers(1, "i"),
        table.numbers(2, "i"),
        table.data(5) if custom else b"",
    )


def _pick(tensors: tuple[FileTensor, ...], numbers: tuple[int, ...]) -> tuple[FileTensor, ...]:
    if not all(0 <= number < len(tensors) for number in numbers):
        raise ValueError("an input or output of the graph is a tensor that it does not have")
    return tuple(tensors[number] for number in numbers)


def _signature_names(model: Table) -> dict[int, str]:
    names: dict[int, str] = {}
    for signature in model.tables(7, limit=1):
        for field_number in (0, 1):
            for entry in signature.tables(field_number, limit=64):
                names.setdefault(entry.number(1, "I"), entry.text(0))
    return names
