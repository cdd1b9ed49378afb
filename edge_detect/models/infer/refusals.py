"""Files that are no detectors, or cannot be used as they are: named as what they are."""

from edge_detect.core import ModelError
from edge_detect.models.infer.common import dims
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.fomo import holds_fomo_logits
from edge_detect.models.inputs import describe_input

__all__ = ["check_input", "check_task", "refuse_rest"]

_DETECTOR = "edge-detect needs a detection model"
_EXPORT = "yolo export model=best.pt format=tflite int8=True"
_RECURRENT = (
    "LSTM",
    "RNN",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "VAR_HANDLE",
    "ASSIGN_VARIABLE",
)
_TASKS = {
    "segment": "a segmentation model",
    "pose": "a pose model",
    "obb": "a model of rotated boxes",
    "classify": "a classifier",
}
_LEAST_SIDE = 8
_MASKS = 32
_POSE_VALUES = 51


def check_input(evidence: Evidence) -> None:
    """Refuse inputs that are no single colour or grey picture, rows by columns by channels.

    Raises:
        ModelError: Says what the input is, and what to do.
    """
    graph, path = evidence.graph, evidence.path
    states = [each.name for each in graph.tensors if each.variable]
    recurrent = next((name for name in _RECURRENT if evidence.has_operator(name)), "")
    if states or recurrent:
        raise ModelError(
            f"{path} keeps a state from one picture to the next"
            f" ({recurrent or states[0] or 'variable tensor'})",
            f"{_DETECTOR} that takes one picture alone",
        )
    picture = describe_input(str(path), [each.info for each in graph.inputs])
    if picture.size is None and min(evidence.size) < _LEAST_SIDE:
        raise ModelError(
            f"{path} takes pictures of any size: {picture.tensor.name!r} is {evidence.image}",
            f"give a size that it was trained for: '{path.name}?size=640x640'",
        )
    asked = evidence.overrides.size
    if None not in (asked, picture.size) and asked != picture.size:
        raise ModelError(
            f"{path} takes {picture.size} only, not {asked}", f"leave the size {asked} out"
        )


def check_task(evidence: Evidence) -> None:
    """Refuse what the metadata says is no detector.

    Raises:
        ModelError: Names it.
    """
    said = evidence.ultralytics
    if said is not None and said.task in _TASKS:
        raise _no_detector(evidence, _TASKS[said.task], f"task {said.task!r} of its metadata")
    impulse = evidence.edge_impulse
    if impulse is not None and impulse.mode not in ("", "object-detection"):
        raise _no_detector(evidence, f"a model for {impulse.mode}", f"mode in {impulse.file}")
    if evidence.overrides.family:
        return
    shapes = [dims(each) for each in evidence.outputs]
    flat = [shape for shape in shapes if len(shape) == 2]
    maps = [shape for shape in shapes if len(shape) == 3]
    if len(shapes) == 2 and flat and maps and _MASKS in (maps[0][0], maps[0][-1]):
        raise _no_detector(evidence, _TASKS["segment"], f"output of masks {_words(maps[0])}")
    lone = flat[0] if len(flat) == len(shapes) == 1 else (0, 0)
    told = evidence.told_classes(_BOX_AND_POSE - 4, _BOX_AND_POSE - 5)
    if min(lone) == _BOX_AND_POSE and told is None:
        raise _no_detector(evidence, _TASKS["pose"], "56 values: 4, 1 and 17 points of 3")


_BOX_AND_POSE = 4 + 1 + _POSE_VALUES


def refuse_rest(evidence: Evidence) -> ModelError:
    """The error for a model of which no family is known."""
    outputs, size = evidence.outputs, evidence.size
    shapes = [dims(each) for each in outputs]
    if len(shapes) == 1 and (len(shapes[0]) == 1 or shapes[0][:-1] == (1,)):
        return _no_detector(evidence, "a classifier", f"one output of {outputs[0].count} scores")
    # Three dimensions are rows of candidates.
    if len(shapes) == 1 and len(outputs[0].shape) == 4:
        shape = outputs[0].shape[1:3]
        if min(shape) * 4 >= min(size):
            return _no_detector(evidence, _TASKS["segment"], f"one output {outputs[0]}")
    if holds_fomo_logits(evidence):
        return ModelError(
            f"{evidence.path}: one grid {outputs[0]} cannot be identified: quantized logits",
            f"if it is a FOMO without its softmax, name it: {evidence.path.name}?family=fomo",
        )
    said = "; ".join(f"{each.name!r} {each}" for each in outputs)
    return ModelError(
        f"{evidence.path}: no known kind of detector has these outputs: {said}",
        "if it is one of them, name it: "
        f"'{evidence.path.name}?family=…', or write a manifest beside it "
        "(docs/models.md); "
        "`edge-detect models inspect` shows what the file says",
    )


def _no_detector(evidence: Evidence, what: str, why: str) -> ModelError:
    hint = f"{_DETECTOR}; of Ultralytics' models those without -seg, -pose, -obb or -cls: {_EXPORT}"
    return ModelError(f"{evidence.path} is {what}, no detector ({why})", hint)


def _words(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
