"""Read a float32 TFLite file of any origin: what it is, and its content ready to be quantized."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_detect.core import ModelError
from edge_detect.models.catalogue import CatalogueEntry, find_model
from edge_detect.models.file.foreign import check_is_tflite
from edge_detect.models.file.graph import read_graph
from edge_detect.models.infer.overrides import Overrides
from edge_detect.models.infer.probe import settle
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float16 import fold_float16
from edge_detect.tools.convert.fuse import fuse_activations
from edge_detect.tools.convert.interpreter import open_interpreter

__all__ = ["FloatFile", "read_float_file"]

_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}


@dataclass(frozen=True)
class FloatFile:
    """A float detector.

    Attributes:
        file: Where it lies.
        content: The file: float32 weights, a fixed input size, one subgraph.
        spec: Its manifest.
        summary: What it is, and what of it is a guess, in one line.
    """

    file: Path
    content: bytes
    spec: ModelSpec
    summary: str


def read_float_file(path: Path, overrides: Overrides) -> FloatFile:
    """Read a float32 TFLite file.

    Args:
        path: Of the file. A manifest beside it is believed; else the file says what it is.
        overrides: What is known better.

    Raises:
        ModelError: It is no TFLite file, no detector, or quantized already.
        ConfigError: An override does not go with the model.
    """
    _check_input_type(path)
    entry = settle(find_model(path, overrides))
    content = fold_float16(_content(entry))
    graph = Graph(content)
    _check_float(graph, entry.path)
    content = fuse_activations(_with_fixed_shapes(content, entry.spec))
    summary = f"{entry.family}, as its manifest says"
    if entry.inferred is not None:
        summary = entry.inferred.summary()
    return FloatFile(entry.path, content, entry.spec, f"{entry.path.name}: {summary}")


def _check_input_type(path: Path) -> None:
    """Refuse a file that takes bytes before anything else of it is in question.

    Raises:
        ModelError: It is quantized already, or damaged.
    """
    if path.suffix == ".toml" or not path.is_file():
        return
    check_is_tflite(path)
    try:
        image = read_graph(path, path.read_bytes()).inputs[:1]
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if image and image[0].dtype in ("int8", "uint8"):
        raise _quantized(path)


def _quantized(path: Path) -> ModelError:
    return ModelError(f"{path} is quantized already: it takes bytes", _as_it_is(path))


def _as_it_is(path: Path) -> str:
    return f"use it as it is: edge-detect models add {shlex.quote(str(path))}"


def _content(entry: CatalogueEntry) -> bytes:
    try:
        return entry.path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {entry.path}: {error.strerror}") from error


def _check_float(graph: Graph, path: Path) -> None:
    types = graph.schema.TensorType
    if len(graph.model.subgraphs) > 1:
        raise ModelError(
            f"{path} has loops or branches ({len(graph.model.subgraphs)} graphs in one file)",
            "export it without control flow (batch of 1, no suppression in the graph)",
        )
    image = graph.tensors[graph.subgraph.inputs[0]]
    if image.type in (types.INT8, types.UINT8):
        raise _quantized(path)
    integers = [
        graph.name(int(index))
        for operator in graph.operators
        if graph.kind(operator) in _WEIGHTED
        for index in operator.inputs[1:2]
        if graph.tensors[index].type not in (types.FLOAT32, types.FLOAT16)
    ]
    if integers:
        raise ModelError(
            f"{path} has quantized weights ({len(integers)} of its layers)",
            f"convert the float32 or float16 file instead, or {_as_it_is(path)}",
        )
    if image.type != types.FLOAT32:
        raise ModelError(f"{path} does not take float32 pixels", "export it with a float32 input")


def _with_fixed_shapes(content: bytes, spec: ModelSpec) -> bytes:
    """The file with the input size of its manifest, and the shapes that follow from it."""
    graph = Graph(content)
    image = int(graph.subgraph.inputs[0])
    signature = graph.tensors[image].shapeSignature
    wanted = spec.input.tensor_shape
    if graph.shape(image) == wanted and (signature is None or min(signature) > 0):
        return content
    graph.tensors[image].shape = np.array(wanted, np.int32)
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    try:
        details = open_interpreter(graph.to_bytes()).get_tensor_details()
    except ModelError as error:
        width, height = spec.input.size
        raise ModelError(
            f"the model cannot take {width}x{height}: {error.message}",
            "give another size, as in --size",
        ) from error
    for known in details:
        if known["index"] < len(graph.tensors):
            graph.tensors[known["index"]].shape = np.asarray(known["shape"], np.int32)
    return graph.to_bytes()
