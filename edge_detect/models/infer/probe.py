"""Questions that one inference answers: pixels or not, logits or not, scores or class numbers.

The picture is made here, so that the answer is the same everywhere: shades, squares and noise.
"""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import EdgeDetectError, ModelError
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.infer.answers import answer_outputs, leading_column
from edge_detect.models.infer.inference import Finding, Inference, with_values
from edge_detect.models.infer.raw_boxes import answer_raw_boxes
from edge_detect.models.preprocess import pixel_table
from edge_detect.models.runtime import open_session
from edge_detect.models.trial import check_by_trial

__all__ = ["run_once", "settle", "test_picture"]

_log = logging.getLogger(__name__)

# Parts of the input reach little beyond 1, pixels beyond 2 but for the tiniest boxes.
_LARGEST_RELATIVE = 2.0
# So many boxes tell their unit; fewer, on a synthetic picture, only make a better guess.
_FEWEST_BOXES = 3
# Rounding alone takes a probability so far out of 0 to 1.
_SLACK = 0.01
# Class numbers of float tensors, as the decoder takes them.
_WHOLE = 0.01
_settled: dict[tuple[str, int, int, str], Inference] = {}


def settle(entry: CatalogueEntry, runtime: str | None = None) -> CatalogueEntry:
    """Answer a model's open questions by running it once, if it has any.

    Args:
        entry: The model.
        runtime: As in `load_model`.

    Returns:
        The same, with the answers; unchanged where it cannot be run here.

    Raises:
        ModelError: It ends or blocks the process that runs it.
    """
    inferred = entry.inferred
    if inferred is None or not inferred.questions or entry.spec.cpu_twin or not entry.present:
        return entry
    status = entry.path.stat()
    # What was found out depends on the query, the manifest and the labels beside the file, too.
    key = (str(entry.path.resolve()), status.st_mtime_ns, status.st_size, repr(inferred))
    if key not in _settled:
        check_by_trial(entry.path, entry.spec.input.tensor_shape, runtime)
        try:
            outputs = run_once(entry, runtime)
        except EdgeDetectError as error:
            # Loading it for use says so once more.
            _log.debug("%s: no trial run: %s", entry.name, error.message)
            return entry
        _settled[key] = _answer(inferred, outputs)
    answered = _settled[key]
    return replace(entry, spec=answered.spec, inferred=answered)


def run_once(entry: CatalogueEntry, runtime: str | None = None) -> dict[str, NDArray[np.float64]]:
    """The outputs for the test picture, as real numbers, by tensor name.

    Raises:
        EdgeDetectError: The model cannot be loaded.
    """
    shape = entry.spec.input.tensor_shape
    with open_session(entry.path, threads=1, runtime=runtime, input_shape=shape) as session:
        tensor = session.inputs[0]
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            raise ModelError(f"{entry.path} takes {tensor.shape}")
        pixels = test_picture(tensor.shape[2], tensor.shape[1])[..., : tensor.shape[3]]
        table = pixel_table(entry.spec.input, tensor)
        # One row where all channels are scaled alike.
        session.input_view()[0] = table[np.arange(pixels.shape[2]) % len(table), pixels]
        session.invoke()
        return {
            name: _real(view, session.outputs[name].scale, session.outputs[name].zero_point)
            for name, view in session.output_views().items()
        }


def _real(view: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float64]:
    values = view.astype(np.float64)
    return (values - zero_point) * scale if scale else values


def test_picture(width: int, height: int) -> NDArray[np.uint8]:
    """Shades, squares and noise, (height, width, 3) uint8."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    shades = np.stack([x / width, y / height, 1 - x / width], axis=-1) * 200
    for _ in range(12):
        left, top = random.integers(0, width), random.integers(0, height)
        right, bottom = left + width // 5 + 1, top + height // 4 + 1
        shades[top:bottom, left:right] = random.integers(0, 256, 3)
    shades += random.normal(0, 12, shades.shape)
    picture: NDArray[np.uint8] = np.clip(shades, 0, 255).astype(np.uint8)
    return picture


def _answer(inferred: Inference, outputs: dict[str, NDArray[np.float64]]) -> Inference:
    """The inference with the questions answered, one after the other: the order of values first.

    Args:
        inferred: With questions.
        outputs: Real values by tensor name.
    """
    inferred = answer_outputs(answer_raw_boxes(inferred, outputs), outputs)
    for key in inferred.questions:
        family, _, last = key.partition(".")
        section = getattr(inferred.spec, family)
        if last == "outputs.scores":
            inferred = _told(inferred, _order(key, section, outputs))
            continue
        ask = {"unit": _unit, "layout": _layout}.get(last, _scores)
        finding = ask(key, section, outputs)
        if finding is not None:
            inferred = _told(inferred, [finding])
    return inferred


def _told(inferred: Inference, answers: list[Finding]) -> Inference:
    spec = with_values(inferred.spec, {each.key: each.value for each in answers})
    return inferred.with_findings(spec, answers)


def _layout(key: str, section: Any, outputs: dict[str, NDArray[np.float64]]) -> Finding | None:
    """Whether rows or columns of a square output are candidates: scores are 0 to 1, pixels not."""
    tensor = outputs.get(section.outputs.get("joined", ""))
    if tensor is None or not np.isfinite(tensor).all():
        return None
    square = tensor.reshape(tensor.shape[-2:])
    ranges = {
        layout: (float(scores.min()), float(scores.max()))
        for layout, scores in (("rows", square[:, 4:]), ("columns", square[4:]))
    }
    fits = [
        layout for layout, (low, high) in ranges.items() if low >= -_SLACK and high <= 1 + _SLACK
    ]
    if len(fits) != 1:
        return None
    why = "scores are {:.3g} to {:.3g}".format(*ranges[fits[0]])
    return Finding(key, fits[0], "probe", certain=True, why=why)


def _order(key: str, section: Any, outputs: dict[str, NDArray[np.float64]]) -> list[Finding]:
    """Which of two outputs holds scores: class numbers are whole."""
    scores, classes = (_flat(section, outputs, name) for name in ("scores", "classes"))
    if scores is None or classes is None:
        return []
    fit = _may_be(scores, classes), _may_be(classes, scores)
    if fit[0] == fit[1]:
        return []
    names = section.outputs["scores"], section.outputs["classes"]
    names = names if fit[0] else names[::-1]
    other = f"{key.removesuffix('scores')}classes"
    why = f"class numbers are whole: {names[1]}"
    return [
        Finding(each, name, "probe", certain=True, why=why)
        for each, name in zip((key, other), names, strict=True)
    ]


def _may_be(scores: NDArray[np.float64], classes: NDArray[np.float64]) -> bool:
    """Whether values can be scores and class numbers, in this order."""
    whole = bool(np.abs(classes - np.rint(classes)).max(initial=0) < _WHOLE)
    return whole and bool(scores.max(initial=0) <= 1 + _SLACK)


def _boxes_of(section: Any, outputs: dict[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """(candidates, 4) box values, as the model gives them."""
    values = _columns(section, outputs, "boxes")
    return None if values is None else values[:, :4]


def _columns(
    section: Any, outputs: dict[str, NDArray[np.float64]], key: str
) -> NDArray[np.float64] | None:
    names = section.outputs or section.levels[0].outputs
    name = names.get(key) or names.get("joined") or names.get("grid")
    tensor = outputs.get(name) if isinstance(name, str) else None
    if tensor is None or not tensor.size:
        return None
    if getattr(section, "layout", "rows") == "columns":
        whole = tensor.ndim >= 2 and tensor.size == np.prod(tensor.shape[-2:])
        return tensor.reshape(tensor.shape[-2:]).T if whole else None
    return tensor.reshape(-1, tensor.shape[-1] if tensor.ndim else 1)


def _unit(key: str, section: Any, outputs: dict[str, NDArray[np.float64]]) -> Finding | None:
    boxes = _boxes_of(section, outputs)
    if boxes is None:
        return None
    boxes = boxes[_filled(section, outputs, boxes)]
    if not len(boxes):
        return None
    # The larger half of the largest edges: a few wild boxes must not decide.
    largest = float(np.quantile(np.abs(boxes).max(axis=1), 0.75))
    unit = "pixels" if largest > _LARGEST_RELATIVE else "relative"
    certain = len(boxes) >= _FEWEST_BOXES
    shown = "" if certain else f"boxes in {'pixels' if unit == 'pixels' else 'parts of the input'}"
    why = f"{len(boxes)} boxes reach {largest:.4g}"
    return Finding(key, unit, "probe", certain=certain, why=why, shown=shown)


def _filled(
    section: Any, outputs: dict[str, NDArray[np.float64]], boxes: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(candidates,) whether a row holds a box: outputs with class numbers are padded."""
    filled: NDArray[np.bool_] = np.isfinite(boxes).all(axis=1) & (boxes != 0).any(axis=1)
    if getattr(section, "classes", "scores") != "index":
        return filled
    rows = _columns(section, outputs, "joined")
    scores = _flat(section, outputs, "scores") if rows is None else rows[:, 4]
    if scores is not None and scores.size == len(filled):
        np.logical_and(filled, scores > 0, out=filled)
    valid = _flat(section, outputs, "count")
    if valid is not None and valid.size == 1 and 0 <= valid[0] < len(filled):
        filled[int(valid[0]) :] = False
    return filled


def _flat(
    section: Any, outputs: dict[str, NDArray[np.float64]], key: str
) -> NDArray[np.float64] | None:
    """One value per candidate, or a single one."""
    tensor = outputs.get(section.outputs.get(key, ""))
    return None if tensor is None else tensor.ravel()


def _scores(key: str, section: Any, outputs: dict[str, NDArray[np.float64]]) -> Finding | None:
    values = _columns(section, outputs, "classes" if hasattr(section, "levels") else "scores")
    if values is None:
        return None
    if hasattr(section, "levels"):
        names = section.outputs or section.levels[0].outputs
        values = values if "classes" in names else values[:, : -4 * section.bins]
    elif "joined" in section.outputs:
        values = values[:, 4:]
    if not values.size or not np.isfinite(values).all():
        return None
    low, high = float(values.min()), float(values.max())
    # Probabilities may be above 1 by a fault, which is counted in use; none is far below 0.
    why = f"scores are {low:.3g} to {high:.3g}"
    if low >= -_SLACK:
        return Finding(key, "probability", "probe", certain=True, why=why)
    value, fact = _logits(section, values)
    return Finding(key, value, "probe", certain=True, why=f"{why}{fact}")


def _logits(section: Any, values: NDArray[np.float64]) -> tuple[str, str]:
    """What logits are, `sigmoid` or `softmax`; and the fact that tells it, if there is one.

    Args:
        section: Of the family, with what was guessed.
        values: (candidates, columns) logits.
    """
    if section.scores == "softmax" and getattr(section, "last", 0):
        # Nearly all queries find nothing: of a softmax, "no object" is the greatest then.
        if leading_column(values) == values.shape[1] - 1:
            return "softmax", ", and the last one leads in nearly all rows"
        return "sigmoid", ", and the last one does not lead in nearly all rows"
    usual = "softmax" if "grid" in section.outputs else "sigmoid"
    return (usual if section.scores == "probability" else str(section.scores)), ""
