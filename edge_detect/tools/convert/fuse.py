"""Join activations with the operators before them, as TensorFlow's converter does.

Quantizers then see one range, that of the result, and no bias between two operators is lost.
"""

from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["fuse_activations"]

_BEFORE = {"ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "SUB"}
_ACTIVATIONS = {"RELU": "RELU", "RELU6": "RELU6", "RELU_N1_TO_1": "RELU_N1_TO_1"}


def fuse_activations(content: bytes) -> bytes:
    """Let convolutions and sums apply the activation that alone reads their result.

    The network computes exactly the same.

    Args:
        content: A float TFLite file.
    """
    graph = Graph(content)
    kinds = graph.schema.ActivationFunctionType
    outputs = {int(index) for index in graph.subgraph.outputs}
    makers = {int(made): one for one in graph.operators for made in one.outputs}
    readers: dict[int, int] = {}
    for operator in graph.operators:
        for index in map(int, operator.inputs):
            readers[index] = readers.get(index, 0) + 1
    for operator in list(graph.operators):
        source = int(operator.inputs[0]) if len(operator.inputs) else -1
        before = makers.get(source)
        name = _ACTIVATIONS.get(graph.kind(operator))
        if before is None or name is None or readers[source] > 1 or source in outputs:
            continue
        options = before.builtinOptions
        if graph.kind(before) not in _BEFORE or options is None:
            continue
        if options.fusedActivationFunction == kinds.NONE:
            options.fusedActivationFunction = getattr(kinds, name)
            before.outputs = operator.outputs
            makers[int(operator.outputs[0])] = before
            graph.operators.remove(operator)
    return graph.to_bytes()
