"""Write a float network down as a quantized one: int8 activations and weights, int32 biases.

What is decided elsewhere (ranges, rounded weights) is written into the file here, by the
rules of the TensorFlow Lite 8-bit quantization specification: activations per tensor and
asymmetric, weights of convolutions per filter and symmetric, biases in units of input times
weight scale. Operators without an integer kernel stay in float, between a `DEQUANTIZE` and a
`QUANTIZE`. Operands that must have the scale of the result, and have another, get it by a
`QUANTIZE`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.groups import MOVERS
from edge_detect.tools.convert.simplify import CONVOLUTIONS, fuses_to_integers
from edge_detect.tools.convert.weights import QuantizedWeights

__all__ = ["INTEGER_VERSIONS", "lower", "step_of"]

# Scale and zero point.
_Step = tuple[float, int]

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
    "GATHER": 2,
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
    "PRELU": 1,
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
# Steps that the kernels of these demand of their results.
_FIXED = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}
_LARGEST_BIAS = 1 << 30


def step_of(low: float, high: float) -> _Step:
    """Scale and zero point of int8 for a range; zero is exact, the ends move by half a step."""
    scale = float(np.float32((high - low) / 255))
    return scale, int(np.clip(np.round(-128 - low / scale), -128, 127))


def lower(
    graph: Graph,
    ranges: Mapping[int, tuple[float, float]],
    weights: Mapping[int, QuantizedWeights],
    input_range: tuple[float, float],
) -> None:
    """Quantize a network in place. Tensors keep their numbers; new ones come behind them.

    Args:
        graph: A simplified float network; see `simplify`.
        ranges: Least and greatest value of every float activation, by tensor.
        weights: By the tensor that a convolution writes.
        input_range: Real values of a black and of a white pixel; the input becomes int8, the
            pixel less 128.
    """
    _Lowering(graph, ranges, weights, input_range).run()


class _Lowering:
    def __init__(
        self,
        graph: Graph,
        ranges: Mapping[int, tuple[float, float]],
        weights: Mapping[int, QuantizedWeights],
        input_range: tuple[float, float],
    ) -> None:
        self._graph = graph
        self._ranges = ranges
        self._weights = weights
        self._input_range = input_range
        float32 = graph.schema.TensorType.FLOAT32
        # What is to be quantized; integers and truth values stay as they are.
        self._reals = {i for i, one in enumerate(graph.tensors) if one.type == float32}
        # Tensors by what they were: where their int8 values, those of other steps than their
        # own, and their float values are now.
        self._int8: dict[int, int] = {}
        self._converted: dict[tuple[int, _Step], int] = {}
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
        outputs = [int(index) for index in graph.subgraph.outputs]
        names = [graph.tensors[index].name for index in outputs]
        results = [self._as_int8(index) for index in outputs]
        for name, index in zip(names, results, strict=True):
            graph.tensors[index].name = name
        graph.subgraph.operators = self._operators
        graph.subgraph.outputs = np.array(results, np.int32)
        # A converter's signature lists other tensors.
        graph.model.signatureDefs = []

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
        sources = self._reals.intersection(map(int, operator.inputs))
        return bool(sources) and sources <= self._of_image

    def _has_integer_kernel(self, operator: Any) -> bool:
        kind = self._graph.kind(operator)
        if kind not in INTEGER_VERSIONS or not self._reals.issuperset(map(int, operator.outputs)):
            return False
        if not fuses_to_integers(self._graph, operator):
            return False
        return kind not in CONVOLUTIONS or int(operator.outputs[0]) in self._weights

    def _lower(self, operator: Any, shift: float) -> None:
        graph, kind = self._graph, self._graph.kind(operator)
        outputs = [int(index) for index in operator.outputs]
        fixed = self._image_step if outputs[0] in self._of_image else _FIXED.get(kind)
        steps = [fixed or step_of(*self._ranges[index]) for index in outputs]
        if kind in CONVOLUTIONS:
            inputs = [self._as_int8(int(operator.inputs[0])), *map(int, operator.inputs[1:])]
            self._lower_weights(operator, inputs[0], shift)
        else:
            moved = steps[0] if kind in MOVERS else None
            inputs = [self._operand(int(index), moved) for index in operator.inputs]
        for index, step in zip(outputs, steps, strict=True):
            self._set_step(index, step)
            self._int8[index] = index
        operator.inputs = np.array(inputs, np.int32)
        code = graph.model.operatorCodes[operator.opcodeIndex]
        version = max(code.version, INTEGER_VERSIONS[kind])
        operator.opcodeIndex = graph.operator_code(kind, version)
        self._operators.append(operator)

    def _operand(self, index: int, step: _Step | None) -> int:
        """Where an operand is.

        Args:
            index: What it was.
            step: What its step must be; None for its own.
        """
        if index not in self._reals:
            return index
        if self._graph.is_constant(index):
            return self._quantized_constant(index, step)
        own = self._image_step if index in self._of_image else step_of(*self._ranges[index])
        if step is None or step == own:
            return self._as_int8(index)
        if (index, step) not in self._converted:
            made = self._twin(index, "requantized")
            self._set_step(made, step)
            if index in self._int8:
                self._convert("QUANTIZE", 2, self._int8[index], made)
            else:
                self._convert("QUANTIZE", 1, self._real[index], made)
            self._converted[index, step] = made
        return self._converted[index, step]

    def _quantized_constant(self, index: int, step: _Step | None) -> int:
        graph = self._graph
        values = graph.values(index)
        if step is None:
            low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
            step = step_of(low, max(high, low + 1e-6))
        if (index, step) not in self._converted:
            scale, zero = step
            steps = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
            made = graph.add_tensor(f"{graph.name(index)}/int8", list(values.shape))
            graph.set_values(made, steps)
            self._set_step(made, step)
            self._converted[index, step] = made
        return self._converted[index, step]

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
        """Let an operator work in float, or on integers."""
        for index in self._reals.intersection(map(int, operator.outputs)):
            self._real[index] = index
        inputs = [int(index) for index in operator.inputs]
        if self._graph.kind(operator) == "SHAPE":
            # It takes any type.
            inputs = [self._int8.get(one, one) for one in inputs]
        else:
            inputs = [self._as_real(one) for one in inputs]
        operator.inputs = np.array(inputs, np.int32)
        self._operators.append(operator)

    def _as_int8(self, index: int) -> int:
        """Where a tensor's int8 values are; made from the float ones if need be."""
        if index not in self._int8:
            made = self._twin(index, "int8")
            self._set_step(made, step_of(*self._ranges[index]))
            self._convert("QUANTIZE", 1, self._real[index], made)
            self._int8[index] = made
        return self._int8[index]

    def _as_real(self, index: int) -> int:
        """Where a tensor's float values are; made from the int8 ones if need be."""
        if index in self._int8 and index not in self._real:
            made = self._twin(index, "float")
            self._convert("DEQUANTIZE", 2, self._int8[index], made)
            self._real[index] = made
        return self._real.get(index, index)

    def _twin(self, index: int, suffix: str) -> int:
        tensor = self._graph.tensors[index]
        return self._graph.add_tensor(f"{self._graph.name(index)}/{suffix}", list(tensor.shape))

    def _convert(self, kind: str, version: int, source: int, target: int) -> None:
        operator = self._graph.schema.OperatorT()
        operator.opcodeIndex = self._graph.operator_code(kind, version)
        operator.inputs = np.array([source], np.int32)
        operator.outputs = np.array([target], np.int32)
        self._operators.append(operator)

    def _set_step(self, index: int, step: _Step) -> None:
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
