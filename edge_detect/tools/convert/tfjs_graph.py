"""From the JSON of a TensorFlow.js graph model to a TensorFlow graph with its constants."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.tools.convert.float_model import load_tensorflow

__all__ = ["graph_from_tfjs"]

# Convolution, bias and activation in one, as TensorFlow.js's converter joins them.
_FUSED = {
    "_FusedConv2D": "Conv2D",
    "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative",
    "_FusedMatMul": "MatMul",
}
_ACTIVATIONS = {"Relu", "Relu6", "Elu", "Sigmoid", "Tanh", "LeakyRelu"}
# Attributes that only the joined operators have.
_FUSED_ONLY = {"fused_ops", "num_args", "epsilon", "leakyrelu_alpha", "num_host_args", "TArgs"}
_FUSED_ONLY |= {"host_data_layout", "use_cudnn_on_gpu"}


def graph_from_tfjs(topology: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Any:
    """Make a GraphDef whose constants hold their values, and whose joined operators are apart.

    Args:
        topology: `modelTopology` of a graph model.
        weights: By name of the constant.

    Raises:
        DependencyError: TensorFlow is missing.
        ModelError: A node is malformed, or an operator cannot be taken apart.
    """
    tf = load_tensorflow()
    from google.protobuf import json_format

    graph = tf.compat.v1.GraphDef()
    try:
        nodes = [_with_text_as_base64(node) for node in topology["node"]]
        json_format.ParseDict({"node": nodes}, graph)
    except (json_format.ParseError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"model.json holds a malformed node: {error}") from error
    taken = tf.compat.v1.GraphDef()
    for node in graph.node:
        if node.op == "Const" and node.name in weights:
            _set_constant(tf, node, weights[node.name])
        taken.node.extend(_apart(tf, node))
    # Operators at the version that TensorFlow.js's converter saw: the newest.
    taken.versions.producer = tf.version.GRAPH_DEF_VERSION
    return taken


def _with_text_as_base64(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node whose texts are base64; older converters wrote them as lists of bytes."""
    attributes = {}
    for key, value in node.get("attr", {}).items():
        changed = dict(value)
        if "s" in changed:
            changed["s"] = _base64(changed["s"])
        if "s" in (changed.get("list") or {}):
            texts = [_base64(text) for text in changed["list"]["s"]]
            changed["list"] = {**changed["list"], "s": texts}
        attributes[key] = changed
    return {**node, "attr": attributes}


def _base64(text: Any) -> str:
    return text if isinstance(text, str) else base64.b64encode(bytes(text)).decode()


def _set_constant(tf: Any, node: Any, values: NDArray[Any]) -> None:
    wanted = tf.as_dtype(node.attr["dtype"].type) if "dtype" in node.attr else None
    if wanted is not None and wanted.as_numpy_dtype != values.dtype:
        values = values.astype(wanted.as_numpy_dtype)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype


def _apart(tf: Any, node: Any) -> Iterable[Any]:
    """A node as it is, or a joined one as the chain of operators that it stands for."""
    if node.op not in _FUSED:
        return [node]
    steps = [step.decode() for step in node.attr["fused_ops"].list.s]
    activations = [step for step in steps if step != "BiasAdd"]
    if steps[:1] != ["BiasAdd"] or not set(activations) <= _ACTIVATIONS or len(steps) > 2:
        raise ModelError(
            f"{node.op} {node.name} joins {steps or 'nothing'}",
            "convolution, BiasAdd and one activation can be taken apart",
        )
    inputs = list(node.input)
    names = [f"{node.name}/apart_{index}" for index in range(len(steps))] + [node.name]
    first = tf.compat.v1.NodeDef(name=names[0], op=_FUSED[node.op], input=inputs[:2])
    for key, value in node.attr.items():
        if key not in _FUSED_ONLY:
            first.attr[key].CopyFrom(value)
    chain = [first]
    for index, step in enumerate(steps, 1):
        extra = [inputs[2]] if step == "BiasAdd" else []
        one = tf.compat.v1.NodeDef(name=names[index], op=step, input=[names[index - 1], *extra])
        one.attr["T"].CopyFrom(node.attr["T"])
        if step == "LeakyRelu" and "leakyrelu_alpha" in node.attr:
            one.attr["alpha"].CopyFrom(node.attr["leakyrelu_alpha"])
        chain.append(one)
    return chain
