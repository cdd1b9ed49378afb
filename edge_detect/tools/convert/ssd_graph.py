"""Cut a TensorFlow 1 SSD, as the Object Detection API freezes it, down to its network.

What is kept lies between the normalized image and the convolutions of the box predictors.
Resizing, decoding and suppression belong to the run time: they differ per platform, and
none of them survives eight bits well.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError, Size
from edge_detect.tools.convert.float_model import FloatModel, load_tensorflow

__all__ = ["convert_ssd_frozen_graph", "read_anchors"]

IMAGE = "Preprocessor/sub"
ANCHORS = "Concatenate/concat"
_PREDICTOR = re.compile(r"BoxPredictor_(\d+)/BoxEncodingPredictor/BiasAdd")
# The layout of the anchors that the Object Detection API's configurations for SSD share.
_MIN_SCALE, _MAX_SCALE = 0.2, 0.95
_ASPECT_RATIOS = [1.0, 2.0, 0.5, 3.0, 0.3333]


def convert_ssd_frozen_graph(
    graph_file: Path, labels: list[str]
) -> tuple[FloatModel, dict[str, Any]]:
    """Make a float network with outputs `boxes` and `scores` from a frozen graph.

    `boxes` is (1, anchors, 4), t_y, t_x, t_h, t_w; `scores` is (1, anchors, classes), logits.
    Of a graph with sigmoid scores the background's logits are left out: nobody reads them.

    Args:
        graph_file: A `frozen_inference_graph.pb` of the Object Detection API.
        labels: By class id, without the background.

    Returns:
        The network, and the parts of its manifest that follow from the graph.

    Raises:
        DependencyError: TensorFlow is missing.
        ModelError: The file is no such graph, or its anchors or classes do not fit.
    """
    tf = load_tensorflow()
    graph = _read_graph(tf, graph_file)
    nodes = {node.name: node for node in graph.node}
    count = sum(_PREDICTOR.fullmatch(name) is not None for name in nodes)
    if IMAGE not in nodes or count == 0:
        raise ModelError(
            f"{graph_file} has no {IMAGE} or no BoxPredictor_0",
            "only SSD graphs frozen by the TensorFlow 1 Object Detection API can be converted",
        )
    anchors = read_anchors(graph_file)
    classes = len(labels)
    sigmoid = nodes["Postprocessor/convert_scores"].op == "Sigmoid"
    if sigmoid:
        for index in range(count):
            _drop_background(tf, nodes, f"BoxPredictor_{index}/ClassPredictor", classes)
    columns = classes if sigmoid else classes + 1
    size = _input_size(tf, nodes)
    body = _cut(tf, graph, count, size)
    function = _as_function(tf, body, count, size, columns)
    shape = function.structured_outputs["scores"].shape
    if tuple(shape) != (1, len(anchors), columns):
        raise ModelError(
            f"{graph_file} gives scores of shape {tuple(shape)}, "
            f"{len(anchors)} anchors and {classes} labels need {(1, len(anchors), columns)}"
        )
    maps = _feature_maps(function)
    black = -float(_constant(tf, nodes, "Preprocessor/sub/y"))
    white = 255 * float(_constant(tf, nodes, "Preprocessor/mul/x")) + black
    model = FloatModel(function, size, (black, round(white, 6)), ("boxes", "scores"))
    return model, _manifest(size, labels, maps, sigmoid=sigmoid)


def read_anchors(graph_file: Path) -> NDArray[np.float32]:
    """The anchors that a frozen graph computes for itself.

    Returns:
        (anchors, 4) float32, y and x of the centre, height, width; relative to the input.
    """
    tf = load_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(_read_graph(tf, graph_file), name="")
    with tf.compat.v1.Session(graph=graph) as session:
        image = np.zeros((1, 8, 8, 3), np.uint8)
        corners = session.run(f"{ANCHORS}:0", {"image_tensor:0": image})
    minimum, maximum = corners[:, :2], corners[:, 2:]
    centres = np.concatenate([(minimum + maximum) / 2, maximum - minimum], axis=1)
    return centres.astype(np.float32)


def _read_graph(tf: Any, graph_file: Path) -> Any:
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(graph_file.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {graph_file}: {error.strerror}") from error
    except Exception as error:
        # protobuf's DecodeError; its class moved between versions of that package.
        if type(error).__name__ != "DecodeError":
            raise
        raise ModelError(f"{graph_file} is not a frozen TensorFlow graph") from error
    return graph


def _constant(tf: Any, nodes: dict[str, Any], name: str) -> NDArray[Any]:
    value: NDArray[Any] = tf.make_ndarray(nodes[name].attr["value"].tensor)
    return value


def _input_size(tf: Any, nodes: dict[str, Any]) -> Size:
    for node in nodes.values():
        if node.op == "ResizeBilinear":
            height, width = _constant(tf, nodes, node.input[1]).tolist()
            return Size(width, height)
    raise ModelError("the graph does not resize its image to one fixed size")


def _drop_background(tf: Any, nodes: dict[str, Any], predictor: str, classes: int) -> None:
    for part in ("weights", "biases"):
        node = nodes[f"{predictor}/{part}"]
        value = _constant(tf, nodes, node.name)
        if value.shape[-1] % (classes + 1):
            raise ModelError(
                f"{predictor} has {value.shape[-1]} outputs, "
                f"which is no multiple of {classes} labels and a background"
            )
        grouped = value.reshape(*value.shape[:-1], -1, classes + 1)[..., 1:]
        kept = grouped.reshape(*value.shape[:-1], -1)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(kept))


def _cut(tf: Any, graph: Any, count: int, size: Size) -> Any:
    # input_map alone fails: the importer still walks the while-loop in front of the image.
    for node in graph.node:
        if node.name == IMAGE:
            image = tf.compat.v1.NodeDef(name=IMAGE, op="Placeholder")
            image.attr["dtype"].type = tf.float32.as_datatype_enum
            shape = tf.TensorShape([1, size.height, size.width, 3])
            image.attr["shape"].shape.CopyFrom(shape.as_proto())
            node.CopyFrom(image)
    ends = [
        f"BoxPredictor_{index}/{kind}/BiasAdd"
        for index in range(count)
        for kind in ("BoxEncodingPredictor", "ClassPredictor")
    ]
    return tf.compat.v1.graph_util.extract_sub_graph(graph, ends)


def _as_function(tf: Any, body: Any, count: int, size: Size, columns: int) -> Any:
    names = [
        f"BoxPredictor_{index}/{kind}/BiasAdd:0"
        for kind in ("BoxEncodingPredictor", "ClassPredictor")
        for index in range(count)
    ]

    def join(maps: list[Any], width: int) -> Any:
        return tf.concat([tf.reshape(one, (1, -1, width)) for one in maps], axis=1)

    def heads(image: Any) -> dict[str, Any]:
        maps = tf.graph_util.import_graph_def(
            body, input_map={f"{IMAGE}:0": image}, return_elements=names, name="ssd"
        )
        return {"boxes": join(maps[:count], 4), "scores": join(maps[count:], columns)}

    image = tf.TensorSpec((1, size.height, size.width, 3), tf.float32, name="image")
    return tf.function(heads).get_concrete_function(image)


def _feature_maps(function: Any) -> list[tuple[int, int]]:
    maps = []
    for operation in function.graph.get_operations():
        if _PREDICTOR.fullmatch(operation.name.partition("/")[2]):
            _, height, width, _ = operation.outputs[0].shape
            maps.append((int(width), int(height)))
    return sorted(maps, reverse=True)


def _manifest(
    size: Size, labels: list[str], maps: list[tuple[int, int]], *, sigmoid: bool
) -> dict[str, Any]:
    return {
        "family": "ssd",
        "head": "raw",
        "labels": labels,
        "input": {"size": list(size), "color": "rgb", "resize": "stretch"},
        "ssd": {
            "outputs": {"boxes": "boxes", "scores": "scores"},
            "box_scales": [10.0, 10.0, 5.0, 5.0],
            "scores": "sigmoid" if sigmoid else "softmax",
            "background": not sigmoid,
            "anchors": {
                "feature_maps": [list(one) for one in maps],
                "min_scale": _MIN_SCALE,
                "max_scale": _MAX_SCALE,
                "aspect_ratios": _ASPECT_RATIOS,
            },
        },
        "nms": {"iou_threshold": 0.6, "score_threshold": 0.3},
    }
