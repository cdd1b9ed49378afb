"""Statistics of a float network's activations on pictures."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.histograms import ChannelHistogram
from edge_detect.tools.convert.interpreter import invoke, open_interpreter
from edge_detect.tools.convert.simplify import is_layer
from edge_detect.tools.convert.weights import MOST_TAPS, InputStatistics

__all__ = ["Statistics", "gather_statistics"]

_VALUES_PER_PICTURE = 30_000
_POSITIONS_PER_PICTURE = 128


@dataclass
class Statistics:
    """Of one network on some pictures.

    Attributes:
        histograms: Of each activation.
        inputs: What each convolution sees, by the tensor that it writes.
    """

    histograms: dict[int, ChannelHistogram] = field(default_factory=dict)
    inputs: dict[int, InputStatistics] = field(default_factory=dict)


def gather_statistics(
    graph: Graph,
    pictures: Iterable[NDArray[np.float32]],
    *,
    averaged: Container[int],
    progress: Callable[[], None],
) -> Statistics:
    """Run a float network over pictures and look at every activation.

    Args:
        graph: A simplified float network.
        pictures: (1, height, width, channels) float32 each.
        averaged: Numbers of the pictures over which the means of activations are taken.
        progress: Called after each picture.

    Raises:
        ModelError: The network cannot be run, or gives values that are not finite.
    """
    types = graph.schema.TensorType
    activations = [
        int(index)
        for operator in graph.operators
        for index in operator.outputs
        if graph.tensors[index].type == types.FLOAT32
    ]
    convolutions = {
        int(one.outputs[0]): _Patches(graph, one) for one in graph.operators if is_layer(graph, one)
    }
    histograms = {index: ChannelHistogram(_channels(graph, index)) for index in activations}
    image = int(graph.subgraph.inputs[0])
    interpreter, places = _open_with_all_outputs(graph, activations)
    for number, pixels in enumerate(pictures):
        invoke(interpreter, pixels)
        values = {index: interpreter.get_tensor(place) for index, place in places.items()}
        values[image] = pixels
        for index, histogram in histograms.items():
            _check_finite(graph, index, values[index])
            _count(histogram, values[index])
            if number in averaged:
                histogram.average(values[index].reshape(-1, len(histogram.shares)))
        for patches in convolutions.values():
            patches.add(values[patches.source])
        progress()
    return Statistics(histograms, {index: one.statistics() for index, one in convolutions.items()})


def _channels(graph: Graph, index: int) -> int:
    shape = graph.shape(index)
    return shape[-1] if shape else 1


def _check_finite(graph: Graph, index: int, values: NDArray[np.float32]) -> None:
    # Either is not a number where one of the values is not.
    if not np.isfinite(values.min()) or not np.isfinite(values.max()):
        raise ModelError(
            f"tensor {graph.name(index)!r} is not finite on a calibration picture",
            "check the weights and the input range",
        )


def _open_with_all_outputs(graph: Graph, activations: list[int]) -> tuple[Any, dict[int, int]]:
    """An interpreter that shows every activation and uses the fast kernels nevertheless.

    Returns:
        It, and where in it the activations are.
    """
    outputs = graph.subgraph.outputs
    graph.subgraph.outputs = np.array(activations, np.int32)
    content = graph.to_bytes()
    graph.subgraph.outputs = outputs
    interpreter = open_interpreter(content, keep=False)
    found = [detail["index"] for detail in interpreter.get_output_details()]
    return interpreter, dict(zip(activations, found, strict=True))


def _count(histogram: ChannelHistogram, values: NDArray[np.float32]) -> None:
    rows = values.reshape(-1, len(histogram.shares))
    every = max(1, values.size // _VALUES_PER_PICTURE)
    if every > 1:
        # A step that divides the width of the picture would see only some columns.
        kept = rows[:: every | 1]
        histogram.add(kept, weight=len(rows) / len(kept))
        # Rare large values are what the network has found: they are not left to luck.
        rows = np.stack([rows.min(axis=0), rows.max(axis=0)])
    histogram.add(rows)


class _Patches:
    """Sums over the inputs that one convolution's filters see, at some positions."""

    def __init__(self, graph: Graph, operator: Any) -> None:
        self.source = int(operator.inputs[0])
        self._kind = graph.kind(operator)
        kernel = [int(length) for length in graph.tensors[operator.inputs[1]].shape]
        self._count = 0
        taps: list[int] = [kernel[-1]]
        if self._kind != "FULLY_CONNECTED":
            options = operator.builtinOptions
            self._size = (kernel[1], kernel[2])
            self._stride = (options.strideH, options.strideW)
            self._dilation = (options.dilationHFactor or 1, options.dilationWFactor or 1)
            self._same = options.padding == graph.schema.Padding.SAME
            shape = graph.tensors[operator.outputs[0]].shape
            self._shape = (int(shape[1]), int(shape[2]))
            self._positions = _spread(int(shape[1]), int(shape[2]))
            count = kernel[1] * kernel[2]
            depthwise = self._kind == "DEPTHWISE_CONV_2D"
            taps = [kernel[3], count] if depthwise else [count * kernel[3]]
        self._sum = np.zeros(taps)
        # What the first picture has on average: sums are of differences from it.
        self._pivot: NDArray[np.float32] | None = None
        both = [taps[-1]] if taps[-1] <= MOST_TAPS else []
        self._squares = np.zeros([*taps, *both], np.float32)

    def add(self, values: NDArray[np.float32]) -> None:
        """Add one input."""
        if self._kind == "DEPTHWISE_CONV_2D":
            patches = self._patches(values[0])
            # (positions, taps, input channels) → (channels, positions, taps)
            multiplier = len(self._sum) // patches.shape[2]
            rows = np.repeat(patches.transpose(2, 0, 1), multiplier, axis=0)
        else:
            whole = values if self._kind == "FULLY_CONNECTED" else self._patches(values[0])
            rows = whole.reshape(-1, len(self._sum))
        if self._pivot is None:
            self._pivot = rows.mean(axis=-2, keepdims=True)
        # Squares of what is near zero lose nothing when the mean's square is taken out of them.
        rows = rows - self._pivot
        self._sum += rows.sum(axis=-2, dtype=np.float64)
        if self._squares.ndim > self._sum.ndim:
            self._squares += rows.swapaxes(-1, -2) @ rows
        else:
            self._squares += (rows * rows).sum(axis=-2)
        self._count += rows.shape[-2]

    def _patches(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(positions, taps, channels)."""
        starts = []
        for axis in (0, 1):
            reach = (self._size[axis] - 1) * self._dilation[axis] + 1
            missing = (self._shape[axis] - 1) * self._stride[axis] + reach - image.shape[axis]
            starts.append(max(0, missing) // 2 if self._same else 0)
        rows, columns = self._positions
        taps = []
        for down in range(self._size[0]):
            for right in range(self._size[1]):
                row = rows * self._stride[0] + down * self._dilation[0] - starts[0]
                column = columns * self._stride[1] + right * self._dilation[1] - starts[1]
                inside = (row >= 0) & (row < image.shape[0])
                inside &= (column >= 0) & (column < image.shape[1])
                seen = image[row.clip(0, image.shape[0] - 1), column.clip(0, image.shape[1] - 1)]
                taps.append(seen * inside[:, None])
        return np.stack(taps, axis=1)

    def statistics(self) -> InputStatistics:
        """Mean and covariance."""
        shift = self._sum / self._count
        mean = shift if self._pivot is None else shift + self._pivot[..., 0, :]
        narrow = shift.astype(np.float32)
        self._squares /= np.float32(self._count)
        if self._squares.ndim > shift.ndim:
            self._squares -= narrow[..., :, None] * narrow[..., None, :]
        else:
            self._squares -= narrow**2
        return InputStatistics(mean, self._squares)


def _spread(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some positions of a grid, the same in every run."""
    count = height * width
    chosen = np.arange(count)
    if count > _POSITIONS_PER_PICTURE:
        chosen = np.sort(np.random.default_rng(count).permutation(count)[:_POSITIONS_PER_PICTURE])
    return chosen // width, chosen % width
