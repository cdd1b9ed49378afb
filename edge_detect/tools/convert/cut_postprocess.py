"""Cut `TFLite_Detection_PostProcess` off an SSD: raw heads, with the anchors of the file.

The operator gives few boxes, suppresses without regard to classes, and dequantizes everything
first. Its three inputs are all that a raw head needs: boxes, scores and anchors.

Reference:
    TensorFlow Lite, `kernels/detection_postprocess.cc` (inputs, options, background).
"""

from dataclasses import dataclass
from typing import Any, Literal

from edge_detect.core import ModelError, Size
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.flatbuffer import Graph

__all__ = ["RawHead", "cut_postprocess", "raw_manifest"]

_OPERATOR = b"TFLite_Detection_PostProcess"
_EDGE_TPU = b"edgetpu-custom-op"
_SCORE_THRESHOLD = 0.4
# What label files call the class before the first.
_BACKGROUNDS = ("???", "background", "__background__")
_NEEDED = ("num_classes", "nms_iou_threshold", "y_scale", "x_scale", "h_scale", "w_scale")


@dataclass(frozen=True)
class RawHead:
    """A model without its post-processing, and what that said.

    Attributes:
        content: The file; its outputs are `boxes` and `scores`, and `anchors` is a constant.
        input_size: Width and height in pixels.
        is_float: Whether the input takes real numbers.
        classes: Number of classes, without the background.
        background: Whether column 0 of the scores is the background.
        scores: What the scores are.
        box_scales: Divisors of t_y, t_x, t_h, t_w.
        iou: Overlap above which the operator removed the lesser of two boxes.
    """

    content: bytes
    input_size: Size
    is_float: bool
    classes: int
    background: bool
    scores: Literal["sigmoid", "probability"]
    box_scales: tuple[float, float, float, float]
    iou: float


def cut_postprocess(content: bytes) -> RawHead:
    """Make a model with raw heads of one that suppresses itself.

    What only dequantizes for the operator is cut off with it, and so is the sigmoid of the
    scores: of 256 elements it is a table, which the decoder has, and thresholds are compared
    with elements.

    Args:
        content: A TFLite file, quantized or not.

    Raises:
        ModelError: It does not end in the operator, or in one that says what is impossible.
        DependencyError: LiteRT is not installed.
    """
    graph = Graph(content)
    operator = _find_operator(graph)
    options = _read_options(operator)
    boxes, scores, anchors = (_before_dequantize(graph, int(each)) for each in operator.inputs[:3])
    kind: Literal["sigmoid", "probability"] = "probability"
    producer = graph.producer(scores)
    if producer is not None and graph.kind(producer) == "LOGISTIC":
        scores, kind = _before_dequantize(graph, int(producer.inputs[0])), "sigmoid"
    columns, size = _check(graph, boxes, scores, anchors, int(options["num_classes"]))
    _take_names(graph, ("boxes", "scores", "anchors"))
    graph.set_outputs({"boxes": boxes, "scores": scores})
    graph.tensors[anchors].name = b"anchors"
    graph.drop_unused_operators()
    image = graph.tensors[graph.subgraph.inputs[0]]
    y, x, h, w = (float(options[key]) for key in _NEEDED[2:])
    return RawHead(
        content=graph.to_bytes(),
        input_size=size,
        is_float=image.type == graph.schema.TensorType.FLOAT32,
        classes=int(options["num_classes"]),
        background=columns > int(options["num_classes"]),
        scores=kind,
        box_scales=(y, x, h, w),
        iou=round(float(options["nms_iou_threshold"]), 6),
    )


def raw_manifest(
    head: RawHead, known: ModelSpec | None, labels: list[str] | None
) -> dict[str, Any]:
    """The manifest of a raw head.

    Args:
        head: From `cut_postprocess`.
        known: The manifest of the model that it was cut from, if there is one.
        labels: By class, a name for the background before them or not; None for those of `known`.

    Returns:
        Everything but what `save_model` adds.

    Raises:
        ModelError: There are more labels than classes.
    """
    offset = 0
    if labels is None and known is not None:
        offset = known.ssd.label_offset if known.ssd is not None else 0
        names = list(known.labels)
    else:
        names = list(labels or [])
        if names and names[0].lower() in _BACKGROUNDS:
            del names[0]
        if len(names) > head.classes:
            raise ModelError(f"there are {len(names)} labels for {head.classes} classes")
    # Classes without a name need a place.
    names += ["n/a"] * (head.classes + offset - len(names))
    manifest: dict[str, Any] = {
        "family": "ssd",
        "head": "raw",
        "labels": names,
        "input": _input_section(head),
        "ssd": {
            "box_scales": list(head.box_scales),
            "scores": head.scores,
            "background": head.background,
            "label_offset": offset - int(head.background),
            "outputs": {"boxes": "boxes", "scores": "scores"},
            "anchors": {"tensor": "anchors"},
        },
        "nms": {"iou_threshold": head.iou, "score_threshold": _SCORE_THRESHOLD},
    }
    if known is None:
        return manifest
    manifest["nms"]["score_threshold"] = known.nms.score_threshold
    given = known.model_dump(mode="json", exclude_unset=True, include={"input"})
    if labels is None and known.mids:
        given["mids"] = known.mids
    return {**manifest, **given, "description": f"{known.description or known.name}, raw heads"}


def _input_section(head: RawHead) -> dict[str, Any]:
    section: dict[str, Any] = {
        "size": list(head.input_size),
        "color": "rgb",
        "resize": "stretch",
    }
    return {**section, "mean": 127.5, "std": 127.5} if head.is_float else section


def _find_operator(graph: Graph) -> Any:
    custom = {
        graph.model.operatorCodes[each.opcodeIndex].customCode: each for each in graph.operators
    }
    if _EDGE_TPU in custom:
        raise ModelError(
            "the model is compiled for an Edge TPU, whose operator cannot be taken apart",
            "cut the file that it was compiled from",
        )
    if _OPERATOR not in custom:
        raise ModelError(
            f"the model has no {_OPERATOR.decode()}",
            "its outputs are raw already; nothing has to be cut",
        )
    operator = custom[_OPERATOR]
    if len(operator.inputs) < 3:
        raise ModelError(f"{_OPERATOR.decode()} has {len(operator.inputs)} inputs, not 3")
    return operator


def _read_options(operator: Any) -> dict[str, Any]:
    from flatbuffers import flexbuffers

    given = operator.customOptions
    try:
        options = flexbuffers.Loads(bytes(given)) if given is not None else {}
    # The reader follows offsets unchecked: damage shows as any of these.
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ModelError(f"the options of {_OPERATOR.decode()} are damaged: {error}") from error
    missing = [key for key in _NEEDED if not isinstance(options.get(key), int | float)]
    if missing:
        raise ModelError(f"{_OPERATOR.decode()} does not say its {missing[0]}")
    return dict(options)


def _before_dequantize(graph: Graph, index: int) -> int:
    """The tensor that was dequantized into this one, else this one."""
    producer = graph.producer(index)
    while producer is not None and graph.kind(producer) == "DEQUANTIZE":
        index = int(producer.inputs[0])
        producer = graph.producer(index)
    return index


def _check(graph: Graph, boxes: int, scores: int, anchors: int, classes: int) -> tuple[int, Size]:
    """Columns of the scores, and the size of the input.

    Raises:
        ModelError: Shapes do not fit each other.
    """
    shapes = [graph.shape(index) for index in (boxes, scores, anchors)]
    first, second, third = shapes
    fits = (
        len(first) == len(second) == 3
        and first[0] == 1
        and first[2] >= 4
        and second[:2] == first[:2]
        and third == (first[1], 4)
        and second[2] - classes in (0, 1)
    )
    if not fits:
        raise ModelError(
            f"boxes {first}, scores {second}, anchors {third} and {classes} classes do not fit"
        )
    if not graph.is_constant(anchors):
        raise ModelError("the anchors are computed by the model; they do not stand in it")
    image = graph.shape(int(graph.subgraph.inputs[0]))
    if len(graph.subgraph.inputs) != 1 or len(image) != 4:
        raise ModelError(f"the model takes {image}; one image is needed")
    return second[2], Size(image[2], image[1])


def _take_names(graph: Graph, names: tuple[str, ...]) -> None:
    """Let no tensor have these names: outputs and constants are found by them."""
    taken = {name.encode() for name in names}
    for tensor in graph.tensors:
        if tensor.name in taken:
            tensor.name = tensor.name + b"/cut"
