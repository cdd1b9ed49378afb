"""What one inference tells about the outputs themselves: which are boxes, which is a background.

The picture is synthetic, so that nearly all candidates are background.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.infer.evidence import guessed_labels
from edge_detect.models.infer.inference import Finding, Inference, with_values

__all__ = ["answer_outputs", "leading_column"]

Values = NDArray[np.float64]

# Rounding alone takes a probability so far out of 0 to 1.
_SLACK = 0.01
# Parts of the input reach little beyond 1, pixels of the smallest input far beyond.
_LARGEST_RELATIVE = 4.0
# "Nearly all" candidates, or values.
_MOST = 0.9
# What a person says is not replaced.
_SAID = ("query", "manifest")
_ORDER = ("outputs.boxes", "levels", "background", "first")


def answer_outputs(inferred: Inference, outputs: Mapping[str, Values]) -> Inference:
    """Answer the questions that must be settled before those about units and scores.

    Args:
        inferred: With questions.
        outputs: Of one inference, as real numbers, by tensor name.

    Returns:
        The same without these questions; what stays a guess is left.
    """
    mine = [key for key in inferred.questions if _last(key) in _ORDER]
    for key in sorted(mine, key=lambda each: _ORDER.index(_last(each))):
        inferred = _apply(inferred, _ANSWERS[_last(key)](key, inferred, outputs))
    left = tuple(key for key in inferred.questions if key not in mine)
    return replace(inferred, questions=left)


def _last(key: str) -> str:
    return key.partition(".")[2]


def _apply(inferred: Inference, findings: list[Finding]) -> Inference:
    spec = with_values(inferred.spec, {each.key: each.value for each in findings})
    return inferred.with_findings(spec, findings)


def _rows(section: Any, outputs: Mapping[str, Values], name: Any) -> Values | None:
    """(candidates, values), all of them finite; None where that cannot be."""
    tensor = outputs.get(name) if isinstance(name, str) else None
    if tensor is None or not tensor.size or tensor.ndim < 2 or not np.isfinite(tensor).all():
        return None
    rows = tensor.reshape(-1, tensor.shape[-1])
    return rows.T if getattr(section, "layout", "rows") == "columns" else rows


def _pair(key: str, inferred: Inference, outputs: Mapping[str, Values]) -> list[Finding]:
    family = key.partition(".")[0]
    section = getattr(inferred.spec, family)
    names = section.outputs["boxes"], section.outputs["scores"]
    one, other = (_rows(section, outputs, name) for name in names)
    if one is None or other is None:
        return []
    tell = _offsets_first if family == "ssd" else _decoded_first
    first, why = tell(one, other)
    if first is None:
        return []
    boxes, scores = names if first else names[::-1]
    return [
        Finding(key, boxes, "probe", certain=True, why=why),
        Finding(f"{family}.outputs.scores", scores, "probe", certain=True, why=why),
    ]


def _levels(key: str, inferred: Inference, outputs: Mapping[str, Values]) -> list[Finding]:
    """Distributions and classes of every scale."""
    section = inferred.spec.dfl
    assert section is not None
    levels = [each.outputs for each in section.levels]
    found = [
        [_rows(section, outputs, each[name]) for each in levels] for name in ("boxes", "classes")
    ]
    ones, others = ([each for each in side if each is not None] for side in found)
    if len(ones) != len(levels) or len(others) != len(levels):
        return []
    first, why = _offsets_first(np.concatenate(ones), np.concatenate(others))
    if first is None:
        return []
    data = inferred.spec.model_dump(exclude_none=True, exclude_unset=True)["dfl"]["levels"]
    if not first:
        for each in data:
            names = each["outputs"]
            each["outputs"] = {"boxes": names["classes"], "classes": names["boxes"]}
    return [Finding(key, data, "probe", certain=True, why=why)]


def _offsets_first(one: Values, other: Values) -> tuple[bool | None, str]:
    """Whether the first are offsets, and the second scores; and the fact."""
    sides = one, other
    negative = [float((each < 0).mean()) >= _MOST for each in sides]
    if negative[0] != negative[1]:
        return negative[1], "nearly all scores are negative"
    leading = [leading_column(each) is not None for each in sides]
    if leading[0] != leading[1]:
        return leading[1], "one score leads in nearly all rows"
    within = [_within(each) for each in sides]
    if within[0] != within[1]:
        return within[1], "scores are from 0 to 1"
    return None, ""


def _decoded_first(one: Values, other: Values) -> tuple[bool | None, str]:
    """Whether the first are decoded boxes, and the second scores; and the fact."""
    sides = one, other
    negative = [bool((each[:, 2:4] < -_SLACK).any(axis=1).mean() > 1 - _MOST) for each in sides]
    if negative[0] != negative[1]:
        return negative[1], "sizes cannot be negative, logits can"
    reach = [float(np.quantile(each.max(axis=1), 0.75)) for each in sides]
    pixels = [each > _LARGEST_RELATIVE for each in reach]
    if pixels[0] != pixels[1]:
        return pixels[0], f"boxes reach {max(reach):.4g}"
    whole = [bool(np.abs(each.sum(axis=1) - 1).max() < 2 * _SLACK) for each in sides]
    if whole[0] != whole[1]:
        return whole[1], "scores are 1 together"
    middle = [float(np.median(each.max(axis=1))) for each in sides]
    if max(middle) > 0.05 and max(middle) > 3 * min(middle):
        return middle[0] > middle[1], "nearly all scores are low"
    return None, ""


def _within(values: Values) -> bool:
    return bool(values.min() >= -_SLACK and values.max() <= 1 + _SLACK)


def leading_column(values: Values) -> int | None:
    """The column that is the greatest in nearly all rows; None where there is none."""
    if values.shape[1] < 2:
        return None
    ordered = np.sort(values, axis=1)
    ahead = ordered[:, -1] > ordered[:, -2]
    counts = np.bincount(values.argmax(axis=1)[ahead], minlength=values.shape[1])
    best = int(counts.argmax())
    return best if counts[best] >= _MOST * len(values) else None


def _background(key: str, inferred: Inference, outputs: Mapping[str, Values]) -> list[Finding]:
    """Which column of raw scores is the background: the likely one of nearly all candidates."""
    family = key.partition(".")[0]
    section = getattr(inferred.spec, family)
    scores = _rows(section, outputs, section.outputs["scores"])
    if scores is None or scores.shape[1] < 2:
        return []
    columns = scores.shape[1]
    leading = leading_column(scores)
    if leading is None or leading not in (0, columns - 1):
        why = "no score leads in nearly all rows"
        return [Finding(key, "none" if family == "ssd" else 0, "probe", certain=True, why=why)]
    if np.median(scores[:, leading]) <= (0.5 if _within(scores) else 0.0):
        return []
    why = f"score {leading} leads in nearly all rows"
    said = inferred.find(f"{family}.label_offset")
    fixed = said is not None and said.source in _SAID
    offset = section.label_offset if fixed else -int(leading == 0)
    # The last column that is an object has the last label.
    findings = [_labels(inferred, max(1, columns - int(leading > 0) + offset))]
    if family == "ssd":
        position = "first" if leading == 0 else "last"
        findings.append(Finding(key, position, "probe", certain=True, why=why))
    else:
        for name, value in (("first", int(leading == 0)), ("last", int(leading > 0))):
            key = f"{family}.{name}"
            findings.append(Finding(key, value, "probe", certain=True, why=why))
    if leading == 0 and not fixed:
        findings.append(Finding(f"{family}.label_offset", -1, "probe", certain=True, why=why))
    return findings


def _labels(inferred: Inference, count: int) -> Finding:
    """The labels without the background: a list keeps its names, numbers begin with 0."""
    known = inferred.find("labels")
    assert known is not None
    if known.source != "rule":
        return Finding("labels", known.value[:count], known.source, known.certain, known.why)
    names, why = guessed_labels(count)
    shown = "no class names" if names[0].startswith("class ") else "COCO's labels"
    return Finding("labels", list(names), "rule", certain=False, why=why, shown=shown)


_ANSWERS = {
    "outputs.boxes": _pair,
    "levels": _levels,
    "background": _background,
    "first": _background,
}
