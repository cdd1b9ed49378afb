"""Write a float network down as a quantized one: int8 activations and weights, int32 biases.

What is decided elsewhere (ranges, rounded weights) is written into the file here, by the
rules of the TensorFlow Lite 8-bit quantization specification: activations per tensor and
asymmetric, weights of convolutions per filter and symmetric, biases in units of input times
weight scale. Operators without an integer kernel stay in float, between a `DEQUANTIZE` and a
`QUANTIZE`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.ranges import MOVERS
from edge_detect.tools.convert.simplify import CONVOLUTIONS
from edge_detect.tools.convert.weights import QuantizedWeights

__all__ = ["INTEGER_VERSIONS", "lower", "step_of"]

# Versions of the operators that have int8 kernels (lite/tools/versioning/op_version.cc).
INTEGER_VERSIONS = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEPTH_TO_SPACE": 2,
    "EXPAND_DIMS": 1,
    "FULLY_CONNECTED": 4,
    "HARD_SWISH": 1,
    "LEAKY_RELU": 2,
    "LOGISTIC": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MINIMUM": 2,
    "MIRROR_PAD": 2,
    "MUL": 2,
    "PACK": 2,
    "PAD": 2,
    "RELU": 2,
    "RELU6": 2,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "SLICE": 2,
    "SOFTMAX": 2,
    "SPACE_TO_DEPTH": 2,
    "SPLIT": 2,
    "SPLIT_V": 2,
    "SQUEEZE": 1,
    "STRIDED_SLICE": 2,
    "SUB": 2,
    "TANH": 2,
    "TRANSPOSE": 2,
    "UNPACK": 2,
}
# Scale and zero point that the kernels of these demand of their results.
_FIXED = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}
_LARGEST_BIAS = 1 << 30


def step_of(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of int8 for a range; zero is exact, the ends move by half a step."""
    scale = float(np.float32((high - low) / 255))
    return scale, int(np.clip(np.round(-128 - low / scale), -128, 127))


def lower(
    graph: Graph,
    ranges: Mapping[int, tuple[float, float]],
    weights: Mapping[int, QuantizedWeights],
    input_range: tuple[float, float],
    *,
    in_float: frozenset[int] = frozenset(),
) -> None:
    """Quantize a network in place.

    Args:
        graph: A simplified float network; see `simplify`.
        ranges: Least and greatest value of every activation, by tensor.
        weights: By the tensor that a convolution writes.
        input_range: Real values of a black and of a white pixel; the input becomes int8, the
            pixel less 128.
        in_float: Tensors whose operators stay in float although they need not.

    Raises:
        ModelError: An activation is no float32 tensor.
    """
    _Lowering(graph, ranges, weights, input_range, in_float).run()


class _Lowering:
    def __init__(
        self,
        graph: Graph,
        ranges: Mapping[int, tuple[float, float]],
        weights: Mapping[int, QuantizedWeights],
        input_range: tuple[float, float],
        in_float: frozenset[int],
    ) -> None:
        self._graph = graph
        self._ranges = ranges
        self._weights = weights
        self._input_range = input_range
        self._in_float = in_float
        self._steps: dict[int, tuple[float, int]] = {}
        # Tensors by what they were: where their int8 and their float values are now.
        self._int8: dict[int, int] = {}
        self._real: dict[int, int] = {}
        self._operators: list[Any] = []
        # The image, and what holds its pixels in other places: all have one step.
        self._of_image: set[int] = set()
        self._image_step = (1.0, 0)

    def run(self) -> None:
        graph = self._graph
        shift = self._take_image(int(graph.subgraph.inputs[0]))
        for operator in list(graph.operators):
            first = int(operator.inputs[0]) in self._of_image
            if self._has_integer_kernel(operator):
                if self._moves_image(operator):
                    self._of_image.update(map(int, operator.outputs))
                self._lower(operator, shift if first else 0.0)
            else:
                self._keep(operator)
        outputs = {graph.name(int(one)): self._as_int8(int(one)) for one in graph.subgraph.outputs}
        graph.subgraph.operators = self._operators
        graph.set_outputs(outputs)

    def _take_image(self, image: int) -> float:
        """Make the input int8; gives what its real values are too high by."""
        low, high = self._input_range
        scale = float(np.float32((high - low) / 255))
        # With black at -1 the zero point lies between two integers. The half step that the
        # values are off by is taken out of the biases behind the input.
        zero = round(-low / scale - 0.25)
        self._image_step = (scale, zero - 128)
        self._of_image = {image}
        self._set_step(image, self._image_step)
        self._int8[image] = image
        return -zero * scale - low

    def _moves_image(self, operator: Any) -> bool:
        """Whether its results are pixels in other places, which keep the step of the input."""
        if self._graph.kind(operator) not in MOVERS:
            return False
        sources = [int(one) for one in operator.inputs if not self._graph.is_constant(int(one))]
        return all(source in self._of_image for source in sources)

    def _has_integer_kernel(self, operator: Any) -> bool:
        kind = self._graph.kind(operator)
        outputs = {int(index) for index in operator.outputs}
        if kind not in INTEGER_VERSIONS or outputs & self._in_float:
            return False
        return kind not in CONVOLUTIONS or int(operator.outputs[0]) in self._weights

    def _lower(self, operator: Any, shift: float) -> None:
        graph, kind = self._graph, self._graph.kind(operator)
        inputs = [self._operand(int(index)) for index in operator.inputs]
        for index in map(int, operator.outputs):
            fixed = self._image_step if index in self._of_image else _FIXED.get(kind)
            self._set_step(index, fixed or step_of(*self._ranges[index]))
            self._int8[index] = index
        if kind in CONVOLUTIONS:
            self._lower_weights(operator, inputs[0], shift)
            inputs[1:] = [int(index) for index in operator.inputs[1:]]
        operator.inputs = np.array(inputs, np.int32)
        code = graph.model.operatorCodes[operator.opcodeIndex]
        version = max(code.version, INTEGER_VERSIONS[kind])
        operator.opcodeIndex = graph.operator_code(kind, version)
        self._operators.append(operator)

    def _operand(self, index: int) -> int:
        graph = self._graph
        if index < 0:
            return index
        if not graph.is_constant(index):
            return self._as_int8(index)
        if graph.tensors[index].type != graph.schema.TensorType.FLOAT32:
            return index
        if index not in self._int8:
            self._int8[index] = self._quantized_constant(index)
        return self._int8[index]

    def _quantized_constant(self, index: int) -> int:
        graph = self._graph
        values = graph.values(index)
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        scale, zero = step_of(low, max(high, low + 1e-6))
        steps = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
        made = graph.add_tensor(f"{graph.name(index)}/int8", list(values.shape))
        graph.tensors[made].type = graph.schema.TensorType.INT8
        graph.set_values(made, steps)
        graph.set_step(made, scale, zero)
        return made

    def _lower_weights(self, operator: Any, source: int, shift: float) -> None:
        graph, types = self._graph, self._graph.schema.TensorType
        output, kernel, bias = (int(operator.outputs[0]), *map(int, operator.inputs[1:3]))
        depthwise = graph.kind(operator) == "DEPTHWISE_CONV_2D"
        chosen = self._weights[output]
        reals = graph.values(bias).astype(np.float64)
        sums = chosen.real(depthwise=depthwise)
        axes = tuple(range(sums.ndim - 1)) if depthwise else tuple(range(1, sums.ndim))
        reals = reals - shift * sums.sum(axis=axes)
        chosen = _with_room_for(chosen, reals, graph.scale(source), depthwise=depthwise)
        units = graph.scale(source) * chosen.scales
        graph.tensors[kernel].type = types.INT8
        graph.set_values(kernel, chosen.values)
        axis = chosen.values.ndim - 1 if depthwise else 0
        graph.set_step(kernel, chosen.scales, 0, axis=axis)
        graph.tensors[bias].type = types.INT32
        graph.set_values(bias, np.round(reals / units).astype(np.int32))
        graph.set_step(bias, units, 0)

    def _keep(self, operator: Any) -> None:
        """Let an operator work in float."""
        graph = self._graph
        for index in map(int, operator.outputs):
            if graph.tensors[index].type == graph.schema.TensorType.FLOAT32:
                self._real[index] = index
        operator.inputs = np.array([self._as_real(int(one)) for one in operator.inputs], np.int32)
        self._operators.append(operator)

    def _as_int8(self, index: int) -> int:
        """Where a tensor's int8 values are; made from the float ones if need be."""
        if index not in self._int8:
            if index not in self._real:
                raise ModelError(
                    f"tensor {self._graph.name(index)!r} is not float32",
                    "only float32 networks can be quantized",
                )
            made = self._twin(index, "int8")
            self._set_step(made, step_of(*self._ranges[index]))
            self._convert("QUANTIZE", 1, self._real[index], made)
            self._int8[index] = made
        return self._int8[index]

    def _as_real(self, index: int) -> int:
        if index in self._real or index not in self._int8 or self._graph.is_constant(index):
            return self._real.get(index, index)
        made = self._twin(index, "float")
        self._graph.tensors[made].type = self._graph.schema.TensorType.FLOAT32
        self._convert("DEQUANTIZE", 2, self._int8[index], made)
        self._real[index] = made
        return made

    def _twin(self, index: int, suffix: str) -> int:
        tensor = self._graph.tensors[index]
        return self._graph.add_tensor(f"{self._graph.name(index)}/{suffix}", list(tensor.shape))

    def _convert(self, kind: str, version: int, source: int, target: int) -> None:
        operator = self._graph.schema.OperatorT()
        operator.opcodeIndex = self._graph.operator_code(kind, version)
        operator.inputs = np.array([source], np.int32)
        operator.outputs = np.array([target], np.int32)
        self._operators.append(operator)

    def _set_step(self, index: int, step: tuple[float, int]) -> None:
        self._graph.tensors[index].type = self._graph.schema.TensorType.INT8
        self._graph.set_step(index, step[0], step[1])


def _with_room_for(
    weights: QuantizedWeights, biases: NDArray[np.float64], source_scale: float, *, depthwise: bool
) -> QuantizedWeights:
    """Coarser steps for filters whose biases would not fit into 32 bits otherwise."""
    needed = np.abs(biases) / source_scale / _LARGEST_BIAS
    scales = np.maximum(weights.scales, needed.max() if weights.scales.size == 1 else needed)
    if (scales == weights.scales).all():
        return weights
    ratio = QuantizedWeights(weights.values, weights.scales / scales).real(depthwise=depthwise)
    return QuantizedWeights(np.round(ratio).astype(np.int8), scales)
