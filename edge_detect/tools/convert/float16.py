"""Weights in 16 bits: into a file, and out of it.

A float16 file keeps each weight in two bytes and puts a DEQUANTIZE operator behind it; the
arithmetic stays float32, or is what a GPU is fastest at. A quantizer wants the weights
themselves.
"""

from typing import Any

import numpy as np

from edge_detect.core import ModelError
from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["fold_float16", "store_float16"]

# Version 3 is the first DEQUANTIZE that takes float16.
_VERSION = 3


def fold_float16(content: bytes) -> bytes:
    """Make every float16 weight of a TFLite file a float32 constant.

    The network computes exactly the same: each float16 is a float32.

    Args:
        content: A float TFLite file; one without float16 weights comes back as it was.

    Returns:
        The file without the operators and the tensors that are no longer needed.
    """
    graph = Graph(content)
    half = graph.schema.TensorType.FLOAT16
    widened = [
        one
        for one in graph.operators
        if graph.kind(one) == "DEQUANTIZE"
        and graph.tensors[one.inputs[0]].type == half
        and graph.is_constant(int(one.inputs[0]))
    ]
    if not widened:
        return content
    for operator in widened:
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        stored = graph.model.buffers[graph.tensors[source].buffer].data
        values = np.asarray(stored, np.uint8).view(np.float16).astype(np.float32)
        graph.set_values(target, values)
        graph.operators.remove(operator)
    graph.drop_unused()
    return graph.to_bytes()


def store_float16(content: bytes) -> bytes:
    """Keep every float32 constant of a TFLite file as float16; half the size.

    Args:
        content: A float TFLite file.

    Raises:
        ModelError: A weight is too large for 16 bits.
    """
    graph = Graph(content)
    real = graph.schema.TensorType.FLOAT32
    weights = [
        index
        for index, tensor in enumerate(graph.tensors)
        if tensor.type == real and graph.is_constant(index)
    ]
    for index in weights:
        name = graph.tensors[index].name.decode()
        _store(graph, index, name)
    first = len(graph.operators) - len(weights)
    # Each weight is widened before the network begins.
    graph.subgraph.operators = [*graph.operators[first:], *graph.operators[:first]]
    graph.drop_unused()
    return graph.to_bytes()


def _store(graph: Graph, index: int, name: str) -> None:
    values = graph.values(index)
    if not np.abs(values).max(initial=0) <= np.finfo(np.float16).max:
        raise ModelError(f"{name} holds values beyond {np.finfo(np.float16).max}")
    tensor: Any = graph.tensors[index]
    stored = graph.add_tensor(f"{name}/float16", list(tensor.shape))
    graph.tensors[stored].type = graph.schema.TensorType.FLOAT16
    graph.set_values(stored, values.astype(np.float16))
    tensor.buffer = 0
    graph.add_operator("DEQUANTIZE", [stored], [index], version=_VERSION)
