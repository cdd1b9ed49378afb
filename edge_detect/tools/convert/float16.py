"""Turn weights that are stored in 16 bits, and widened by operators, into float32 constants.

Converters that halve a file keep each weight as float16 and put a DEQUANTIZE behind it. A
quantizer wants the weights themselves.
"""

import numpy as np

from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["fold_float16"]


def fold_float16(content: bytes) -> bytes:
    """Make every float16 weight of a TFLite file a float32 constant.

    The network computes exactly the same: each float16 is a float32.

    Args:
        content: A float TFLite file; one without float16 weights comes back as it was.

    Returns:
        The file without the operators and the tensors that are no longer needed.
    """
    graph = Graph(content)
    half = graph.schema.TensorType.FLOAT16
    widened = [
        one
        for one in graph.operators
        if graph.kind(one) == "DEQUANTIZE"
        and graph.tensors[one.inputs[0]].type == half
        and graph.is_constant(int(one.inputs[0]))
    ]
    if not widened:
        return content
    for operator in widened:
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        stored = graph.model.buffers[graph.tensors[source].buffer].data
        values = np.asarray(stored, np.uint8).view(np.float16).astype(np.float32)
        graph.set_values(target, values)
        graph.operators.remove(operator)
    graph.drop_unused()
    return graph.to_bytes()
