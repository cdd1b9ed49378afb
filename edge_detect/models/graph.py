"""Does the graph of a TFLite file hold together?

`structure` finds files whose pointers lead nowhere. Here the numbers are checked by which tensors,
buffers and operators name each other, and whether each tensor has its elements before they are
read. Runtimes check most of it; where they do not, a wrong number ends the process: LiteRT
writes into the file where an operator's output is a constant, for example.

Reference:
    TensorFlow's schema.fbs, version 3 (numbers of the fields and of the types).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_detect.models.file.flatbuffer import Table, root_table

__all__ = ["check_graph"]

# Bits of an element by the type's number; 0 where elements have no fixed size (string, resource,
# variant): float32, float16, int32, uint8, int64, string, bool, int16, complex64, int8, float64,
# complex128, uint64, resource, variant, uint32, uint16, int4, bfloat16, int2, uint4, and two of
# float8.
_ELEMENT_BITS = (
    *(32, 16, 32, 8, 64, 0, 8, 16, 64, 8, 64, 128, 64, 0, 0, 32, 16),
    *(4, 16, 2, 4, 8, 8),
)
_NO_TENSOR = -1
_CUSTOM = 32
# Reshape, squeeze, expand_dims: copies, whose output LiteRT takes to be as large as the input.
_RESHAPE = 22
_COPY = {_RESHAPE, 43, 70}
# Additions, convolutions, dense layers and the like: a bias may be left out, these may not.
_TAKE_TWO = {0, 3, 4, 9, 18, 41, 42, 67}
# Numbers of fields.
_CODES, _GRAPHS, _BUFFERS = 1, 2, 4
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3
_SHAPE, _TYPE, _BUFFER, _QUANTIZATION, _VARIABLE, _SPARSITY, _EXTERNAL = 0, 1, 2, 4, 5, 6, 10
_SCALE = 2
_CODE, _TAKEN, _MADE = 0, 1, 2
_DATA, _OFFSET, _SIZE = 0, 1, 2


@dataclass(slots=True, frozen=True)
class _Tensor:
    """What of a tensor matters to those that read and write it.

    Attributes:
        kind: Number of its type.
        constant: Whether its elements stand in the file.
        kept: Whether it has elements before any operator ran: a constant, or a variable.
        empty: Whether it has no elements at all.
        rank: Number of its dimensions.
    """

    kind: int
    constant: bool
    kept: bool
    empty: bool
    rank: int


def check_graph(content: bytes) -> None:
    """Check that the parts of a TFLite file fit together.

    Args:
        content: The file, after `check_structure`.

    Raises:
        ValueError: They do not; says which.
    """
    model = root_table(content)
    buffers = [
        _bytes_of(buffer, number, content) for number, buffer in enumerate(model.tables(_BUFFERS))
    ]
    codes = [_builtin(code) for code in model.tables(_CODES)]
    graphs = model.tables(_GRAPHS)
    if not graphs:
        raise ValueError("it holds no graph")
    for number, graph in enumerate(graphs):
        where = f"of graph {number}" if number else "of the graph"
        _check_one(graph, where, buffers, codes)


def _bytes_of(buffer: Table, number: int, content: bytes) -> int:
    offset, size = int(buffer.number(_OFFSET, "Q")), int(buffer.number(_SIZE, "Q"))
    if offset > 1:
        # Behind the FlatBuffer, as in files of more than 2 GB.
        if offset + size > len(content):
            raise ValueError(f"buffer {number} lies beyond its end")
        return size
    return buffer.count(_DATA)


def _builtin(code: Table) -> int:
    # Operators below 127 stand in the older field, the others in the newer one.
    return int(max(code.number(0, "b"), code.number(3, "i")))


def _check_one(graph: Table, where: str, buffers: Sequence[int], codes: Sequence[int]) -> None:
    tensors = [
        _read_tensor(tensor, f"tensor {number} {where}", buffers)
        for number, tensor in enumerate(graph.tables(_TENSORS))
    ]
    inputs, outputs = graph.numbers(_INPUTS, "i"), graph.numbers(_OUTPUTS, "i")
    for name, numbers in (("input", inputs), ("output", outputs)):
        for number in numbers:
            if not 0 <= number < len(tensors):
                raise ValueError(f"an {name} {where} is tensor {number} of {len(tensors)}")
    ready = {number for number, tensor in enumerate(tensors) if tensor.kept or tensor.empty}
    ready.update(inputs)
    made: set[int] = set()
    for place, operator in enumerate(graph.tables(_OPERATORS)):
        named = f"operator {place} {where}"
        code = operator.number(_CODE, "I")
        if code >= len(codes):
            raise ValueError(f"{named} has code {code} of {len(codes)}")
        taken = _taken(operator, named, tensors, codes[code])
        missing = sorted(taken - ready - made)
        if missing:
            raise ValueError(f"{named} takes tensor {missing[0]} before anything wrote it")
        _add_made(operator, named, tensors, inputs, made)
        if codes[code] in _COPY:
            _check_copy(operator, named, tensors)
    missing = sorted(set(outputs) - ready - made)
    if missing:
        raise ValueError(f"nothing writes tensor {missing[0]}, an output {where}")


def _taken(operator: Table, named: str, tensors: Sequence[_Tensor], builtin: int) -> set[int]:
    """The tensors that an operator reads."""
    numbers = operator.numbers(_TAKEN, "i")
    for number in numbers:
        if not _NO_TENSOR <= number < len(tensors):
            raise ValueError(f"{named} takes tensor {number} of {len(tensors)}")
    if builtin != _CUSTOM and numbers[:1] == (_NO_TENSOR,):
        raise ValueError(f"{named} takes nothing where its first tensor should be")
    if builtin in _TAKE_TWO and (len(numbers) < 2 or _NO_TENSOR in numbers[:2]):
        raise ValueError(f"{named} takes two tensors, and lacks one of them")
    if (
        builtin == _RESHAPE
        and len(numbers) > 1
        and numbers[1] >= 0
        and tensors[numbers[1]].rank != 1
    ):
        # Of such a second input only the shape counts, not the elements.
        numbers = numbers[:1]
    return set(numbers) - {_NO_TENSOR}


def _check_copy(operator: Table, named: str, tensors: Sequence[_Tensor]) -> None:
    ends = (*operator.numbers(_TAKEN, "i")[:1], *operator.numbers(_MADE, "i")[:1])
    kinds = {tensors[number].kind for number in ends if number != _NO_TENSOR}
    if len(kinds) > 1:
        raise ValueError(f"{named} copies between the types {sorted(kinds)}")


def _add_made(
    operator: Table,
    named: str,
    tensors: Sequence[_Tensor],
    inputs: Sequence[int],
    made: set[int],
) -> None:
    for number in operator.numbers(_MADE, "i"):
        if number == _NO_TENSOR:
            continue
        if not 0 <= number < len(tensors):
            raise ValueError(f"{named} writes tensor {number} of {len(tensors)}")
        if tensors[number].constant:
            raise ValueError(f"{named} writes tensor {number}, which is a constant")
        if number in made or number in inputs:
            raise ValueError(f"{named} writes tensor {number}, which has been written before")
        made.add(number)


def _read_tensor(tensor: Table, named: str, buffers: Sequence[int]) -> _Tensor:
    kind, buffer = tensor.number(_TYPE, "b"), tensor.number(_BUFFER, "I")
    shape = tensor.numbers(_SHAPE, "i")
    if not 0 <= kind < len(_ELEMENT_BITS):
        raise ValueError(f"{named} has type {kind}, which the format does not define")
    if buffer >= len(buffers):
        raise ValueError(f"{named} has buffer {buffer} of {len(buffers)}")
    if min(shape, default=0) < -1:
        raise ValueError(f"{named} has the shape {shape}")
    quantization = tensor.table(_QUANTIZATION)
    scales = quantization.numbers(_SCALE, "f") if quantization is not None else ()
    if not all(0 <= scale < math.inf for scale in scales):
        raise ValueError(f"{named} has a scale that is negative or not finite")
    elements = math.prod(max(0, extent) for extent in shape)
    constant = buffers[buffer] > 0
    needed = (elements * _ELEMENT_BITS[kind] + 7) // 8
    if constant and buffers[buffer] < needed and not tensor.has(_SPARSITY):
        raise ValueError(f"{named} takes {needed} bytes, and has {buffers[buffer]}")
    variable = bool(tensor.number(_VARIABLE, "B"))
    external = tensor.number(_EXTERNAL, "I") > 0
    return _Tensor(kind, constant, constant or variable or external, elements == 0, len(shape))
