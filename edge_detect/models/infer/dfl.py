"""Distances to the four sides as distributions: raw YOLOv8, NanoDet and PicoDet."""

from collections import defaultdict
from typing import Any

from edge_detect.core import ModelError
from edge_detect.models.infer.common import dims, fill_labels, fill_nms, fill_scores
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.grids import cells
from edge_detect.models.infer.inference import Source
from edge_detect.models.infer.inputs import NANODET, PICODET, YOLO, InputRule, fill_input
from edge_detect.models.infer.levels import Level, levels_of
from edge_detect.models.infer.pairs import Order, boxes_first

__all__ = ["infer_dfl", "infer_flat_dfl", "infer_nanodet"]

_BINS = {16: "YOLOv8 with raw grids", 8: "PicoDet"}
_RULES: dict[int, InputRule] = {16: YOLO, 8: PICODET}
_GFL_BINS = 8
_COCO_CLASSES = 80
_BOX_AND_OBJECTNESS = 5
_ANCHORS = 3


def infer_dfl(evidence: Evidence) -> Draft | None:
    """A grid per scale, with boxes and classes together or apart."""
    found = levels_of(evidence, flat=True)
    if found is None or len({each.layout for each in found}) != 1:
        return None
    levels: dict[int, list[Level]] = defaultdict(list)
    for each in found:
        levels[each.stride].append(each)
    sizes = {len(level) for level in levels.values()}
    if len(levels) < 2 or sizes not in ({1}, {2}):
        return None
    return _joined(evidence, found) if sizes == {1} else _split(evidence, levels)


def _joined(evidence: Evidence, found: list[Level]) -> Draft | None:
    channels = {each.channels for each in found}
    sides = 4 * 16
    if len(channels) != 1 or min(channels) <= sides:
        return None
    classes = min(channels) - sides
    if not _holds_distances(evidence, found, classes):
        return None
    draft = _begin(evidence, 16, found[0], f"{sides} + {classes} channels")
    rows = [{"stride": each.stride, "outputs": {"joined": each.tensor.name}} for each in found]
    draft.set(".levels", rows, "tensors", f"{sides} + {classes} channels")
    draft.set(".joined", "boxes-classes", "rule", f"as all of {draft.kind}")
    draft.set(".scores", "sigmoid", "rule", "logits, as the distances")
    return _finish(draft, 16, classes)


def _holds_distances(evidence: Evidence, found: list[Level], classes: int) -> bool:
    """Whether grids hold distances and classes, rather than the boxes of three anchors.

    Args:
        evidence: Of the file.
        found: The grids, with equally many channels.
        classes: How many, if they hold distances.

    Raises:
        ModelError: They can be both.
    """
    channels = found[0].channels
    of_anchors = channels // _ANCHORS - _BOX_AND_OBJECTNESS
    if evidence.overrides.family:
        return True
    if evidence.overrides.get("anchors") or found[0].layout == "anchors":
        return False
    # No network with anchors writes the cells of a grid as one dimension.
    if channels % _ANCHORS or any(len(dims(each.tensor)) == 2 for each in found):
        return True
    told = evidence.told_classes(classes, of_anchors)
    if told is not None:
        return told == classes
    makers = [evidence.graph.producer(each.tensor.index) for each in found]
    names = {each.name for each in makers if each is not None}
    if names == {"CONCATENATION"}:
        return True
    activated = evidence.has_operator("LEAKY_RELU", "PRELU", "TANH")
    if names == {"CONV_2D"} or activated or of_anchors == _COCO_CLASSES:
        return False
    if classes == _COCO_CLASSES:
        return True
    raise ModelError(
        f"{evidence.path}: grids of {channels} channels are 3 x (5 + {of_anchors}) of YOLOv3 to"
        f" YOLOv7, whose anchors are not in the file, or 64 + {classes} of YOLOv8",
        f"give the anchors, from small to large: {evidence.path.name}?anchors=W,H,W,H,…"
        f" ({_ANCHORS * len(found)} pairs), or for YOLOv8: {evidence.path.name}?family=dfl",
    )


def _split(evidence: Evidence, levels: dict[int, list[Level]]) -> Draft | None:
    bins, certain = _bins_of(evidence, levels)
    if not bins:
        return None
    both = all(one.channels == 4 * bins for level in levels.values() for one in level)
    order = Order(first=True, source="tensors", why="their shapes")
    if both:
        ones, others = ([level[number].tensor for level in levels.values()] for number in (0, 1))
        order = boxes_first(evidence, ones, others)
    rows, scores = [], []
    for stride, level in levels.items():
        pair = level if (order.first if both else level[0].channels == 4 * bins) else level[::-1]
        boxes, rest = pair
        outputs = {"boxes": boxes.tensor.name, "classes": rest.tensor.name}
        rows.append({"stride": stride, "outputs": outputs})
        scores.append(rest)
    if len({each.channels for each in scores}) != 1:
        return None
    classes = scores[0].channels
    why = f"{4 * bins} and {classes} channels"
    draft = _begin(evidence, bins, scores[0], why, certain=certain)
    why = f"{4 * bins} and {classes} channels: {order.why}"
    draft.set(".levels", rows, order.source, why, certain=order.certain, shown=order.shown)
    draft.ask(".levels")
    guess = "sigmoid" if bins == 16 else "probability"
    fill_scores(draft, scores[0].tensor, "sigmoid", guess, sure=order.certain)
    return _finish(draft, bins, classes)


def _bins_of(evidence: Evidence, levels: dict[int, list[Level]]) -> tuple[int, bool]:
    """Logits per side, 0 where there are none; and whether they are read rather than guessed."""
    fits = [
        each
        for each in _BINS
        if all(any(one.channels == 4 * each for one in level) for level in levels.values())
    ]
    if len(fits) < 2:
        return (fits[0] if fits else 0), True
    # 64 and 32 channels: each may be the distances, and the other one the classes.
    told = evidence.told_classes(*(4 * each for each in fits))
    return (fits[1] if told == 4 * fits[0] else fits[0]), told is not None


def _begin(evidence: Evidence, bins: int, level: Level, why: str, *, certain: bool = True) -> Draft:
    source: Source = "tensors" if certain else "rule"
    draft = Draft(evidence, "dfl", _BINS[bins], source, why, certain=certain)
    draft.set(".bins", bins, source, why, certain=certain)
    if level.layout == "columns":
        draft.set(".layout", "columns", "tensors", str(level.tensor))
    return draft


def _finish(draft: Draft, bins: int, classes: int) -> Draft:
    fill_labels(draft, classes)
    fill_input(draft, _RULES[bins])
    fill_nms(draft, 0.25 if bins == 16 else 0.4, 0.6)
    return draft


def infer_flat_dfl(evidence: Evidence) -> Draft | None:
    """One output with 64 logits and the classes of all cells of all scales."""
    if len(evidence.outputs) != 1 or len(dims(evidence.outputs[0])) != 2:
        return None
    output = evidence.outputs[0]
    count = cells(evidence.size, (8, 16, 32))
    one, other = dims(output)
    if count not in (one, other):
        return None
    values = one if other == count else other
    classes = values - 64
    if not _likely(evidence, values, classes) and not (
        evidence.overrides.family == "dfl" and classes > 0
    ):
        return None
    why = f"{output}: 64 + {classes} values, strides 8, 16, 32"
    draft = Draft(evidence, "dfl", _BINS[16], "tensors", why)
    draft.set(".levels", [{"stride": stride} for stride in (8, 16, 32)], "tensors", why)
    draft.set(".outputs.joined", output.name, "tensors", str(output))
    draft.set(".layout", "columns" if other == count else "rows", "tensors", str(output))
    draft.set(".bins", 16, "tensors", why)
    draft.set(".scores", "sigmoid", "rule", "logits, as the distances")
    return _finish(draft, 16, classes)


def _likely(evidence: Evidence, values: int, classes: int) -> bool:
    """Whether values per candidate are logits and so many classes, rather than a decoded box.

    There is a list of as many labels or, if none fits any reading, they are as many as COCO's.
    """
    told = evidence.told_classes(classes, values - 32, values - 64, values - 4, values - 5)
    return told == classes or (told is None and classes == _COCO_CLASSES)


def infer_nanodet(evidence: Evidence) -> Draft | None:
    """NanoDet: candidates with the scores of all classes, then 8 logits per side."""
    if len(evidence.outputs) != 1 or len(dims(evidence.outputs[0])) != 2:
        return None
    output = evidence.outputs[0]
    count, values = dims(output)
    sides = 4 * _GFL_BINS
    possible = ((8, 16, 32, 64), (8, 16, 32))
    strides = next((each for each in possible if cells(evidence.size, each) == count), None)
    classes = values - sides
    likely = _likely(evidence, values, classes)
    if strides is None or classes < 1 or not (likely or evidence.overrides.family == "nanodet"):
        return None
    why = f"{output}: {classes} classes and 4 x {_GFL_BINS} logits, strides {strides}"
    draft = Draft(evidence, "dfl", "NanoDet", "tensors", why)
    rows: list[dict[str, Any]] = [{"stride": each} for each in strides]
    draft.set(".levels", rows, "tensors", why)
    draft.set(".outputs.joined", output.name, "tensors", str(output))
    draft.set(".bins", _GFL_BINS, "tensors", why)
    draft.set(".joined", "classes-boxes", "rule", "as all of NanoDet")
    centre = 0.0 if len(strides) == 4 else 0.5
    draft.guess(".centre", centre, "NanoDet-Plus has four grids and begins at the corner")
    draft.guess(".scores", "probability", "NanoDet exports apply the sigmoid", "probabilities")
    draft.ask(".scores")
    fill_labels(draft, classes)
    fill_input(draft, NANODET)
    fill_nms(draft, 0.35, 0.6)
    return draft
