"""What the families' rules share."""

from collections.abc import Iterable

from edge_detect.models.file.graph import FileTensor
from edge_detect.models.file.labels import is_background
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence, Labels
from edge_detect.models.infer.inference import Source

__all__ = [
    "counted",
    "dims",
    "fill_labels",
    "fill_nms",
    "fill_scores",
    "fill_unit",
    "is_background",
    "reaching",
    "scores_are",
    "unique_names",
]

# A symmetric range up to here may be that of probabilities as well as that of small logits.
_SYMMETRIC_REACH = 1.5
# Quantized boxes that cannot reach farther are in parts of the input.
_RELATIVE_REACH = 2.0


def dims(tensor: FileTensor) -> tuple[int, ...]:
    """Shape without the batch, and without ones before and behind what counts."""
    shape = tensor.shape[1:] if len(tensor.shape) > 1 else tensor.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    while len(shape) > 2 and shape[-1] == 1 and len(tensor.shape) > 3:
        shape = shape[:-1]
    return shape


def unique_names(tensors: Iterable[FileTensor]) -> bool:
    """Whether every tensor has a name of its own."""
    names = [each.name for each in tensors]
    return len(set(names)) == len(names) and all(names)


def fill_labels(draft: Draft, classes: int, others: tuple[int, ...] = ()) -> Labels:
    """Labels of a model whose tensors tell the number of classes.

    A list that begins or ends with the background has one more.

    Args:
        draft: The manifest.
        classes: How many there are.
        others: How many there would be if the outputs meant something else: a list of a common
            name that fits these is named.
    """
    evidence = draft.evidence
    for each in evidence.labels:
        names = _fitting(each, classes)
        if names is not None:
            draft.set_labels(each, names)
            return each
    for each in evidence.labels:
        if each.own or len(each.names) in others:
            count = len(each.names) - each.implied
            verb = "does" if count == 1 else "do"
            draft.remark(f"{each.where}: {counted(count)} {verb} not fit {classes} classes")
        if each.source == "query":
            names = each.names[is_background(each.names[0]) :]
            draft.set_labels(each, reaching(names, classes)[:classes])
            return each
    guessed = evidence.guess_labels(classes)
    draft.set_labels(guessed)
    return guessed


def counted(labels: int) -> str:
    """A number of labels, in words."""
    return "1 label" if labels == 1 else f"{labels} labels"


def _fitting(labels: Labels, classes: int) -> tuple[str, ...] | None:
    """The names of so many classes, without a background; None where there are more or fewer."""
    names = labels.names
    if len(names) == classes and not labels.implied:
        return names
    if len(names) == classes + 1:
        if is_background(names[0]):
            return names[1:]
        if is_background(names[-1]):
            return names[:-1]
    return None


def reaching(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The names, with numbers for classes that the list does not reach."""
    return names + tuple(f"class {index}" for index in range(len(names), count))


def fill_nms(draft: Draft, score: float, iou: float, method: str = "greedy") -> None:
    """Thresholds; the score of the metadata, if it says one."""
    said = [
        each.threshold
        for each in (draft.evidence.metadata.outputs if draft.evidence.metadata else ())
        if each.threshold is not None and 0 < each.threshold < 1
    ]
    if said:
        draft.set("nms.score_threshold", round(said[0], 4), "metadata", "score threshold")
    else:
        draft.set("nms.score_threshold", score, "rule", f"the usual one of {draft.kind}")
    draft.set("nms.iou_threshold", iou, "rule", f"the usual one of {draft.kind}")
    if method != "greedy":
        draft.set("nms.method", method, "rule", f"{draft.kind} needs no suppression")


def scores_are(evidence: Evidence, tensor: FileTensor) -> tuple[str, Source, str]:
    """What scores are: `probability`, or `logits` or empty where it is not known.

    Returns:
        That, what tells it, and the fact.
    """
    maker = evidence.graph.producer(tensor.index)
    if maker is not None and maker.name in ("LOGISTIC", "SOFTMAX"):
        return "probability", "constants", f"{maker.name} makes {tensor.name}"
    if maker is not None and maker.name == "CONCATENATION":
        makers = [evidence.graph.producer(number) for number in maker.inputs if number >= 0]
        if makers and all(each and each.name in ("LOGISTIC", "SOFTMAX") for each in makers):
            why = f"LOGISTIC or SOFTMAX makes all parts of {tensor.name}"
            return "probability", "constants", why
    low, high = tensor.limits
    if not tensor.quantized:
        return "", "rule", ""
    if high <= _SYMMETRIC_REACH and low + high <= 2 * tensor.scale and low < -0.5:
        # int16, and int8 with the zero point 0, hold probabilities in their upper half.
        return "", "rule", ""
    kind = "logits" if low < -0.5 or high > 1.5 else "probability"
    return kind, "tensors", f"{tensor.name} can be {low:.3g} to {high:.3g}"


def fill_scores(
    draft: Draft, tensor: FileTensor, logits: str, guess: str, *, sure: bool = True
) -> None:
    """Key `scores` of the section.

    Args:
        draft: The manifest.
        tensor: With the scores.
        logits: What logits are in this family: `sigmoid` or `softmax`.
        guess: Where nothing tells; one inference will.
        sure: Whether the tensor certainly holds the scores: another one tells nothing.
    """
    kind, source, why = scores_are(draft.evidence, tensor)
    if kind and sure:
        draft.set(".scores", "probability" if kind == "probability" else logits, source, why)
        return
    draft.guess(".scores", guess, f"the usual one of {draft.kind}", f"scores are {guess}")
    draft.ask(".scores")


def fill_unit(
    draft: Draft, boxes: FileTensor, *, numbered: bool = False, sure: bool = True
) -> None:
    """Whether boxes are in pixels or in parts of the input.

    Args:
        draft: The manifest.
        boxes: With the boxes.
        numbered: Whether class numbers stand in the same tensor: they need as much room as pixels.
        sure: Whether the tensor certainly holds the boxes: another one tells nothing.
    """
    notes = draft.evidence.metadata.outputs if draft.evidence.metadata else ()
    said = next((each.unit for each in notes if each.unit and each.box), "")
    high, side = boxes.limits[1], max(draft.evidence.size)
    fact = f"{boxes.name} can be {boxes.limits[0]:.3g} to {high:.3g}"
    if said:
        draft.set(".unit", said, "metadata", "coordinates of the boxes")
    elif boxes.quantized and sure and high <= _RELATIVE_REACH:
        draft.set(".unit", "relative", "tensors", fact)
    elif boxes.quantized and sure and high > side / 2 and not numbered:
        draft.set(".unit", "pixels", "tensors", fact)
    elif boxes.quantized:
        unit = "pixels" if high > side / (2 if numbered else 8) else "relative"
        draft.guess(".unit", unit, fact, f"boxes in {_unit_words(unit)}")
        draft.ask(".unit")
    else:
        vendor = draft.evidence.ultralytics is not None
        unit = "relative" if vendor else "pixels"
        why = "exports of Ultralytics to TFLite" if vendor else "what most exporters write"
        # Old exports of Ultralytics differ: one inference tells more than the name of the maker.
        draft.guess(".unit", unit, why, f"boxes in {_unit_words(unit)}")
        draft.ask(".unit")


def _unit_words(unit: str) -> str:
    return "pixels" if unit == "pixels" else "parts of the input"
