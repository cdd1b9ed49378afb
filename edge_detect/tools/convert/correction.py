"""Take out of each channel what quantization adds to it on average, layer by layer.

Rounding errors of a channel that hardly varies, and what clipping cuts off, do not average out:
they shift the channel, and layers behind it add such shifts up. A shift can be taken back in
the bias of the convolution that makes the channel.

Reference:
    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
    2019, sec. 4.2 (the empirical form).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.simplify import CONVOLUTIONS

__all__ = ["Site", "correct_biases", "correction_sites", "mean_activations"]

_Means = NDArray[np.float64]
# What passes the mean of a channel on; others are looked at from the side of their results.
_PASSING = {"LEAKY_RELU", "MAX_POOL_2D", "RELU", "RELU6"}
_LEAST_SLOPE = 0.25
# Biases have 30 bits to begin with: the sum stays within 32.
_LARGEST_CHANGE = 1 << 29


@dataclass(frozen=True)
class Site:
    """Where the mean of a convolution's channels is compared.

    Attributes:
        convolution: Name of the tensor that the convolution writes.
        seen: Name of the tensor that the next layers read: behind activation and pool.
    """

    convolution: str
    seen: str


def correction_sites(graph: Graph, leave: Sequence[str] = ()) -> list[Site]:
    """The convolutions to be corrected.

    Args:
        graph: A simplified network.
        leave: Names of outputs whose layers stay as they are: of logits most lie below the
            clipping limit, so that an average over all says nothing about the rest.
    """
    sites = []
    for operator in graph.operators:
        index = int(operator.outputs[0])
        if graph.kind(operator) not in CONVOLUTIONS or not graph.is_constant(operator.inputs[1]):
            continue
        seen = index
        while len(readers := graph.readers(seen)) == 1 and graph.kind(readers[0]) in _PASSING:
            seen = int(readers[0].outputs[0])
        names = (graph.name(index), graph.name(seen))
        if not set(names) & set(leave) and not _feeds(graph, seen, leave):
            sites.append(Site(*names))
    return sites


def _feeds(graph: Graph, index: int, outputs: Sequence[str]) -> bool:
    """Whether a tensor becomes one of these outputs by mere moving."""
    movers = {"RESHAPE", "CONCATENATION"}
    for operator in graph.readers(index):
        result = int(operator.outputs[0])
        if graph.kind(operator) in movers and (
            graph.name(result) in outputs or _feeds(graph, result, outputs)
        ):
            return True
    return False


def mean_activations(
    graph: Graph, pictures: Iterable[NDArray[Any]], names: Sequence[str]
) -> dict[str, _Means]:
    """Mean of each channel of some activations over pictures, by tensor name.

    Args:
        graph: A float network.
        pictures: Inputs of the network.
        names: Of the tensors.
    """
    places = {graph.name(int(i)): int(i) for one in graph.operators for i in one.outputs}
    outputs = graph.subgraph.outputs
    graph.subgraph.outputs = np.array([places[name] for name in names], np.int32)
    interpreter = open_interpreter(graph.to_bytes(), keep=False)
    graph.subgraph.outputs = outputs
    details = interpreter.get_output_details()
    sums, count = [np.zeros(1)] * len(names), 0
    for pixels in pictures:
        count += 1
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
        interpreter.invoke()
        for number, detail in enumerate(details):
            sums[number] = sums[number] + _mean(interpreter.get_tensor(detail["index"]))
    return {name: one / max(1, count) for name, one in zip(names, sums, strict=True)}


def correct_biases(
    graph: Graph,
    inputs: Sequence[NDArray[np.int8]],
    sites: Sequence[Site],
    wanted: Mapping[str, _Means],
    slopes: Mapping[str, _Means],
    *,
    progress: Callable[[int, int], None],
) -> None:
    """Correct the biases of a quantized network in place.

    Args:
        graph: The quantized network.
        inputs: Pictures.
        sites: What to correct, by the names that the float network has too.
        wanted: The float network's means on the same pictures, by the name of what is seen.
        slopes: By what a change of the bias is multiplied until it is seen, per channel.
        progress: Called with operators done and operators in all.
    """
    site_of = {site.convolution: site for site in sites}
    walk = _Walk(graph, inputs)
    count = len(graph.operators)
    for number, operator in enumerate(graph.operators, 1):
        output = int(operator.outputs[0])
        site = site_of.get(graph.name(output))
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
        self._values: dict[int, list[NDArray[Any]]] = {int(graph.subgraph.inputs[0]): list(inputs)}
        self._left = {
            int(index): len(graph.readers(int(index)))
            for one in graph.operators
            for index in one.inputs
        }

    def step(self, operator: Any) -> None:
        """Run the next operator."""
        for index, values in self._run([operator]).items():
            self._values[index] = values
        for index in {int(one) for one in operator.inputs}:
            self._left[index] = self._left.get(index, 0) - 1
            if self._left[index] <= 0:
                self._values.pop(index, None)

    def peek(self, operator: Any, name: str) -> _Means:
        """The mean of what follows from the next operator alone, without going on."""
        chain = [operator]
        while self._graph.name(int(chain[-1].outputs[0])) != name:
            chain += self._graph.readers(int(chain[-1].outputs[0]))[:1]
        (values,) = self._run(chain).values()
        index = int(chain[-1].outputs[0])
        quantization = self._graph.tensors[index].quantization
        mean = np.mean([_mean(one) for one in values], axis=0)
        if quantization is None or quantization.scale is None:
            return np.asarray(mean)
        return np.asarray((mean - quantization.zeroPoint[0]) * self._graph.scale(index))

    def _run(self, chain: list[Any]) -> dict[int, list[NDArray[Any]]]:
        sources = [int(one) for one in chain[0].inputs if int(one) in self._values]
        results = [int(one) for one in chain[-1].outputs]
        interpreter = open_interpreter(self._graph.part(chain, sources, results), keep=False)
        places = [one["index"] for one in interpreter.get_input_details()]
        found = [one["index"] for one in interpreter.get_output_details()]
        values: dict[int, list[NDArray[Any]]] = {index: [] for index in results}
        for given in self._pictures(sources):
            for place, one in zip(places, given, strict=True):
                interpreter.set_tensor(place, one)
            interpreter.invoke()
            for index, place in zip(results, found, strict=True):
                values[index].append(interpreter.get_tensor(place))
        return values

    def _pictures(self, sources: list[int]) -> Iterator[tuple[NDArray[Any], ...]]:
        return zip(*(self._values[index] for index in sources), strict=True)


def _mean(values: NDArray[Any]) -> _Means:
    return np.asarray(values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64))
