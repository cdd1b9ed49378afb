"""How much errors in each channel of each activation change the outputs of a network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.histograms import ChannelHistogram, bin_values
from edge_detect.tools.convert.simplify import is_layer

__all__ = ["channel_importance", "leaky_slopes", "passing_shares"]

_Importance = dict[int, NDArray[np.float64]]

_PASSED_ON = {
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "MIRROR_PAD",
    "PAD",
    "PRELU",
    "RELU",
    "RELU6",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
}


def channel_importance(graph: Graph, histograms: dict[int, ChannelHistogram]) -> _Importance:
    """Follow errors, taken as independent of each other, from the outputs back to their origins.

    The squared error that one of variance 1 in each value of a channel causes in the outputs,
    where each output tensor counts the same: a convolution multiplies it by squared weights, a
    leaky ReLU by the square of its slope, as often as values lie there.

    Args:
        graph: A simplified float network.
        histograms: Of its activations.

    Returns:
        By tensor, (channels,).
    """
    importance: _Importance = {}
    for index in map(int, graph.subgraph.outputs):
        if index not in histograms:
            continue
        channels = len(histograms[index].shares)
        _add(importance, index, np.full(channels, 1 / channels))
    for operator in reversed(graph.operators):
        for index in map(int, operator.outputs):
            if index not in histograms:
                continue
            known = importance.setdefault(index, np.zeros(len(histograms[index].shares)))
            _pass_back(graph, histograms, importance, operator, known)
    return importance


def _pass_back(
    graph: Graph,
    histograms: dict[int, ChannelHistogram],
    importance: _Importance,
    operator: Any,
    known: NDArray[np.float64],
) -> None:
    kind = graph.kind(operator)
    sources = [int(index) for index in operator.inputs if int(index) in histograms]
    if is_layer(graph, operator):
        known = known * passing_shares(graph, histograms, operator)
        for index in sources[:1]:
            channels = len(histograms[index].shares)
            _add(importance, index, _through_weights(graph, operator, known, channels))
    elif kind == "CONCATENATION" and _joins_channels(graph, operator):
        done = 0
        for index in map(int, operator.inputs):
            width = int(graph.tensors[index].shape[-1])
            if index in histograms:
                _add(importance, index, known[done : done + width])
            done += width
    else:
        slopes = np.ones_like(known)
        if kind == "LEAKY_RELU" and sources:
            slopes = leaky_slopes(histograms[sources[0]], operator.builtinOptions.alpha)
        for index in sources:
            channels = len(histograms[index].shares)
            if channels == len(known) and (kind in _PASSED_ON | {"ADD", "MUL", "LEAKY_RELU"}):
                _add(importance, index, known * slopes)
            else:
                _add(importance, index, np.full(channels, known.mean()))


def _add(importance: _Importance, index: int, more: NDArray[np.float64]) -> None:
    importance[index] = importance.get(index, 0.0) + more


def _joins_channels(graph: Graph, operator: Any) -> bool:
    rank = len(graph.tensors[operator.outputs[0]].shape)
    return bool(operator.builtinOptions.axis % rank == rank - 1)


def _through_weights(
    graph: Graph, operator: Any, known: NDArray[np.float64], channels: int
) -> NDArray[np.float64]:
    squares = graph.values(int(operator.inputs[1])).astype(np.float64) ** 2
    if graph.kind(operator) == "FULLY_CONNECTED":
        total = known @ squares
        return np.full(channels, total.mean()) if len(total) != channels else total
    # Each value is seen by as many filters as there are taps for each step of them.
    area = operator.builtinOptions.strideH * operator.builtinOptions.strideW
    if graph.kind(operator) == "DEPTHWISE_CONV_2D":
        each = (squares.sum(axis=(0, 1, 2)) * known).reshape(channels, -1)
        return np.asarray(each.sum(axis=1) / area)
    return np.asarray(np.einsum("oyxi,o->i", squares, known) / area)


def passing_shares(
    graph: Graph, histograms: dict[int, ChannelHistogram], operator: Any
) -> NDArray[np.float64]:
    """By what an operator's activation multiplies small changes, on average; per channel."""
    if graph.kind(operator) == "LEAKY_RELU":
        shares = histograms[int(operator.inputs[0])].normalized()
        return np.asarray(shares @ np.where(bin_values() < 0, operator.builtinOptions.alpha, 1.0))
    shares = histograms[int(operator.outputs[0])].normalized()
    names = graph.schema.ActivationFunctionType
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    if fused not in (names.RELU, names.RELU6):
        return np.ones(len(shares))
    passes = bin_values() > 0
    if fused == names.RELU6:
        passes &= bin_values() < 5.9
    return np.asarray(shares[:, passes].sum(axis=1))


def leaky_slopes(histogram: ChannelHistogram, slope: float) -> NDArray[np.float64]:
    """By what a leaky ReLU multiplies small squared errors, on average; per channel."""
    return np.asarray(histogram.normalized() @ np.where(bin_values() < 0, slope**2, 1.0))
