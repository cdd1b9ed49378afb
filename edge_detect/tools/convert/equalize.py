"""Give the channels of an activation similar ranges, so that one step suits them all.

A channel that never exceeds a tenth of the tensor's range has a tenth of the 256 steps. As
the filters that make a channel have a step of their own, the channel can be made larger there,
and smaller again in the weights of what reads it; between them stand only operators to which
the size makes no difference.

Reference:
    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
    2019, sec. 4.1 (there by the ranges of weights; here, as weights have steps per filter,
    by what activations lose).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.histograms import STEP
from edge_detect.tools.convert.ranges import RangePlanner
from edge_detect.tools.convert.simplify import is_layer

__all__ = ["Channels", "choose_factors", "equalize"]

_ROUNDS = 3

# f(k x) = k f(x) for every k > 0, channel by channel. RELU6 clips sooner, which
# RangePlanner.losses counts.
_HOMOGENEOUS = {
    "AVERAGE_POOL_2D",
    "LEAKY_RELU",
    "MAX_POOL_2D",
    "PRELU",
    "RELU",
    "RELU6",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
}
_PADS = {"PAD", "MIRROR_PAD"}


def equalize(graph: Graph, powers: dict[int, NDArray[np.int64]]) -> None:
    """Multiply the channels of activations by factors, in the weights around them.

    Args:
        graph: A simplified float network; changed in place.
        powers: From `choose_factors`.
    """
    factors = {index: STEP**one for index, one in powers.items()}
    for operator in graph.operators:
        kind = graph.kind(operator)
        if not is_layer(graph, operator):
            continue
        source, kernel, bias = (int(index) for index in operator.inputs[:3])
        target = factors[int(operator.outputs[0])]
        weights = graph.values(kernel).astype(np.float64)
        if kind == "DEPTHWISE_CONV_2D":
            multiplier = weights.shape[-1] // len(factors[source])
            weights *= target / np.repeat(factors[source], multiplier)
        elif kind == "CONV_2D":
            weights *= target[:, None, None, None] / factors[source]
        else:
            weights *= target[:, None]
        graph.set_values(kernel, weights.astype(np.float32))
        graph.set_values(bias, (graph.values(bias) * target).astype(np.float32))


def choose_factors(
    graph: Graph, planner: RangePlanner, *, clip_weight: float, limit: int
) -> dict[int, NDArray[np.int64]]:
    """Choose by what each channel of each activation is to be multiplied.

    Ranges and factors depend on each other: they are chosen in turn, each for the least loss.

    Args:
        graph: A simplified float network.
        planner: Of its ranges.
        clip_weight: See `best_window`.
        limit: Greatest power of `STEP`; with 0 all channels stay as they are.

    Returns:
        By tensor, the power of `STEP` for each channel; 0 where the size of values matters.
    """
    channels = Channels(graph)
    for group in planner.groups:
        for index in group.members if group.capped else ():
            channels.fix(index)
    powers = np.zeros(channels.count, np.int64)
    for _ in range(_ROUNDS if limit else 0):
        windows = planner.windows(channels.spread(powers), clip_weight)
        losses = np.zeros((channels.count, limit + 1))
        for group, window in zip(planner.groups, windows, strict=True):
            # What leaky ReLUs make has the step of what they are made from.
            for index in () if group.leaky else group.seen:
                lost = planner.losses(index, group, window, clip_weight, limit)
                np.add.at(losses, channels.roots(index), lost)
        powers = np.argmin(losses, axis=1)
        powers[~channels.free()] = 0
    return channels.spread(powers)


class Channels:
    """Which channels of which tensors must be multiplied by the same factor."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.starts: dict[int, int] = {}
        self.count = 0
        image = int(graph.subgraph.inputs[0])
        made = [int(index) for one in graph.operators for index in one.outputs]
        real = graph.schema.TensorType.FLOAT32
        for index in [image, *(one for one in made if graph.tensors[one].type == real)]:
            self.starts[index] = self.count
            self.count += self._width(index)
        self._parents = np.arange(self.count)
        self._fixed = np.zeros(self.count, np.bool_)
        self.fix(image)
        for index in graph.subgraph.outputs:
            self.fix(int(index))
        for operator in graph.operators:
            self._tie(operator)
        self._flatten()

    def roots(self, index: int) -> NDArray[np.int64]:
        """For each channel of a tensor the one that stands for all that are tied to it."""
        start = self.starts[index]
        return np.asarray(self._parents[start : start + self._width(index)], np.int64)

    def free(self) -> NDArray[np.bool_]:
        """By root, whether a factor may be other than 1."""
        free = np.ones(self.count, np.bool_)
        free[self._parents[self._fixed]] = False
        return free

    def spread(self, values: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
        """By tensor, for each channel the value that belongs to its root."""
        return {index: values[self.roots(index)] for index in self.starts}

    def _width(self, index: int) -> int:
        shape = self._graph.shape(index)
        return shape[-1] if shape else 1

    def _range(self, index: int) -> NDArray[np.int64]:
        return np.arange(self.starts[index], self.starts[index] + self._width(index))

    def fix(self, index: int) -> None:
        """Leave the channels of a tensor, and all that are tied to them, as they are."""
        if index in self.starts:
            self._fixed[self._range(index)] = True

    def _tie(self, operator: Any) -> None:
        graph, kind = self._graph, self._graph.kind(operator)
        inputs = [int(i) for i in operator.inputs if int(i) in self.starts]
        outputs = [int(index) for index in operator.outputs if int(index) in self.starts]
        if not outputs and kind == "SHAPE":
            return
        names = vars(graph.schema.ActivationFunctionType)
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        if fused not in {names[one] for one in ("NONE", "RELU", "RELU6")}:
            for index in outputs:
                self.fix(index)
        if is_layer(graph, operator):
            if kind == "FULLY_CONNECTED":
                self.fix(inputs[0])
        elif len(inputs) == 1 and (kind in _HOMOGENEOUS or self._pads_with_zeros(operator)):
            self._unite(self._range(inputs[0]), self._range(outputs[0]))
        elif kind == "ADD" and len(inputs) == 2 and self._alike(*inputs, *outputs):
            for index in inputs:
                self._unite(self._range(index), self._range(outputs[0]))
        elif kind == "CONCATENATION" and len(inputs) == len(operator.inputs):
            self._tie_parts(operator, inputs, outputs[0])
        else:
            for index in (*inputs, *outputs):
                self.fix(index)

    def _pads_with_zeros(self, operator: Any) -> bool:
        """Whether it pads rows and columns alone, with values that scale along."""
        if self._graph.kind(operator) not in _PADS:
            return False
        paddings = int(operator.inputs[1])
        if not self._graph.is_constant(paddings):
            return False
        return bool((self._graph.values(paddings)[-1] == 0).all())

    def _alike(self, *indices: int) -> bool:
        return len({self._graph.shape(index) for index in indices}) == 1

    def _tie_parts(self, operator: Any, inputs: list[int], output: int) -> None:
        axis = operator.builtinOptions.axis % len(self._graph.shape(output))
        whole, done = self._range(output), 0
        for index in inputs:
            part = self._range(index)
            if axis == len(self._graph.shape(output)) - 1:
                self._unite(part, whole[done : done + len(part)])
                done += len(part)
            else:
                self._unite(part, whole)

    def _unite(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            self._parents[self._root(one)] = self._root(other)

    def _root(self, channel: int) -> int:
        while self._parents[channel] != channel:
            self._parents[channel] = self._parents[self._parents[channel]]
            channel = int(self._parents[channel])
        return channel

    def _flatten(self) -> None:
        for channel in range(self.count):
            self._parents[channel] = self._root(channel)
