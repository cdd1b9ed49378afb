"""From a TensorFlow.js graph model of any detector to a float32 TFLite file."""

from pathlib import Path
from typing import Any

from edge_detect.core import ModelError, Size
from edge_detect.tools.convert.float_model import load_tensorflow
from edge_detect.tools.convert.from_saved_model import first_line, float_tflite_of
from edge_detect.tools.convert.tfjs import read_tfjs_graph

__all__ = ["convert_tfjs"]

# Operators without a result that could be an output.
_NO_RESULT = ("Assert", "Const", "NoOp")


def convert_tfjs(path: Path, folder: Path, size: Size | None) -> Path:
    """Convert a graph model.

    Args:
        path: `model.json`, or the folder with it.
        folder: Where the result is put.
        size: Width and height of the input, where the model leaves them open.

    Raises:
        DependencyError: TensorFlow is missing.
        ModelError: A file is missing or malformed, the model takes something else than one
            picture, or has operators that TFLite lacks.
    """
    tf = load_tensorflow()
    graph, _ = read_tfjs_graph(path)
    images = [node.name for node in graph.node if node.op == "Placeholder"]
    if len(images) != 1:
        raise ModelError(
            f"{path} has {len(images)} inputs: {', '.join(images) or 'none'}",
            "export it with the picture as its only input",
        )
    function = _function(tf, graph, images[0], path)
    directory = path if path.is_dir() else path.parent
    target = folder / f"{directory.resolve().name}.tflite"
    spec = function.inputs[0]
    target.write_bytes(float_tflite_of(tf, function, spec, str(path), size))
    return target


def _function(tf: Any, graph: Any, image: str, path: Path) -> Any:
    """The graph as a function of its picture."""
    results = _results(graph)
    if not results:
        raise ModelError(f"{path} has no outputs", "convert the original again")
    try:
        wrapped = tf.compat.v1.wrap_function(
            lambda: tf.graph_util.import_graph_def(graph, name=""), []
        )
        return wrapped.prune(f"{image}:0", [f"{name}:0" for name in results])
    except Exception as error:
        # TensorFlow's errors have no class in common.
        raise ModelError(
            f"{path} has a graph that TensorFlow cannot read: {first_line(error)}",
            "convert the original again with tensorflowjs_converter",
        ) from error


def _results(graph: Any) -> list[str]:
    """Names of the nodes that no other node reads."""
    read = {name.partition(":")[0].lstrip("^") for node in graph.node for name in node.input}
    unread = (node for node in graph.node if node.name not in read)
    return [node.name for node in unread if node.op not in (*_NO_RESULT, "Placeholder")]
