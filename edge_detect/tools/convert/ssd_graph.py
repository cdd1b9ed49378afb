"""Cut a TensorFlow 1 SSD, as the Object Detection API freezes it, down to its network.

What is kept lies between the normalized image and the convolutions of the box predictors.
Resizing, decoding and suppression belong to the run time: they differ per platform, and
none of them survives eight bits well.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError, Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.sections.anchors import BoxAnchors
from edge_detect.tools.convert.float_model import FloatModel, load_tensorflow

__all__ = ["UNUSED", "convert_ssd_frozen_graph", "convert_ssd_graph", "read_anchors", "to_centres"]

# The label of a class id that means nothing: COCO has ten between 1 and 90.
UNUSED = "n/a"
IMAGE = "Preprocessor/sub"
_NEEDED = (IMAGE, "Preprocessor/sub/y", "Preprocessor/mul/x", "Postprocessor/convert_scores")
ANCHORS = "Concatenate/concat"
_PREDICTOR = re.compile(r"BoxPredictor_(\d+)/BoxEncodingPredictor/BiasAdd")
# The layout of the anchors that the Object Detection API's configurations for SSD share.
_MIN_SCALE, _MAX_SCALE = 0.2, 0.95
_ASPECT_RATIOS = [1.0, 2.0, 0.5, 3.0, 0.3333]
_BOX_SCALES = (10.0, 10.0, 5.0, 5.0)
# Relative to the picture: less than a thousandth of a pixel.
_ANCHOR_TOLERANCE = 2e-6


def convert_ssd_frozen_graph(
    graph_file: Path, labels: list[str]
) -> tuple[FloatModel, dict[str, Any]]:
    """Make a float network with outputs `boxes` and `scores` from a frozen graph.

    Args:
        graph_file: A `frozen_inference_graph.pb` of the Object Detection API.
        labels: See `convert_ssd_graph`.

    Raises:
        DependencyError: TensorFlow is missing.
        ModelError: The file is no such graph, or its anchors or classes do not fit.
    """
    graph = _read_graph(load_tensorflow(), graph_file)
    return convert_ssd_graph(graph, str(graph_file), labels, lambda: read_anchors(graph_file))


def convert_ssd_graph(
    graph: Any, source: str, labels: list[str], anchors: Callable[[], NDArray[np.float32]]
) -> tuple[FloatModel, dict[str, Any]]:
    """Make a float network with outputs `boxes` and `scores` from a graph of the API.

    `boxes` is (1, anchors, 4), t_y, t_x, t_h, t_w; `scores` is (1, anchors, classes), logits.
    Of a graph with sigmoid scores the columns of the background and of ids that mean nothing
    are left out: nobody reads them.

    Args:
        graph: A GraphDef with the API's names; it is changed.
        source: What errors call it.
        labels: By class id, without the background; `n/a` for an id that means nothing.
        anchors: Gives the graph's own anchors, as `read_anchors` does.

    Returns:
        The network, and the parts of its manifest that follow from the graph.

    Raises:
        ModelError: It is no such graph, or its anchors or classes do not fit.
    """
    tf = load_tensorflow()
    nodes = {node.name: node for node in graph.node}
    count = sum(_PREDICTOR.fullmatch(name) is not None for name in nodes)
    missing = [name for name in _NEEDED if name not in nodes]
    if missing or count == 0:
        raise ModelError(
            f"{source} has no {' and no '.join(missing or ['BoxPredictor_0'])}",
            "only SSD graphs of the TensorFlow 1 Object Detection API can be converted",
        )
    kept = [label for label in labels if label != UNUSED]
    sigmoid = nodes["Postprocessor/convert_scores"].op == "Sigmoid"
    if sigmoid:
        used = np.array([False, *(label != UNUSED for label in labels)])
        for index in range(count):
            _keep_classes(tf, nodes, f"BoxPredictor_{index}/ClassPredictor", used)
    columns = len(kept) if sigmoid else len(labels) + 1
    size = _input_size(tf, nodes)
    scales = _box_scales(tf, nodes)
    black = -float(_constant(tf, nodes, "Preprocessor/sub/y"))
    white = 255 * float(_constant(tf, nodes, "Preprocessor/mul/x")) + black
    wanted = anchors()
    function = _as_function(tf, _cut(tf, graph, count, size), count, size, columns)
    shape = function.structured_outputs["scores"].shape
    if tuple(shape) != (1, len(wanted), columns):
        raise ModelError(
            f"{source} gives scores of shape {tuple(shape)}, "
            f"{len(wanted)} anchors and {len(labels)} labels need {(1, len(wanted), columns)}"
        )
    model = FloatModel(function, size, (black, round(white, 6)), ("boxes", "scores"))
    rule = _anchors(_feature_maps(function), size, wanted)
    return model, _manifest(size, kept if sigmoid else labels, rule, scales, sigmoid=sigmoid)


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
    return to_centres(corners)


def to_centres(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (n, 4) y_min, x_min, y_max, x_max into centre y and x, height, width."""
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


def _box_scales(tf: Any, nodes: dict[str, Any]) -> list[float]:
    """What t_y, t_x, t_h and t_w are divided by; by reciprocals after constant folding."""
    scales = []
    for index, usual in enumerate(_BOX_SCALES):
        node = nodes.get("Postprocessor/Decode/div" + (f"_{index}" if index else ""))
        constants = [_follow(nodes, name) for name in node.input] if node else []
        values = [tf.make_ndarray(one.attr["value"].tensor) for one in constants if one]
        if node is None or len(values) != 1:
            scales.append(usual)
            continue
        value = float(values[0])
        scales.append(round(1 / value if node.op == "Mul" else value, 5))
    return scales


def _follow(nodes: dict[str, Any], name: str) -> Any:
    """The constant that an input is, by way of identities; None if it is none."""
    node = nodes.get(name.partition(":")[0])
    while node is not None and node.op == "Identity":
        node = nodes.get(node.input[0])
    return node if node is not None and node.op == "Const" else None


def _keep_classes(tf: Any, nodes: dict[str, Any], predictor: str, used: NDArray[np.bool_]) -> None:
    """Leave out columns of a class predictor, the same at each of its anchors."""
    join = nodes[f"{predictor}/BiasAdd"]
    for node in (_follow(nodes, nodes[join.input[0]].input[1]), _follow(nodes, join.input[1])):
        if node is None:
            raise ModelError(f"the weights of {predictor} are no constants")
        value = tf.make_ndarray(node.attr["value"].tensor)
        if value.shape[-1] % len(used):
            raise ModelError(
                f"{predictor} has {value.shape[-1]} outputs, "
                f"which is no multiple of {len(used) - 1} labels and a background"
            )
        grouped = value.reshape(*value.shape[:-1], -1, len(used))[..., used]
        kept = grouped.reshape(*value.shape[:-1], -1)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(kept))


def _anchors(
    maps: list[tuple[int, int]], size: Size, wanted: NDArray[np.float32]
) -> dict[str, Any]:
    """The usual rule if it gives these anchors; else all of them, one by one."""
    rule = {
        "feature_maps": [list(one) for one in maps],
        "min_scale": _MIN_SCALE,
        "max_scale": _MAX_SCALE,
        "aspect_ratios": _ASPECT_RATIOS,
    }
    found = anchor_boxes(BoxAnchors.model_validate(rule), size)
    found = found / np.tile([size.height, size.width], 2)
    if found.shape == wanted.shape and np.abs(found - wanted).max() <= _ANCHOR_TOLERANCE:
        return rule
    return {"boxes": [[round(float(value), 7) for value in row] for row in wanted]}


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
    size: Size,
    labels: list[str],
    anchors: dict[str, Any],
    box_scales: list[float],
    *,
    sigmoid: bool,
) -> dict[str, Any]:
    return {
        "family": "ssd",
        "head": "raw",
        "labels": labels,
        "input": {"size": list(size), "color": "rgb", "resize": "stretch"},
        "ssd": {
            "outputs": {"boxes": "boxes", "scores": "scores"},
            "box_scales": box_scales,
            "scores": "sigmoid" if sigmoid else "softmax",
            "background": not sigmoid,
            "anchors": anchors,
        },
        "nms": {"iou_threshold": 0.6, "score_threshold": 0.3},
    }
