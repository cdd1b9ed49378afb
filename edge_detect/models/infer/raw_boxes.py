"""Whether rows that look like those of a raw YOLOX are: one inference shows decoded boxes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.infer.draft import range_words
from edge_detect.models.infer.inference import Finding, Inference, put_values
from edge_detect.models.infer.inputs import YOLO
from edge_detect.models.spec import validate_manifest

__all__ = ["RAW_BOXES", "answer_raw_boxes"]

# The key whose guess this answers.
RAW_BOXES = "yolo.coding"

# Raw centres are offsets within a cell, in cells; decoded ones are half of the input's side.
_LARGEST_OFFSET = 8.0
# Rounding alone takes sizes so far below 0, and an objectness away from 1.
_SLACK = 0.01


def answer_raw_boxes(inferred: Inference, outputs: Mapping[str, NDArray[np.float64]]) -> Inference:
    """Tell raw boxes of YOLOX from decoded ones, as YOLOv6 has in rows of the same values.

    Args:
        inferred: With or without the question.
        outputs: Of one inference, as real numbers, by tensor name.

    Returns:
        The same without the question; of family `decoded` where the boxes are decoded.
    """
    section = inferred.spec.yolo
    if RAW_BOXES not in inferred.questions or section is None:
        return inferred
    left = tuple(key for key in inferred.questions if key != RAW_BOXES)
    inferred = replace(inferred, questions=left)
    if any(each.source == "manifest" for each in inferred.findings if _is_yolo(each)):
        return inferred
    name = section.heads[0].outputs["joined"]
    tensor = outputs.get(name)
    if tensor is None or not tensor.size or not np.isfinite(tensor).all():
        return inferred
    rows = tensor.reshape(-1, tensor.shape[-1])
    centre = float(np.median(rows[:, :2]))
    if centre > _LARGEST_OFFSET:
        constant = bool((np.abs(rows[:, 4] - 1) < _SLACK).all())
        return _decoded(inferred, name, f"centres of boxes are around {centre:.4g}", constant)
    if rows[:, 2:4].min() < -_SLACK:
        why = "sizes are below 0: logarithms"
        known = [inferred.find(key) for key in ("kind", "family", RAW_BOXES)]
        sure = [replace(each, source="probe", certain=True, why=why) for each in known if each]
        return inferred.with_findings(inferred.spec, sure)
    return inferred


def _is_yolo(finding: Finding) -> bool:
    return finding.key == "family" or finding.key.startswith("yolo.")


def _decoded(inferred: Inference, output: str, why: str, constant: bool) -> Inference:  # noqa: FBT001
    """The inference of a model whose graph decodes its boxes, in pixels.

    Args:
        inferred: As YOLOX with raw boxes.
        output: Name of the tensor.
        why: The fact.
        constant: Whether the objectness is 1 everywhere, as that of YOLOv6.
    """
    kind = "YOLOv6" if constant else "YOLOX"
    values = {
        "outputs.joined": output,
        "layout": "rows",
        "objectness": True,
        "box": "cxcywh",
        "unit": "pixels",
    }
    new = [
        Finding("kind", kind, "probe", certain=True, why=why, shown=kind),
        Finding("family", "decoded", "probe", certain=True, why=why),
        *(Finding(f"decoded.{key}", value, "probe", True, why) for key, value in values.items()),
        Finding("decoded.scores", "probability", "rule", certain=False, why=f"as all of {kind}"),
    ]
    known = inferred.find("description")
    if known is not None and known.source == "rule":
        new.append(replace(known, value=f"{kind}: {inferred.spec.file}"))
    if constant:
        new += _input_of_yolov6(inferred)
    kept = tuple(each for each in inferred.findings if not _is_yolo(each))
    data = inferred.spec.model_dump(exclude_none=True, exclude_unset=True, exclude={"yolo"})
    put_values(data, {each.key: each.value for each in new if each.key != "kind"})
    spec = validate_manifest(Path(inferred.spec.file), data)
    base = replace(inferred, findings=kept).with_findings(spec, new)
    return replace(base, questions=(*base.questions, "decoded.scores"))


def _input_of_yolov6(inferred: Inference) -> list[Finding]:
    """What pixels become in place of YOLOX's rule, where that rule decided."""
    words = range_words(YOLO.mean, YOLO.std)
    values = {
        "input.color": (YOLO.color, YOLO.color),
        "input.mean": (YOLO.mean, words),
        "input.std": (YOLO.std, ""),
    }
    known = [each for each in map(inferred.find, values) if each and each.source == "rule"]
    return [
        Finding(each.key, value, "rule", certain=False, why="the usual one of YOLOv6", shown=shown)
        for each in known
        for value, shown in [values[each.key]]
    ]
