"""Where the network of a detector ends and the decoding of its boxes begins.

Eight bits are enough for what convolutions give, not for pixels from 0 to 640, nor for
boxes and scores in one tensor. So the graph is cut behind the last layers with weights: what
is before becomes INT8; what is behind is done by the detector, or stays in float.
"""

from typing import Any

import numpy as np

from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["cut_at", "find_heads", "reaches_image", "split_filters"]

_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
_PRODUCTS = {"TRANSPOSE_CONV", "BATCH_MATMUL"}


def find_heads(graph: Graph) -> list[int]:
    """The results of the last layers with weights on the ways to the outputs.

    Args:
        graph: A float network.

    Returns:
        Numbers of tensors, in the order in which the graph joins them. Empty if the input
        itself reaches an output without passing a layer, or no output depends on one.
    """
    image = int(graph.subgraph.inputs[0])
    makers = {int(made): one for one in graph.operators for made in one.outputs}
    heads: list[int] = []
    seen: set[int] = set()
    # A stack, not recursion: graphs are thousands of operators deep.
    waiting = [int(index) for index in graph.subgraph.outputs][::-1]
    while waiting:
        index = waiting.pop()
        if index in seen or index < 0:
            continue
        seen.add(index)
        if index == image:
            return []
        operator = makers.get(index)
        if operator is None:
            continue
        if _is_layer(graph, operator):
            heads.append(index)
        else:
            waiting += [int(each) for each in operator.inputs][::-1]
    return heads


def reaches_image(graph: Graph) -> bool:
    """Whether an output depends on the pixels."""
    image = int(graph.subgraph.inputs[0])
    makers = {int(made): one for one in graph.operators for made in one.outputs}
    seen: set[int] = set()
    waiting = [int(index) for index in graph.subgraph.outputs]
    while waiting:
        index = waiting.pop()
        if index not in seen and index in makers:
            waiting += [int(each) for each in makers[index].inputs]
        seen.add(index)
    return image in seen


def _is_layer(graph: Graph, operator: Any) -> bool:
    """Whether it has trained weights; the mean of a distribution, 0, 1, 2 …, has none."""
    kind = graph.kind(operator)
    if kind in _LAYERS:
        places = [1]
    elif kind in _PRODUCTS:
        places = [0, 1]
    else:
        return False
    for place in places:
        index = int(operator.inputs[place])
        if graph.is_constant(index) and graph.tensors[index].type == 0:
            values = graph.values(index).reshape(-1)
            if values.size < 2 or not np.array_equal(values, np.arange(values.size)):
                return True
    return False


def cut_at(content: bytes, heads: dict[str, int]) -> bytes:
    """Make inner tensors the outputs of a network, without what follows them.

    Args:
        content: A float TFLite file.
        heads: Tensors by the names that they get.
    """
    graph = Graph(content)
    graph.set_outputs(heads)
    graph.drop_unused_operators()
    graph.drop_unused()
    return graph.to_bytes()


def split_filters(graph: Graph, head: int, parts: dict[str, list[int]]) -> dict[str, int] | None:
    """Take a convolution apart into several of some of its filters each.

    Args:
        graph: A float network, changed in place.
        head: Tensor that the convolution gives.
        parts: Numbers of filters by the name of the new tensor.

    Returns:
        The new tensors; None where `head` is no result of a convolution with constant weights.
    """
    operator = graph.producer(head)
    if operator is None or graph.kind(operator) != "CONV_2D":
        return None
    source, kernel, *rest = (int(index) for index in operator.inputs)
    if not graph.is_constant(kernel):
        return None
    weights = graph.values(kernel)
    bias = graph.values(rest[0]) if rest and rest[0] >= 0 else np.zeros(len(weights), np.float32)
    shape = [int(side) for side in graph.tensors[head].shape]
    made = {}
    for name, filters in parts.items():
        result = graph.add_tensor(name, [*shape[:-1], len(filters)])
        inputs = [
            source,
            graph.add_tensor(
                f"{name}/weights", [len(filters), *weights.shape[1:]], weights[filters]
            ),
            graph.add_tensor(f"{name}/bias", [len(filters)], bias[filters]),
        ]
        part = graph.schema.OperatorT()
        part.opcodeIndex = operator.opcodeIndex
        part.builtinOptionsType = operator.builtinOptionsType
        part.builtinOptions = operator.builtinOptions
        part.inputs, part.outputs = np.array(inputs, np.int32), np.array([result], np.int32)
        graph.operators.insert(graph.operators.index(operator), part)
        made[name] = result
    return made
