"""Take out of each channel what quantization adds to it on average, layer by layer.

Rounding errors of a channel that hardly varies, and what clipping cuts off, do not average out:
they shift the channel, and layers behind it add such shifts up. A shift can be taken back in
the bias of the convolution that makes the channel.

Reference:
    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
    2019, sec. 4.2 (the empirical form).
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.groups import MOVERS
from edge_detect.tools.convert.interpreter import invoke, open_interpreter
from edge_detect.tools.convert.simplify import is_layer

__all__ = ["Site", "correct_biases", "corrected_views", "correction_sites"]

_Means = NDArray[np.float64]
# What passes the mean of a channel on; others are looked at from the side of their results.
_PASSING = {"LEAKY_RELU", "MAX_POOL_2D", "RELU", "RELU6"}
_LEAST_SLOPE = 0.25
# Whole activations of all views are held at a time: as many as fit in so many bytes. Of fewer
# views the means say little: on 14 instead of 56, YOLOv3-tiny lost more than it gained.
_MEMORY = 256 << 20
_LEAST_VIEWS = 16
# Biases have 30 bits to begin with: the sum stays within 32.
_LARGEST_CHANGE = 1 << 29


@dataclass(frozen=True)
class Site:
    """Where the mean of a convolution's channels is compared.

    Attributes:
        convolution: Number of the tensor that the convolution writes.
        seen: Number of the tensor that the next layers read: behind activation and pool.
    """

    convolution: int
    seen: int


def corrected_views(graph: Graph, count: int) -> range:
    """Numbers of the views, out of so many, that biases are corrected on: evenly from all."""
    sizes = [math.prod(graph.shape(int(i))) for one in graph.operators for i in one.outputs]
    most = max(_LEAST_VIEWS, _MEMORY // max([1, *sizes]))
    return range(0, count, max(1, -(-count // most)))


def correction_sites(graph: Graph, leave: Collection[int] = ()) -> list[Site]:
    """The convolutions to be corrected.

    Args:
        graph: A simplified network.
        leave: Outputs whose layers stay as they are: what they clip is clipped on purpose, and
            an average over it says nothing about the rest.
    """
    sites = []
    for operator in graph.operators:
        if not is_layer(graph, operator):
            continue
        index = seen = int(operator.outputs[0])
        while len(readers := graph.readers(seen)) == 1 and graph.kind(readers[0]) in _PASSING:
            seen = int(readers[0].outputs[0])
        if not {index, seen} & set(leave) and not _feeds(graph, seen, leave):
            sites.append(Site(index, seen))
    return sites


def _feeds(graph: Graph, index: int, outputs: Collection[int]) -> bool:
    """Whether a tensor becomes one of these outputs by mere moving."""
    results = [
        int(result)
        for operator in graph.readers(index)
        if graph.kind(operator) in MOVERS
        for result in operator.outputs
    ]
    return any(one in outputs or _feeds(graph, one, outputs) for one in results)


def correct_biases(
    graph: Graph,
    inputs: Sequence[NDArray[np.int8]],
    sites: Sequence[Site],
    wanted: Mapping[int, _Means],
    slopes: Mapping[int, _Means],
    *,
    progress: Callable[[int, int], None],
) -> None:
    """Correct the biases of a quantized network in place.

    Args:
        graph: The quantized network, its tensors numbered as in the float network.
        inputs: Pictures.
        sites: What to correct.
        wanted: The float network's means on the same pictures, by what is seen.
        slopes: By what a change of the bias is multiplied until it is seen, per channel.
        progress: Called with operators done and operators in all.
    """
    int8 = graph.schema.TensorType.INT8
    site_of = {one.convolution: one for one in sites if graph.tensors[one.seen].type == int8}
    walk = _Walk(graph, inputs)
    count = len(graph.operators)
    for number, operator in enumerate(graph.operators, 1):
        output = int(operator.outputs[0])
        site = site_of.get(output)
        if site is not None:
            seen = walk.peek(operator, site.seen)
            lost = (wanted[site.seen] - seen) / np.maximum(slopes[site.seen], _LEAST_SLOPE)
            bias = int(operator.inputs[2])
            units = np.asarray(graph.tensors[bias].quantization.scale, np.float64)
            change = np.clip(np.round(lost / units), -_LARGEST_CHANGE, _LARGEST_CHANGE)
            graph.set_values(bias, (graph.values(bias) + change).astype(np.int32))
        walk.step(operator)
        progress(number, count)


class _Walk:
    """Runs a network one operator after the other over several pictures at a time."""

    def __init__(self, graph: Graph, inputs: Sequence[NDArray[Any]]) -> None:
        self._graph = graph
        self._count = len(inputs)
        self._values: dict[int, list[NDArray[Any]]] = {int(graph.subgraph.inputs[0]): list(inputs)}
        self._left = {
            int(index): len(graph.readers(int(index)))
            for one in graph.operators
            for index in one.inputs
        }

    def step(self, operator: Any) -> None:
        """Run the next operator."""
        results = [int(one) for one in operator.outputs]
        runs = list(self._run([operator]))
        for place, index in enumerate(results):
            if self._left.get(index):
                self._values[index] = [values[place] for values in runs]
        for index in {int(one) for one in operator.inputs}:
            self._left[index] = self._left.get(index, 0) - 1
            if self._left[index] <= 0:
                self._values.pop(index, None)

    def peek(self, operator: Any, seen: int) -> _Means:
        """The mean of what follows from the next operator alone, without going on."""
        chain = [operator]
        while int(chain[-1].outputs[0]) != seen:
            (reader,) = self._graph.readers(int(chain[-1].outputs[0]))
            chain.append(reader)
        total, count = np.zeros(1), 0
        for (values,) in self._run(chain):
            total, count = total + _mean(values), count + 1
        zero = self._graph.tensors[seen].quantization.zeroPoint[0]
        return np.asarray((total / count - zero) * self._graph.scale(seen))

    def _run(self, chain: list[Any]) -> Iterator[list[NDArray[Any]]]:
        """The results of the last of some operators, picture by picture."""
        sources = [int(one) for one in dict.fromkeys(chain[0].inputs) if int(one) in self._values]
        results = [int(one) for one in chain[-1].outputs]
        interpreter = open_interpreter(self._graph.part(chain, sources, results), keep=False)
        found = [one["index"] for one in interpreter.get_output_details()]
        for number in range(self._count):
            invoke(interpreter, *(self._values[index][number] for index in sources))
            yield [interpreter.get_tensor(place) for place in found]


def _mean(values: NDArray[Any]) -> _Means:
    return np.asarray(values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64))
