"""Put the end of a float network behind a quantized one: its decoding stays in float32."""

import copy
from typing import Any

import numpy as np

from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["append_float_tail"]


def append_float_tail(quantized: bytes, original: bytes, heads: dict[str, int]) -> bytes:
    """Append what follows the heads of a float network.

    Args:
        quantized: The network up to its heads, int8, its outputs named as in `heads`.
        original: The float network.
        heads: Its tensors, by the names of the outputs of `quantized`.

    Returns:
        A file with int8 input and the float outputs of the original.
    """
    graph, source = Graph(quantized), Graph(original)
    place: dict[int, int] = {}
    for index in map(int, graph.subgraph.outputs):
        head = heads[graph.name(index)]
        shape = [int(side) for side in graph.tensors[index].shape]
        place[head] = graph.add_tensor(f"{graph.name(index)}/float", shape)
        graph.add_operator("DEQUANTIZE", [index], [place[head]], version=2)
    for operator in _tail(source, set(heads.values())):
        copied = copy.copy(operator)
        copied.opcodeIndex = _code(graph, source, operator.opcodeIndex)
        for name in ("inputs", "outputs"):
            indices = [
                _copy_tensor(graph, source, int(one), place) for one in getattr(operator, name)
            ]
            setattr(copied, name, np.array(indices, np.int32))
        graph.operators.append(copied)
    names = {
        # A constant has no operator that would have brought it here.
        source.name(int(one)): _copy_tensor(graph, source, int(one), place)
        for one in source.subgraph.outputs
    }
    graph.set_outputs(names)
    return graph.to_bytes()


def _tail(source: Graph, heads: set[int]) -> list[Any]:
    """The operators behind the heads that the outputs need, in the order of execution."""
    needed, tail = {int(index) for index in source.subgraph.outputs} - heads, []
    for operator in reversed(source.operators):
        if needed.intersection(map(int, operator.outputs)):
            needed.update({int(index) for index in operator.inputs} - heads)
            tail.append(operator)
    return tail[::-1]


def _code(graph: Graph, source: Graph, index: int) -> int:
    """Where the code of one of the source's operators is in the new file."""
    wanted = source.model.operatorCodes[index]
    key = (wanted.builtinCode, wanted.version, wanted.customCode)
    for number, code in enumerate(graph.model.operatorCodes):
        if (code.builtinCode, code.version, code.customCode) == key:
            return number
    graph.model.operatorCodes.append(copy.copy(wanted))
    return len(graph.model.operatorCodes) - 1


def _copy_tensor(graph: Graph, source: Graph, index: int, place: dict[int, int]) -> int:
    if index < 0:
        return index
    if index not in place:
        tensor = copy.copy(source.tensors[index])
        buffer = source.model.buffers[tensor.buffer]
        tensor.buffer = 0
        if buffer.data is not None:
            graph.model.buffers.append(copy.copy(buffer))
            tensor.buffer = len(graph.model.buffers) - 1
        graph.tensors.append(tensor)
        place[index] = len(graph.tensors) - 1
    return place[index]
