"""SSD: with its suppression inside the graph, and raw heads whose anchors are known."""

from edge_detect.core import ModelError
from edge_detect.models.file.graph import FileOperator, FileTensor
from edge_detect.models.file.operators import read_options
from edge_detect.models.infer.anchors import KnownAnchors, find_anchors
from edge_detect.models.infer.coco import COCO_80, COCO_90
from edge_detect.models.infer.common import (
    counted,
    dims,
    fill_labels,
    fill_nms,
    fill_scores,
    fill_unit,
    is_background,
    reaching,
)
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence, Labels
from edge_detect.models.infer.inference import Source
from edge_detect.models.infer.inputs import SSD, fill_input
from edge_detect.models.infer.pairs import Order, boxes_first, fill_pair

__all__ = ["infer_postprocess", "infer_raw"]

OPERATOR = "TFLite_Detection_PostProcess"
_CORNERS = 4
_KEYS = ("boxes", "classes", "scores", "count")


def infer_postprocess(evidence: Evidence) -> Draft | None:
    """A model that ends in TFLite_Detection_PostProcess."""
    operator = evidence.graph.custom(OPERATOR)
    if operator is None:
        return None
    outputs = _operator_outputs(evidence, operator)
    why = f"the graph ends in {OPERATOR}"
    draft = Draft(evidence, "ssd", "SSD with NMS in the graph", "constants", why)
    draft.set("head", "postprocess", "constants", why)
    options = _options(operator)
    for key, tensor in outputs.items():
        draft.set(f".outputs.{key}", tensor.name, "constants", "order of the operator's outputs")
    _fill_ids(draft, _classes(evidence, operator, options))
    fill_input(draft, SSD)
    fill_nms(draft, 0.4, _within(options.get("nms_iou_threshold"), 0.6))
    rows = int(options.get("max_detections", 0))
    if rows > 0:
        draft.set("nms.max_detections", rows, "constants", "max_detections of the operator")
    return draft


def _operator_outputs(evidence: Evidence, operator: FileOperator) -> dict[str, FileTensor]:
    found = {}
    for key, index in zip(_KEYS, operator.outputs, strict=False):
        tensor = evidence.graph.follow(index)
        if tensor is None:
            raise ModelError(
                f"{evidence.path}: output {key!r} of {OPERATOR} is no output of the model",
                "convert the model with all four outputs",
            )
        found[key] = tensor
    return found


def _options(operator: FileOperator) -> dict[str, float]:
    try:
        return read_options(operator.options)
    except ValueError:
        return {}


def _within(value: float | None, default: float) -> float:
    return round(float(value), 4) if value is not None and 0 < value <= 1 else default


def _classes(evidence: Evidence, operator: FileOperator, options: dict[str, float]) -> int:
    """How many classes the operator tells apart; 0 where nothing tells."""
    said = int(options.get("num_classes", 0))
    if said > 0:
        return said
    if len(operator.inputs) > 1:
        shape = evidence.graph.tensors[operator.inputs[1]].shape
        return max(0, shape[-1] - 1) if len(shape) == 3 else 0
    return 0


def _fill_ids(draft: Draft, classes: int) -> None:
    """Labels, and what is added to the operator's class number to find one.

    The operator counts classes from 0, without the background.
    """
    evidence = draft.evidence
    usable = [each for each in evidence.labels if each.own or _fits(each, classes)]
    if not usable:
        guessed = evidence.guess_labels(classes or 90)
        draft.set_labels(guessed)
        draft.guess(".label_offset", 0, "class 0 of the operator is the first object")
        return
    labels = usable[0]
    names, offset, why = labels.names, 0, "class 0 of the operator is the first object"
    if len(names) > 1 and is_background(names[0]):
        offset, why = 1, f"the list of labels begins with {names[0]!r}"
    objects = names[offset:]
    if classes == len(COCO_90) and len(objects) == len(COCO_80):
        # Names without the gaps of the ids that the model was trained for.
        taken = iter(objects)
        spread = tuple(each if each == "n/a" else next(taken) for each in COCO_90)
        names, why = names[:offset] + spread, "80 names for the 90 ids of COCO"
    elif classes and len(objects) not in (classes, classes + 1 - offset):
        draft.remark(f"{labels.where}: {counted(len(objects))} for {classes} classes")
    draft.set_labels(labels, _reaching(names, classes + offset))
    draft.set(".label_offset", offset, labels.source, why, certain=offset > 0 or bool(classes))


def _fits(labels: Labels, classes: int) -> bool:
    count = len(labels.names) - labels.implied
    return not classes or count in (classes, classes + 1 - labels.implied, len(COCO_80))


def _reaching(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The names, with numbers for classes that the list does not reach."""
    if len(names) >= count:
        return names
    coco = ("n/a", *COCO_90)
    same = sum(mine == theirs for mine, theirs in zip(names, coco, strict=False))
    more = coco if same > 0.8 * len(names) and len(coco) >= count else ()
    return names + tuple(more[len(names) : count]) if more else reaching(names, count)


def infer_raw(evidence: Evidence) -> Draft | None:
    """Offsets to anchors and scores, where the number of anchors tells which these are."""
    pair = _pair(evidence)
    if pair is None:
        return None
    boxes, scores, order = pair
    count, values = dims(boxes)[-2], dims(boxes)[-1]
    columns = dims(scores)[-1] if len(dims(scores)) > 1 else 1
    known = find_anchors(evidence, count, values)
    if known is None:
        return None
    if values == _CORNERS and evidence.has_operator("EXP"):
        return _decoded(evidence, pair, known, columns)
    draft = Draft(evidence, "ssd", known.kind, known.source, known.why, certain=known.certain)
    fill_pair(draft, boxes, scores, order)
    draft.set(".anchors", known.anchors, known.source, known.why, certain=known.certain)
    for key, value in known.keys.items():
        draft.set(f".{key}", value, known.source, known.why, certain=known.certain)
    if known.scores:
        draft.set(".scores", known.scores, known.source, known.why)
    else:
        fill_scores(draft, scores, "sigmoid", "sigmoid", sure=order.certain)
    _fill_background(draft, columns, known)
    fill_input(draft, known.rule)
    fill_nms(draft, known.score, known.iou)
    return draft


def _decoded(
    evidence: Evidence,
    pair: tuple[FileTensor, FileTensor, Order],
    known: KnownAnchors,
    columns: int,
) -> Draft:
    """The same, with boxes that the graph decodes: it has the exponential of their size."""
    why = f"{known.why}; the graph has EXP, which decodes sizes"
    draft = Draft(evidence, "decoded", known.kind, "constants", why, certain=known.certain)
    boxes, scores, which = pair
    fill_pair(draft, boxes, scores, which)
    order = "yxyx" if known.keys.get("box", "yxhw") == "yxhw" else "xyxy"
    draft.guess(".box", order, f"the usual one of {known.kind}", f"boxes are {order}")
    fill_unit(draft, boxes, sure=which.certain)
    fill_scores(draft, scores, "sigmoid", "probability", sure=which.certain)
    _fill_background(draft, columns, known)
    fill_input(draft, known.rule)
    fill_nms(draft, known.score, known.iou)
    return draft


def _pair(evidence: Evidence) -> tuple[FileTensor, FileTensor, Order] | None:
    """Boxes and scores, two outputs with equally many rows, and what tells which is which."""
    if len(evidence.outputs) != 2:
        return None
    one, other = evidence.outputs
    shapes = [dims(each) for each in (one, other)]
    if any(len(shape) not in (1, 2) for shape in shapes) or shapes[0][0] != shapes[1][0]:
        return None
    values = [shape[1] if len(shape) > 1 else 1 for shape in shapes]
    first = values[0] == _CORNERS if _CORNERS in values else values[0] > values[1]
    order = Order(first, "tensors", "their shapes")
    if values[0] == values[1] == _CORNERS:
        order = boxes_first(evidence, [one], [other])
    return (one, other, order) if order.first else (other, one, order)


def _fill_background(draft: Draft, columns: int, known: KnownAnchors) -> None:
    """Labels, and which column of the scores is the background.

    Raw scores are numbered from 0, the background included.
    """
    evidence = draft.evidence
    unnamed = evidence.told_classes(columns - bool(known.background)) is None
    if columns == len(known.labels) and unnamed and not evidence.known_counts():
        draft.set_labels(Labels(known.labels, "rule", f"what {known.kind} finds", own=True))
        position = "first" if known.background else "none"
        _set_background(draft, position, known.source, known.why)
        return
    position, source, why = _find_background(evidence, columns, known)
    _set_background(draft, position or "none", source, why, certain=bool(position))
    if position == "first":
        draft.set(".label_offset", -1, source, "the labels begin with the first object")
    fill_labels(draft, columns - (position in ("first", "last")))


def _set_background(
    draft: Draft, position: str, source: Source, why: str, *, certain: bool = True
) -> None:
    """In the words of the family; where nothing tells it, one inference may."""
    shown = "" if certain else "no background"
    if draft.family == "ssd":
        key, value = ".background", position
        draft.set(key, value, source, why, certain=certain, shown=shown)
    else:
        key = ".last" if position == "last" else ".first"
        draft.set(key, int(position != "none"), source, why, certain=certain, shown=shown)
    draft.ask(key)


def _find_background(
    evidence: Evidence, columns: int, known: KnownAnchors
) -> tuple[str, Source, str]:
    """`first`, `last` or `none`, or empty where nothing tells; what tells it, and the fact."""
    if columns == 1 or known.background is not None:
        first = known.background and columns > 1
        return ("first" if first else "none"), known.source, known.why
    for each in sorted(evidence.labels, key=lambda labels: not labels.own):
        bounds = is_background(each.names[0]), is_background(each.names[-1])
        why = f"{columns} scores and {len(each.names)} labels"
        if len(each.names) == columns:
            return ("first" if bounds[0] else "last" if bounds[1] else "none"), each.source, why
        if len(each.names) == columns - 1 and not any(bounds):
            return "first", each.source, why
    first = columns - 1 in (len(COCO_80), len(COCO_90))
    return ("first" if first else ""), "rule", f"{columns} scores"
