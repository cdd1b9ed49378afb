"""Models whose graph decodes its boxes: YOLOv8, YOLOv5, YOLOX, end-to-end models and DETR."""

from edge_detect.models.file.graph import FileTensor
from edge_detect.models.infer.common import (
    dims,
    fill_labels,
    fill_nms,
    fill_scores,
    fill_unit,
    scores_are,
)
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.grids import Grids, find_grids
from edge_detect.models.infer.inference import Source
from edge_detect.models.infer.inputs import DETR, YOLO, YOLOX, InputRule, fill_input
from edge_detect.models.infer.pairs import Order, boxes_first, fill_pair

__all__ = [
    "infer_detr",
    "infer_end_to_end",
    "infer_indexed",
    "infer_joined",
    "infer_split",
]

# Rows of an end-to-end model, and queries of a DETR: fewer than the cells of any grid.
_MOST_ROWS = 1000
_ROW_VALUES = 6
_BOX_VALUES = 4
_USUAL_STRIDES = (8, 16, 32)
_COCO_CLASSES = 80
# Logits of YOLOv8 for the distances to the four sides.
_DISTANCES = 64


def infer_joined(evidence: Evidence) -> Draft | None:
    """One output with a column per candidate (YOLOv8) or a row (YOLOv5, YOLOX)."""
    if len(evidence.outputs) != 1 or len(dims(evidence.outputs[0])) != 2:
        return None
    output = evidence.outputs[0]
    one, other = dims(output)
    wanted = evidence.overrides.family
    columns = find_grids(evidence.size, other, 1)
    rows = find_grids(evidence.size, one, 1, 3)
    said = evidence.overrides.get("layout")
    by_columns = columns is not None and one >= 5 and said != "rows"
    by_rows = rows is not None and other >= 5 and said != "columns"
    if columns is not None and rows is not None and by_columns and by_rows:
        if one == other:
            return _square(evidence, output, columns, one)
        usual = [each.strides == _USUAL_STRIDES for each in (columns, rows)]
        by_columns = usual[0] if usual[0] != usual[1] else one < other
        by_rows = not by_columns
    if columns is not None and by_columns:
        return _columns(evidence, output, columns, one)
    if rows is not None and by_rows:
        return _rows(evidence, output, rows, other)
    if wanted in ("yolov8", "yolov7", "yolov5", "yolox") and min(one, other) >= 5:
        grids = Grids((), 1)
        if said == "columns" or (said is None and one < other):
            return _columns(evidence, output, grids, one)
        return _rows(evidence, output, grids, other)
    return None


def _square(evidence: Evidence, output: FileTensor, grids: Grids, side: int) -> Draft | None:
    """As many values as candidates, as of 80 classes and 64 x 64 pixels: one inference tells."""
    if evidence.overrides.family == "yolox" or _row_kind(evidence, side)[0] == "YOLOX":
        return _rows(evidence, output, grids, side)
    draft = _columns(evidence, output, grids, side)
    if evidence.ultralytics is None:
        draft.guess(".layout", "columns", "the more frequent one", "layout columns")
        # The other questions are about values whose places the layout tells.
        draft.ask(".layout", first=True)
    return draft


def _columns(evidence: Evidence, output: FileTensor, grids: Grids, values: int) -> Draft:
    """1 x values x candidates."""
    named = {"yolov5": "YOLOv5", "yolov7": "YOLOv7", "yolox": "YOLOX"}
    asked = named.get(evidence.overrides.family, "")
    objectness = bool(asked) and _has_objectness(evidence, values)
    why = f"{output}: {values - 4} classes, {grids}"
    # Without a SOFTMAX, 64 of many values may be distances: a list of labels tells.
    certain = (
        objectness
        or values <= _DISTANCES
        or values - 4 == _COCO_CLASSES
        or evidence.told_classes(values - 4) is not None
        or evidence.has_operator("SOFTMAX")
    )
    draft = Draft(evidence, "decoded", asked or _name_v8(evidence), "tensors", why, certain=certain)
    if asked and not objectness:
        draft.remark(f"{asked} without an objectness: {values} values are 4 and the classes")
    draft.set(".layout", "columns", "tensors", why)
    return _fill(draft, output, values - 4 - int(objectness), objectness=objectness)


def _has_objectness(evidence: Evidence, values: int) -> bool:
    """Whether a column output of a YOLOv5 or YOLOX has one: newer YOLOv5 (v5u) have none."""
    counts = [len(each.names) for each in evidence.labels] or [_COCO_CLASSES]
    return values - 4 not in counts or values - 5 in counts


def _name_v8(evidence: Evidence) -> str:
    """What Ultralytics calls it, else `YOLOv8`."""
    said = evidence.ultralytics.description if evidence.ultralytics else ""
    for word in said.split():
        if word.lower().startswith("yolo") and any(each.isdigit() for each in word):
            return word.strip(",.")
    return "YOLOv8"


def _rows(evidence: Evidence, output: FileTensor, grids: Grids, values: int) -> Draft | None:
    """1 x candidates x values."""
    why = f"{output}: {grids}"
    if grids.per_cell == 3:
        kind = "YOLOv7" if evidence.overrides.family == "yolov7" else "YOLOv5"
        draft = Draft(evidence, "decoded", kind, "tensors", why)
        draft.set(".layout", "rows", "tensors", why)
        return _fill(draft, output, values - 5, objectness=True)
    kind, source, reason = _row_kind(evidence, values)
    certain = source != "rule"
    draft = Draft(evidence, "decoded", kind, source, f"{why}; {reason}", certain=certain)
    draft.set(".layout", "rows", "tensors", why)
    objectness = kind == "YOLOX"
    rule = YOLOX if kind == "YOLOX" else YOLO
    return _fill(draft, output, values - 4 - int(objectness), objectness=objectness, rule=rule)


def _row_kind(evidence: Evidence, values: int) -> tuple[str, Source, str]:
    """YOLOX, or YOLOv8 whose output was transposed: one value per row is the difference."""
    wanted = evidence.overrides.family
    if wanted in ("yolox", "yolov8"):
        return {"yolox": "YOLOX", "yolov8": "YOLOv8"}[wanted], "query", "family"
    head = evidence.edge_impulse.head if evidence.edge_impulse else ""
    if head == "yolox":
        return "YOLOX", "edge impulse", "its name for the last layer"
    if evidence.ultralytics is not None:
        return _name_v8(evidence), "ultralytics", "its exports"
    told = evidence.told_classes(values - 4, values - 5)
    if told is not None:
        kind = "YOLOv8" if told == values - 4 else "YOLOX"
        return kind, "tensors", f"{values - told} and {told} labels are {values}"
    # Distances of YOLOv8 are a softmax; sizes of YOLOX are exponentials.
    if evidence.has_operator("EXP"):
        return "YOLOX", "constants", "the graph has EXP"
    maker = evidence.graph.count_operators()
    if maker["SOFTMAX"]:
        return "YOLOv8", "constants", "the graph has SOFTMAX"
    if values == 85:
        return "YOLOX", "rule", "85 values: 5 and COCO's 80 classes"
    return "YOLOv8", "rule", "the more frequent kind"


def _fill(
    draft: Draft,
    output: FileTensor,
    classes: int,
    *,
    objectness: bool,
    rule: InputRule = YOLO,
) -> Draft:
    draft.set(".outputs.joined", output.name, "tensors", str(output))
    draft.set(".objectness", objectness, "tensors", f"{classes} classes")
    draft.set(".box", "cxcywh", "rule", f"as all of {draft.kind}")
    fill_unit(draft, output)
    _fill_joined_scores(draft, output)
    fill_labels(draft, classes, (classes - 1,) if not objectness else (classes + 1,))
    fill_input(draft, rule)
    fill_nms(draft, 0.25, 0.5 if objectness else 0.6)
    return draft


def _fill_joined_scores(draft: Draft, output: FileTensor) -> None:
    """Scores beside boxes in one tensor: only an inference tells what they are."""
    kind, _, _ = scores_are(draft.evidence, output)
    if output.quantized or kind == "probability":
        draft.set(".scores", "probability", "rule", f"as all of {draft.kind}")
        return
    draft.set(".scores", "probability", "rule", f"as all of {draft.kind}", certain=False)
    draft.ask(".scores")


def infer_end_to_end(evidence: Evidence) -> Draft | None:
    """1 x rows x (box, score, class): YOLOv10, YOLO26, and exports with suppression."""
    if len(evidence.outputs) != 1:
        return None
    output = evidence.outputs[0]
    shape = dims(output)
    if len(shape) != 2 or shape[1] != _ROW_VALUES or shape[0] > _MOST_ROWS:
        return None
    if find_grids(evidence.size, shape[0], 1, 3) and evidence.overrides.family != "end2end":
        return None
    why = f"{output}: rows of box, score and class"
    draft = Draft(evidence, "decoded", "end-to-end model", "tensors", why)
    if evidence.ultralytics is not None:
        draft.kind = _name_v8(evidence)
        draft.set("kind", draft.kind, "ultralytics", why, shown=f"{draft.kind} end to end")
    draft.set(".outputs.joined", output.name, "tensors", str(output))
    draft.set(".layout", "rows", "tensors", why)
    draft.set(".classes", "index", "tensors", why)
    draft.set(".box", "xyxy", "rule", "as all end-to-end models")
    draft.set(".scores", "probability", "rule", "as all end-to-end models")
    fill_unit(draft, output, numbered=True)
    _fill_all_labels(draft)
    fill_input(draft, YOLO)
    fill_nms(draft, 0.25, 0.6, "none")
    return draft


def _fill_all_labels(draft: Draft) -> None:
    """Labels of a model whose tensors do not tell how many classes there are."""
    evidence = draft.evidence
    own = [each for each in evidence.labels if each.own] or evidence.labels
    labels = own[0] if own else evidence.guess_labels(_COCO_CLASSES)
    draft.set_labels(labels)
    if labels.implied:
        shown = "class 0 is the first of the list"
        draft.guess(".label_offset", 1, "the ids of the list begin at 1", shown)


def infer_indexed(evidence: Evidence) -> Draft | None:
    """Boxes, scores and class numbers, one of each per candidate."""
    if len(evidence.outputs) not in (3, 4):
        return None
    boxes = [each for each in evidence.outputs if len(dims(each)) == 2 and dims(each)[-1] == 4]
    if len(boxes) != 1:
        return None
    count = dims(boxes[0])[0]
    flat = [each for each in evidence.outputs if each.count == count and each is not boxes[0]]
    lone = [each for each in evidence.outputs if each.count == 1 and each not in flat]
    if len(flat) != 2 or len(lone) != len(evidence.outputs) - 3:
        return None
    scores, classes, why, certain = _scores_and_classes(flat)
    shape = f"{boxes[0]}, {scores}, {classes}"
    draft = Draft(evidence, "decoded", "detector with class numbers", "tensors", shape)
    draft.set(".outputs.boxes", boxes[0].name, "tensors", shape)
    told: Source = "tensors" if certain else "rule"
    shown = "" if certain else "order of scores and classes"
    draft.set(".outputs.scores", scores.name, told, why, certain=certain, shown=shown)
    draft.set(".outputs.classes", classes.name, told, why, certain=certain)
    draft.ask(".outputs.scores")
    if lone:
        draft.set(".outputs.count", lone[0].name, "tensors", "one number")
    draft.set(".classes", "index", "tensors", shape)
    grids = find_grids(evidence.size, count, 1, 3)
    order = "xyxy" if grids else "yxyx"
    draft.guess(".box", order, "the usual one", f"boxes are {order}")
    draft.set(".scores", "probability", "rule", "as all such models")
    fill_unit(draft, boxes[0])
    _fill_all_labels(draft)
    fill_input(draft, YOLO if grids else DETR)
    fill_nms(draft, 0.25 if grids else 0.4, 0.5)
    return draft


def _scores_and_classes(flat: list[FileTensor]) -> tuple[FileTensor, FileTensor, str, bool]:
    """Which of two tensors holds scores and which class numbers."""
    one, other = flat
    whole = [each for each in flat if each.dtype in ("int32", "int64") and not each.quantized]
    if len(whole) == 1:
        classes = whole[0]
        return (other if classes is one else one), classes, "class numbers are whole", True
    steps = [each for each in flat if each.quantized and each.limits[1] > 1.5]
    if len(steps) == 1:
        classes = steps[0]
        return (other if classes is one else one), classes, "its values reach beyond 1", True
    for each, rest in ((one, other), (other, one)):
        name = each.name.lower()
        if "class" in name or "label" in name or "category" in name:
            return rest, each, f"name of {each.name}", True
        if "score" in name or "conf" in name:
            return each, rest, f"name of {each.name}", True
    return other, one, "classes before scores, as TFLite_Detection_PostProcess has them", False


def infer_split(evidence: Evidence) -> Draft | None:
    """Decoded boxes and the scores of all classes, apart."""
    found = _two(evidence)
    if found is None:
        return None
    boxes, scores, order, layout = found
    count = boxes.count // _BOX_VALUES
    grids = find_grids(evidence.size, count, 1)
    if grids is None:
        return None
    why = f"{boxes} and {scores}: {grids}"
    draft = Draft(evidence, "decoded", _name_v8(evidence), "tensors", why)
    fill_pair(draft, boxes, scores, order)
    draft.set(".layout", layout, "tensors", why)
    draft.set(".box", "cxcywh", "rule", f"as all of {draft.kind}")
    fill_scores(draft, scores, "sigmoid", "probability", sure=order.certain)
    fill_unit(draft, boxes, sure=order.certain)
    fill_labels(draft, scores.count // count)
    fill_input(draft, YOLO)
    fill_nms(draft, 0.25, 0.6)
    return draft


def infer_detr(evidence: Evidence) -> Draft | None:
    """Boxes and class logits of a few hundred queries."""
    found = _two(evidence, squashed_boxes=True)
    if found is None or found[3] != "rows":
        return None
    boxes, scores, order, layout = found
    count = boxes.count // _BOX_VALUES
    if count > _MOST_ROWS:
        return None
    if find_grids(evidence.size, count, 1) is not None and evidence.overrides.family != "detr":
        return None
    columns = scores.count // count
    why = f"{boxes} and {scores}: {count} queries"
    draft = Draft(evidence, "decoded", "DETR", "tensors", why)
    fill_pair(draft, boxes, scores, order)
    draft.set(".layout", layout, "tensors", why)
    draft.set(".box", "cxcywh", "rule", "as all of DETR")
    draft.set(".unit", "relative", "rule", "as all of DETR")
    _fill_detr_classes(draft, scores, columns, sure=order.certain)
    fill_input(draft, DETR)
    fill_nms(draft, 0.4, 0.6, "none")
    return draft


def _fill_detr_classes(draft: Draft, scores: FileTensor, columns: int, *, sure: bool) -> None:
    """Sigmoids, one per class; the first DETRs have a softmax with "no object" at the end."""
    evidence = draft.evidence
    told = evidence.told_classes(columns, columns - 1)
    lists = sorted(evidence.labels, key=lambda labels: not labels.own)
    fitting = next((each for each in lists if {columns, columns - 1} & {*each.counts}), None)
    if fitting is not None and fitting.implied and len(fitting.names) == columns:
        draft.set(".first", 1, "labels file", "the ids of the list are columns, and begin at 1")
        draft.set(".label_offset", -1, "labels file", "the labels begin with the first object")
        fill_scores(draft, scores, "sigmoid", "sigmoid", sure=sure)
        fill_labels(draft, columns - 1)
        return
    no_object = told == columns - 1 or (told is None and columns in (81, 92))
    if no_object:
        draft.set(".last", 1, "tensors", f"{columns} scores for {columns - 1} labels")
        # Logits may also be sigmoids beside a column that is never used.
        sure = sure and scores_are(evidence, scores)[0] == "probability"
        fill_scores(draft, scores, "softmax", "softmax", sure=sure)
        columns -= 1
    else:
        fill_scores(draft, scores, "sigmoid", "sigmoid", sure=sure)
    if columns == 91 and told != 91:
        # Category ids of COCO as they are, from 1.
        draft.set(".first", 1, "tensors", "91 scores: ids of COCO from 1")
        draft.set(".label_offset", -1, "tensors", "91 scores: ids of COCO from 1")
        columns = 90
    fill_labels(draft, columns)


def _two(
    evidence: Evidence, *, squashed_boxes: bool = False
) -> tuple[FileTensor, FileTensor, Order, str] | None:
    """Boxes, scores, what tells which is which, and the layout."""
    if len(evidence.outputs) != 2 or any(len(dims(each)) != 2 for each in evidence.outputs):
        return None
    one, other = evidence.outputs
    for axis, layout in ((1, "rows"), (0, "columns")):
        if dims(one)[1 - axis] != dims(other)[1 - axis]:
            continue
        fits = [dims(each)[axis] == _BOX_VALUES for each in (one, other)]
        if all(fits):
            order = boxes_first(evidence, [one], [other], squashed_boxes=squashed_boxes)
        elif any(fits):
            order = Order(fits[0], "tensors", "their shapes")
        else:
            continue
        return (one, other, order, layout) if order.first else (other, one, order, layout)
    return None
