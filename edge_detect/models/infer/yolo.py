"""Raw grids of YOLO: boxes that the graph does not decode."""

from collections.abc import Sequence

from edge_detect.core import ModelError
from edge_detect.models.infer.common import dims, fill_labels, fill_nms
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.grids import cells
from edge_detect.models.infer.inference import Source
from edge_detect.models.infer.inputs import YOLO, YOLOX, fill_input
from edge_detect.models.infer.levels import Level, levels_of

__all__ = ["infer_grids", "infer_raw_yolox"]

_BOX_AND_OBJECTNESS = 5
# Anchors that the networks of these names come with, from small to large, in pixels.
_YOLO_V3 = (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326)
_YOLO_V3_TINY = (10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319)
_YOLO_V4 = (12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401)
_COCO_CLASSES = 80


def infer_raw_yolox(evidence: Evidence) -> Draft | None:
    """YOLOX whose boxes are not decoded: no exponential in the graph."""
    if len(evidence.outputs) != 1 or len(dims(evidence.outputs[0])) != 2:
        return None
    output = evidence.outputs[0]
    count, values = dims(output)
    strides = (8, 16, 32)
    asked = evidence.overrides.family == "yolox-raw"
    if cells(evidence.size, strides) != count or values < 6:
        return None
    classes = values - _BOX_AND_OBJECTNESS
    told = evidence.told_classes(classes, values - 4)
    likely = told == classes or (told is None and classes == _COCO_CLASSES)
    silent = not evidence.has_operator("EXP", "SOFTMAX")
    by_maker = evidence.ultralytics is None
    # A graph of nothing but shapes tells nothing.
    real = evidence.has_operator("CONV_2D")
    if not asked and not (likely and silent and by_maker and real):
        return None
    why = f"{output}: strides 8, 16, 32; the graph has no EXP, which decodes sizes"
    # YOLOv6 has the same rows, of decoded boxes: one inference tells.
    draft = Draft(evidence, "yolo", "YOLOX with raw boxes", "constants", why, certain=asked)
    heads = [{"stride": each, "outputs": {"joined": output.name}} for each in strides]
    draft.set(".heads", heads, "tensors", why)
    draft.set(".coding", "linear", "rule", "as all of YOLOX", certain=asked)
    draft.ask(".coding")
    draft.set(".activated", True, "rule", "exports of YOLOX apply the sigmoid")
    fill_labels(draft, classes, (values - 4,))
    fill_input(draft, YOLOX)
    fill_nms(draft, 0.25, 0.5)
    return draft


def infer_grids(evidence: Evidence) -> Draft | None:
    """Raw grids of YOLOv3, YOLOv4, YOLOv5 and YOLOv7, whose anchors are not in the file."""
    grids = levels_of(evidence)
    if grids is None:
        return None
    channels = {grid.channels for grid in grids}
    layouts = {grid.layout for grid in grids}
    if (
        len(channels) != 1
        or len(layouts) != 1
        or len({grid.stride for grid in grids}) != len(grids)
    ):
        return None
    count = min(channels)
    asked = evidence.overrides.get("anchors")
    per_cell = len(asked) // len(grids) if asked and not len(asked) % len(grids) else 3
    if layouts == {"anchors"}:
        per_cell = grids[0].tensor.shape[1]
    if count % per_cell or count // per_cell <= _BOX_AND_OBJECTNESS:
        return None
    classes = count // per_cell - _BOX_AND_OBJECTNESS
    if len(grids) == 1 and not (evidence.told_classes(classes) or asked):
        return None
    coding, certain, reason = _coding(evidence, layouts)
    anchors, source, why = _choose_anchors(evidence, grids, per_cell, classes, coding)
    kind = {"exponential": "YOLOv3", "squared": "YOLOv5"}[coding]
    if evidence.overrides.family == "yolov7":
        kind = "YOLOv7"
    fact = f"{len(grids)} grids of {per_cell} x (5 + {classes}) channels"
    draft = Draft(evidence, "yolo", f"{kind} with raw grids", "tensors", f"{fact}; {reason}")
    heads = [
        {
            "stride": grid.stride,
            "anchors": [list(pair) for pair in anchors[number * per_cell :][:per_cell]],
            "outputs": {"joined": grid.tensor.name},
        }
        for number, grid in enumerate(grids)
    ]
    guessed = source == "rule"
    # YOLOv7 has the same activations as YOLOv5, but other anchors.
    whose = "COCO" if coding == "exponential" else kind
    shown = f"anchors of {whose}" if guessed else ""
    draft.set(".heads", heads, source, why, certain=not guessed, shown=shown)
    shown = "" if certain else f"coding of {kind}"
    told: Source = "query" if evidence.overrides.family else "constants"
    draft.set(".coding", coding, told, reason, certain=certain, shown=shown)
    if layouts == {"anchors"}:
        draft.set(".layout", "anchors", "tensors", str(grids[0].tensor))
    fill_labels(draft, classes)
    fill_input(draft, YOLO)
    fill_nms(draft, 0.25, 0.5)
    return draft


def _coding(evidence: Evidence, layouts: set[str]) -> tuple[str, bool, str]:
    """How boxes are coded: the activation tells Darknet's networks from later ones."""
    asked = evidence.overrides.family
    if asked:
        squared = asked in ("yolov5", "yolov7")
        return "squared" if squared else "exponential", True, f"family {asked}"
    found = evidence.graph.count_operators()
    if found["LEAKY_RELU"] and layouts == {"anchors"}:
        return "squared", False, "LEAKY_RELU, and anchors before rows, as YOLOv7-tiny"
    if found["LEAKY_RELU"] or found["PRELU"]:
        return "exponential", True, "the graph has LEAKY_RELU, as YOLOv3 and YOLOv4-tiny"
    if found["TANH"]:
        return "exponential", True, "the graph has TANH (mish), as YOLOv4"
    if found["LOGISTIC"] or found["HARD_SWISH"]:
        return "squared", True, "the graph has LOGISTIC (SiLU), as YOLOv5 and YOLOv7"
    return "exponential", False, "nothing tells"


def _choose_anchors(
    evidence: Evidence, grids: list[Level], per_cell: int, classes: int, coding: str
) -> tuple[Sequence[tuple[float, float]], Source, str]:
    """Anchors from small to large: those that the user gives, or the defaults for COCO."""
    asked = evidence.overrides.get("anchors")
    needed = per_cell * len(grids)
    if asked:
        if len(asked) != needed:
            raise ModelError(
                f"{evidence.path}: {len(asked)} anchors for {len(grids)} grids of {per_cell}",
                f"give {needed} pairs of width and height, from small to large",
            )
        return asked, "query", "anchors"
    strides = tuple(grid.stride for grid in grids)
    if classes == _COCO_CLASSES and per_cell == 3:
        if strides == (8, 16, 32):
            flat = _YOLO_V4 if _has_anchors_of_v4(evidence, coding) else _YOLO_V3
            return _pairs(flat), "rule", "three grids and 80 classes: anchors for COCO"
        if strides == (16, 32):
            # The finer grid has the anchors 1, 2, 3: so have the weights for COCO.
            pairs = _pairs(_YOLO_V3_TINY)
            return (*pairs[1:4], *pairs[3:]), "rule", "two grids and 80 classes: anchors for COCO"
    raise ModelError(
        f"{evidence.path}: {len(grids)} grids of {per_cell} anchors, and the anchors are not in"
        " the file",
        f"give them, from small to large, as in the network's configuration: "
        f"'{evidence.path.name}?anchors=W,H,W,H,…' ({needed} pairs)",
    )


def _has_anchors_of_v4(evidence: Evidence, coding: str) -> bool:
    """Whether a network for COCO has YOLOv4's anchors: so has YOLOv7, but for its tiny one."""
    asked = evidence.overrides.family
    if asked == "yolov7":
        return not evidence.has_operator("LEAKY_RELU")
    mish = coding == "exponential" and evidence.has_operator("TANH")
    return asked == "yolov4" or (mish and not asked)


def _pairs(flat: Sequence[int]) -> list[tuple[float, float]]:
    return [(float(w), float(h)) for w, h in zip(flat[::2], flat[1::2], strict=True)]
