"""Negate channels that are never positive before a leaky ReLU.

Such a channel is linear, and passes shrunk to a tenth, which leaves it a tenth of the steps of
the others. With the opposite sign it passes in full size, and the weights behind it make up
for both: -x instead of a x, times -a.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.simplify import is_layer
from edge_detect.tools.convert.statistics import Statistics

__all__ = ["flip_negative_channels"]


def flip_negative_channels(graph: Graph, statistics: Statistics) -> int:
    """Flip channels of a network, and what was seen of it, in place.

    On the pictures that the statistics are of, the network computes the same as before.

    Args:
        graph: A simplified float network.
        statistics: Of its activations.

    Returns:
        How many channels were flipped.
    """
    count = 0
    for unit in graph.operators:
        source, result = int(unit.inputs[0]), int(unit.outputs[0])
        if graph.kind(unit) != "LEAKY_RELU" or unit.builtinOptions.alpha <= 0:
            continue
        maker = graph.producer(source)
        if maker is None or not _has_channels(graph, maker):
            continue
        if not _is_plain(graph, maker, source) or not _feeds_convolutions(graph, result):
            continue
        histogram = statistics.histograms[source]
        chosen = (histogram.low < 0) & (histogram.high <= 0)
        if chosen.any():
            _flip(graph, statistics, maker, unit, chosen)
            count += int(chosen.sum())
    return count


def _is_plain(graph: Graph, maker: Any, source: int) -> bool:
    if maker.builtinOptions.fusedActivationFunction:
        return False
    return len(graph.readers(source)) == 1 and source not in map(int, graph.subgraph.outputs)


def _feeds_convolutions(graph: Graph, index: int) -> bool:
    readers = graph.readers(index)
    return index not in map(int, graph.subgraph.outputs) and all(
        _has_channels(graph, one) for one in readers
    )


def _has_channels(graph: Graph, operator: Any) -> bool:
    return is_layer(graph, operator) and graph.kind(operator) != "FULLY_CONNECTED"


def _flip(
    graph: Graph, statistics: Statistics, maker: Any, unit: Any, chosen: NDArray[np.bool_]
) -> None:
    source, result = int(unit.inputs[0]), int(unit.outputs[0])
    slope = float(unit.builtinOptions.alpha)
    signs = np.where(chosen, -1.0, 1.0).astype(np.float32)
    _multiply(graph, int(maker.inputs[2]), signs)
    outer = signs if graph.kind(maker) == "DEPTHWISE_CONV_2D" else signs[:, None, None, None]
    _multiply(graph, int(maker.inputs[1]), outer)
    factors = np.where(chosen, -1 / slope, 1.0)
    for reader in graph.readers(result):
        inner, kind = (1 / factors).astype(np.float32), graph.kind(reader)
        output = int(reader.outputs[0])
        seen = statistics.inputs[output]
        if kind == "DEPTHWISE_CONV_2D":
            multiplier = graph.tensors[reader.inputs[1]].shape[-1] // len(chosen)
            _multiply(graph, int(reader.inputs[1]), np.repeat(inner, multiplier))
            taps = np.repeat(factors, multiplier)[:, None]
        else:
            _multiply(graph, int(reader.inputs[1]), inner)
            taps = np.tile(factors, len(seen.mean) // len(factors))
        statistics.inputs[output] = seen.scaled(taps)
    statistics.histograms[source].mirror(chosen)
    statistics.histograms[result].take(statistics.histograms[source], chosen)


def _multiply(graph: Graph, index: int, factors: NDArray[np.float32]) -> None:
    graph.set_values(index, graph.values(index) * factors)
