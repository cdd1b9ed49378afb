"""Turn round channels that leaky units see nothing but negative values of.

Such a channel is linear, and passes shrunk to a tenth, which leaves it a tenth of the steps of
the others. With the opposite sign it passes in full size, and the weights behind it make up
for both: -x instead of a x, times -a.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.simplify import CONVOLUTIONS
from edge_detect.tools.convert.statistics import Statistics

__all__ = ["flip_negative_channels"]

# How far below zero all values must stay, as a part of the range that they take.
_MARGIN = 0.0


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
        if maker is None or graph.kind(maker) not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            continue
        if not _is_plain(graph, maker, source) or not _feeds_convolutions(graph, result):
            continue
        histogram = statistics.histograms[source]
        chosen = (histogram.low < 0) & (histogram.high <= _MARGIN * histogram.low)
        if chosen.any():
            _flip(graph, statistics, maker, unit, chosen)
            count += int(chosen.sum())
    return count


def _is_plain(graph: Graph, maker: Any, source: int) -> bool:
    if maker.builtinOptions.fusedActivationFunction or not graph.is_constant(int(maker.inputs[1])):
        return False
    return len(graph.readers(source)) == 1 and source not in map(int, graph.subgraph.outputs)


def _feeds_convolutions(graph: Graph, index: int) -> bool:
    readers = graph.readers(index)
    return index not in map(int, graph.subgraph.outputs) and all(
        graph.kind(one) in CONVOLUTIONS - {"FULLY_CONNECTED"}
        and graph.is_constant(int(one.inputs[1]))
        for one in readers
    )


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
        seen = statistics.inputs[int(reader.outputs[0])]
        if kind == "DEPTHWISE_CONV_2D":
            multiplier = graph.tensors[reader.inputs[1]].shape[-1] // len(chosen)
            _multiply(graph, int(reader.inputs[1]), np.repeat(inner, multiplier))
            each = np.repeat(factors, multiplier)
            seen.mean *= each[:, None]
            seen.covariance *= (each**2)[:, None, None].astype(np.float32)
        else:
            _multiply(graph, int(reader.inputs[1]), inner)
            taps = np.tile(factors, len(seen.mean) // len(factors))
            seen.mean *= taps
            seen.covariance *= taps.astype(np.float32)
            seen.covariance *= taps.astype(np.float32)[:, None]
    statistics.histograms[source].mirror(chosen)
    statistics.histograms[result].take(statistics.histograms[source], chosen)


def _multiply(graph: Graph, index: int, factors: NDArray[np.float32]) -> None:
    graph.set_values(index, graph.values(index) * factors)
