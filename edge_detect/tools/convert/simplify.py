"""Bring a float network into the form that equalization and quantization expect.

Every convolution has weights and a bias of its own, and what can be done by them is not done
by an operator behind them. The network computes the same as before.
"""

import copy
from typing import Any

import numpy as np

from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["CONVOLUTIONS", "fuses_to_integers", "is_layer", "simplify"]

CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def is_layer(graph: Graph, operator: Any) -> bool:
    """Whether an operator is a convolution that is quantized with its weights.

    Others stay in float: those with computed weights, those whose activation the integer
    kernels do not have, and `CONV_2D` in groups, whose filters take a part of the input's
    channels each.
    """
    if graph.kind(operator) not in CONVOLUTIONS:
        return False
    source, kernel, bias = (*map(int, operator.inputs), -1)[:3]
    float32 = graph.schema.TensorType.FLOAT32
    if graph.is_constant(source) or not graph.is_constant(kernel):
        return False
    if graph.tensors[kernel].type != float32 or (bias >= 0 and not graph.is_constant(bias)):
        return False
    if not fuses_to_integers(graph, operator):
        return False
    same = graph.shape(kernel)[-1:] == graph.shape(source)[-1:]
    return graph.kind(operator) != "CONV_2D" or same


def fuses_to_integers(graph: Graph, operator: Any) -> bool:
    """Whether the integer kernels have the activation that an operator ends with."""
    names = graph.schema.ActivationFunctionType
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", names.NONE)
    return fused in (names.NONE, names.RELU, names.RELU6, names.RELU_N1_TO_1)


def simplify(graph: Graph) -> None:
    """Simplify a float network in place.

    * sums of two tensors become `ADD`, which has an integer kernel;
    * convolutions get weights and a bias that no other operator shares;
    * leaky ReLUs come behind the pools that follow them;
    * constants per channel that are added behind a convolution, also behind the sum of it and
      another tensor, go into its bias.

    Args:
        graph: A float32 network whose weights are constants.
    """
    for operator in graph.operators:
        if graph.kind(operator) == "ADD_N" and len(operator.inputs) == 2:
            _make_add(graph, operator)
    for operator in graph.operators:
        if is_layer(graph, operator):
            _own_constants(graph, operator)
    for operator in list(graph.operators):
        if graph.kind(operator) == "ADD":
            _fold_constant(graph, operator)
    for operator in list(graph.operators):
        if graph.kind(operator) == "MAX_POOL_2D":
            _pool_first(graph, operator)
    graph.drop_unused_operators()


def _pool_first(graph: Graph, pool: Any) -> None:
    """Swap a leaky ReLU and the pool behind it: the greatest value stays the greatest.

    There is less to do, and negative values that pooling drops need no room in the range.
    """
    source, target = int(pool.inputs[0]), int(pool.outputs[0])
    unit = graph.producer(source)
    if unit is None or graph.kind(unit) != "LEAKY_RELU" or unit.builtinOptions.alpha < 0:
        return
    if source in map(int, graph.subgraph.outputs):
        return
    pooled = graph.add_tensor(f"{graph.name(target)}/pooled", list(graph.tensors[target].shape))
    swapped = copy.copy(unit)
    pool.inputs, pool.outputs = unit.inputs, np.array([pooled], np.int32)
    swapped.inputs, swapped.outputs = pool.outputs, np.array([target], np.int32)
    graph.operators.insert(graph.operators.index(pool) + 1, swapped)


def _make_add(graph: Graph, operator: Any) -> None:
    operator.opcodeIndex = graph.operator_code("ADD", 1)
    operator.builtinOptionsType = graph.schema.BuiltinOptions.AddOptions
    operator.builtinOptions = graph.schema.AddOptionsT()


def _own_constants(graph: Graph, operator: Any) -> None:
    kernel = graph.values(int(operator.inputs[1]))
    filters = kernel.shape[-1 if graph.kind(operator) == "DEPTHWISE_CONV_2D" else 0]
    given = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
    bias = graph.values(given) if given >= 0 else np.zeros(filters, np.float32)
    # Named after the result: the converter's names of folded constants are not unique.
    name = graph.name(int(operator.outputs[0]))
    operator.inputs = np.array(
        [
            operator.inputs[0],
            graph.add_tensor(f"{name}/weights", list(kernel.shape), kernel),
            graph.add_tensor(f"{name}/bias", [filters], bias.reshape(-1)),
        ],
        np.int32,
    )


def _fold_constant(graph: Graph, operator: Any) -> None:
    """Move the constant that an operator adds into the bias of a convolution before it."""
    first, second = (int(index) for index in operator.inputs)
    source, constant = (first, second) if graph.is_constant(second) else (second, first)
    if not graph.is_constant(constant) or graph.is_constant(source):
        return
    if graph.tensors[constant].type != graph.schema.TensorType.FLOAT32:
        return
    values = graph.values(constant)
    if values.size != 1 and not values.size == values.shape[-1] == graph.shape(source)[-1]:
        return
    linear = _linear_convolution(graph, source)
    if linear is None or graph.shape(source) != graph.shape(int(operator.outputs[0])):
        return
    bias = int(linear.inputs[2])
    graph.set_values(bias, graph.values(bias) + values.reshape(-1))
    before = graph.producer(source)
    if operator.builtinOptions.fusedActivationFunction:
        before.builtinOptions.fusedActivationFunction = (
            operator.builtinOptions.fusedActivationFunction
        )
    before.outputs = operator.outputs
    graph.operators.remove(operator)


def _linear_convolution(graph: Graph, index: int) -> Any:
    """The convolution whose bias is added to a tensor that is read once alone, or None."""
    operator = graph.producer(index)
    reads = sum(int(one) == index for reader in graph.operators for one in reader.inputs)
    if operator is None or reads != 1 or index in map(int, graph.subgraph.outputs):
        return None
    kind = graph.kind(operator)
    if kind in CONVOLUTIONS | {"ADD"} and operator.builtinOptions.fusedActivationFunction:
        return None
    if kind in CONVOLUTIONS:
        return operator if is_layer(graph, operator) else None
    if kind == "ADD":
        # A bias of one channel cannot hold a constant for each channel of a broadcast sum.
        alike = [int(one) for one in operator.inputs if graph.shape(one) == graph.shape(index)]
        found = (_linear_convolution(graph, each) for each in alike)
        return next((each for each in found if each is not None), None)
    return None
