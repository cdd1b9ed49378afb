"""How much memory a TFLite file needs at least, before anything is allocated for it.

Reference:
    TensorFlow's schema.fbs, version 3 (numbers of the fields and of the element types).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_detect.board.memory import free_memory
from edge_detect.core import ModelError
from edge_detect.models.file.flatbuffer import Table, root_table

__all__ = ["Footprint", "check_memory", "least_footprint"]

# Bytes of an element by the type's number: float32, float16, int32, uint8, int64, string, bool,
# int16, complex64, int8, float64, complex128, uint64, resource, variant, uint32, uint16.
_ELEMENT_BYTES = (4, 2, 4, 1, 8, 0, 1, 2, 8, 1, 8, 16, 8, 0, 0, 4, 2)
# At least: a pipeline decodes one copy of the outputs while the next one is made. Where results are
# read slowly, there are up to four.
_COPIES = 2
# Characters of a tensor's name in a message.
_NAME = 60


@dataclass(slots=True, frozen=True)
class Footprint:
    """What a model needs at least.

    Attributes:
        total_bytes: The file, the inputs and outputs of the operator that has the largest, and two
            copies of the model's outputs.
        tensor: Name of the largest tensor.
        shape: Of that tensor; empty where it is an estimate.
        tensor_bytes: Of that tensor.
    """

    total_bytes: int
    tensor: str = ""
    shape: tuple[int, ...] = ()
    tensor_bytes: int = 0


def check_memory(model: str, needed: Footprint) -> None:
    """Refuse a model that needs more memory than there is.

    Args:
        model: For messages.
        needed: What it needs at least.

    Raises:
        ModelError: It does; says how much, for what, and how much there is.
    """
    free = free_memory()
    if free is None or needed.total_bytes <= free:
        return
    shape = f" ({'x'.join(map(str, needed.shape))})" if needed.shape else ""
    raise ModelError(
        f"{model} needs at least {_gigabytes(needed.total_bytes)} of memory, of which"
        f" {_gigabytes(needed.tensor_bytes)} are for the tensor {needed.tensor[:_NAME]!r}{shape};"
        f" {_gigabytes(free)} are free",
        "use a smaller input: correct input.size where the model leaves it open, else take another"
        " model",
    )


def least_footprint(
    content: bytes, known: Mapping[int, Sequence[int]] | None = None, growth: float = 1.0
) -> Footprint:
    """What a model needs at least, by the shapes that stand in its file.

    Activations that are not in use at the same time share memory, so the least is what the
    operator with the largest inputs and outputs needs. A pipeline keeps copies of the model's
    outputs besides. Dimensions that the file leaves open count as 1.

    Args:
        content: The file, after `check_structure`.
        known: Shapes of tensors of the main graph, by index, in place of the file's.
        growth: How many times larger the activations are going to be.

    Raises:
        ValueError: The file is damaged.
    """
    known = known or {}
    model = root_table(content)
    filled = [buffer.count(0) > 0 or buffer.number(1, "Q") > 1 for buffer in model.tables(4)]
    largest, copies = Footprint(len(content)), 0
    for place, graph in enumerate(model.tables(2)):
        tensors = list(graph.tables(0))
        shapes = [tensor.numbers(0, "i") for tensor in tensors]
        if place == 0:
            shapes = [tuple(known.get(index, shape)) for index, shape in enumerate(shapes)]
        sizes = [
            0 if _is_constant(tensor, filled) else int(_bytes_of(tensor, shape) * growth)
            for tensor, shape in zip(tensors, shapes, strict=True)
        ]
        if place == 0:
            outputs = _within(graph.numbers(2, "i"), len(sizes))
            copies = _COPIES * sum(sizes[index] for index in outputs)
        for used in _used_together(graph):
            at_once = _within(used, len(sizes))
            total = len(content) + copies + sum(sizes[index] for index in at_once)
            if at_once and total > largest.total_bytes:
                index = max(at_once, key=sizes.__getitem__)
                shape = shapes[index] if growth == 1 else ()
                largest = Footprint(total, tensors[index].text(3), shape, sizes[index])
    return largest


def _within(indices: Sequence[int], count: int) -> set[int]:
    """Each index once, without those that stand for a tensor that is left out."""
    return {index for index in indices if 0 <= index < count}


def _used_together(graph: Table) -> Iterator[Sequence[int]]:
    yield graph.numbers(1, "i")
    for operator in graph.tables(3):
        yield (*operator.numbers(1, "i"), *operator.numbers(2, "i"))


def _is_constant(tensor: Table, filled: Sequence[bool]) -> bool:
    buffer = tensor.number(2, "I")
    return buffer < len(filled) and bool(filled[buffer])


def _bytes_of(tensor: Table, shape: Sequence[int]) -> int:
    kind = tensor.number(1, "b")
    # Types that are newer than this list are smaller than a byte.
    element = _ELEMENT_BYTES[kind] if 0 <= kind < len(_ELEMENT_BYTES) else 0
    return element * math.prod(max(1, extent) for extent in shape)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
