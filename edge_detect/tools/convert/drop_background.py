"""Leave the background out of an SSD with sigmoid scores that is a float TFLite file.

With a softmax the background is needed to make the others' probabilities; with a sigmoid no
one reads it. But whatever compares or quantizes scores would take it for the surest class.
"""

from typing import Any

import numpy as np

from edge_detect.core import ModelError
from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["drop_background"]


def drop_background(content: bytes, scores: str, columns: int) -> bytes:
    """Remove column 0 of the scores, back to the convolutions that compute them.

    Args:
        content: A float32 TFLite file, in which reshaped convolutions are joined to the scores.
        scores: Name of the output, (1, anchors, columns).
        columns: Number of classes with the background.

    Raises:
        ModelError: The network ends otherwise.
    """
    graph = Graph(content)
    index = next((int(one) for one in graph.subgraph.outputs if _name(graph, one) == scores), None)
    makers = {int(one.outputs[0]): one for one in graph.operators}
    join = makers.get(index) if index is not None else None
    if join is None or graph.kind(join) != "CONCATENATION":
        raise ModelError(f"the output {scores!r} does not join the scores of several layers")
    for source in (int(one) for one in join.inputs):
        reshape = makers.get(source)
        if reshape is None or graph.kind(reshape) != "RESHAPE":
            raise ModelError(f"{_name(graph, source)} is not a reshaped layer of scores")
        layer = makers.get(int(reshape.inputs[0]))
        if layer is None or graph.kind(layer) != "CONV_2D":
            raise ModelError(f"{_name(graph, int(reshape.inputs[0]))} is not a convolution")
        _narrow_layer(graph, layer, columns)
        _narrow_reshape(graph, reshape, columns)
    _shorten(graph, int(join.outputs[0]), columns - 1)
    graph.drop_unused()
    return graph.to_bytes()


def _name(graph: Graph, index: int) -> str:
    name: bytes = graph.tensors[index].name
    return name.decode()


def _narrow_layer(graph: Graph, layer: Any, columns: int) -> None:
    filters = int(graph.tensors[layer.outputs[0]].shape[-1])
    if filters % columns:
        raise ModelError(f"{filters} filters are no multiple of {columns} classes")
    kept = np.arange(filters).reshape(-1, columns)[:, 1:].reshape(-1)
    for place in layer.inputs[1:]:
        values = graph.values(int(place))[kept]
        graph.tensors[place].shape = np.array(values.shape, np.int32)
        graph.set_values(int(place), values)
    _shorten(graph, int(layer.outputs[0]), len(kept))


def _narrow_reshape(graph: Graph, reshape: Any, columns: int) -> None:
    target = int(reshape.outputs[0])
    if int(graph.tensors[target].shape[-1]) != columns:
        raise ModelError(f"{_name(graph, target)} does not have {columns} columns")
    _shorten(graph, target, columns - 1)
    shape = np.array(graph.tensors[target].shape, np.int32)
    if reshape.builtinOptions is not None:
        reshape.builtinOptions.newShape = shape
    if len(reshape.inputs) > 1:
        # The constant may be shared with reshapes that stay as they are.
        tensor = graph.add_tensor(f"{_name(graph, target)}/shape", [len(shape)])
        graph.tensors[tensor].type = graph.schema.TensorType.INT32
        graph.set_values(tensor, shape)
        reshape.inputs = np.array([reshape.inputs[0], tensor], np.int32)


def _shorten(graph: Graph, index: int, last: int) -> None:
    shape = np.array(graph.tensors[index].shape, np.int32)
    shape[-1] = last
    graph.tensors[index].shape = shape
    # What was of unknown size when the file was made, does not matter any more.
    graph.tensors[index].shapeSignature = None
