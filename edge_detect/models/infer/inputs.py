"""What pixels become before a model sees them: rules by family."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_detect.models.file.graph import FileTensor
from edge_detect.models.infer.draft import Draft, Numbers, range_words
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.inference import Source

__all__ = [
    "BLAZE",
    "DETR",
    "FOMO",
    "NANODET",
    "PICODET",
    "SSD",
    "YOLO",
    "YOLOX",
    "InputRule",
    "fill_input",
]


@dataclass(slots=True, frozen=True)
class InputRule:
    """What a family's models take, where nothing tells.

    Attributes:
        mean: The pixel value that becomes 0.
        std: `real = (pixel - mean) / std`.
        color: Order of the channels.
        resize: `letterbox` or `stretch`.
        pad: Pixel value of the padding.
        quantized: Encoding of quantized inputs whose scale does not tell.
    """

    mean: Numbers
    std: Numbers
    color: str = "rgb"
    resize: str = "letterbox"
    pad: int = 114
    quantized: str = "normalized"


YOLO = InputRule(0.0, 255.0)
YOLOX = InputRule(0.0, 1.0, color="bgr")
SSD = InputRule(127.5, 127.5, resize="stretch", pad=128, quantized="pixels")
BLAZE = InputRule(127.5, 127.5, pad=0)
FOMO = InputRule(0.0, 255.0, resize="stretch", pad=0)
DETR = InputRule(0.0, 255.0, resize="stretch")
NANODET = InputRule(
    [103.53, 116.28, 123.675], [57.375, 57.12, 58.395], color="bgr", resize="stretch", pad=0
)
# Mean and deviation of ImageNet, for R, G, B pixels.
_IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
PICODET = InputRule(*_IMAGENET, resize="stretch", pad=0)
# Edge Impulse's names for what pixels become.
_SCALINGS: dict[str, tuple[Numbers, Numbers]] = {
    "0..1": (0.0, 255.0),
    "-1..1": (127.5, 127.5),
    "-128..127": (128.0, 1.0),
    "0..255": (0.0, 1.0),
    "torch": _IMAGENET,
}
_ARITHMETIC = ("MUL", "DIV", "SUB", "ADD")


def fill_input(draft: Draft, rule: InputRule) -> None:
    """Fill in `[input]`, but for its size."""
    evidence = draft.evidence
    _fill_color(draft, rule)
    notes = evidence.metadata.inputs[:1] if evidence.metadata else ()
    if notes and notes[0].mean and _stated(evidence) is None:
        draft.remark("its metadata's normalization is ignored: a mean and a std above 0 are needed")
    if evidence.image.dtype == "float32":
        mean, std, source, why = _float_range(evidence, rule)
        _set_range(draft, mean, std, source, why)
    else:
        _fill_quantized(draft, rule)
    by_vendor = evidence.ultralytics is not None and rule is YOLO
    draft.set(
        "input.resize",
        rule.resize,
        "ultralytics" if by_vendor else "rule",
        "as Ultralytics' models are trained" if by_vendor else f"the usual one of {draft.kind}",
        certain=by_vendor,
    )
    if rule.resize == "letterbox":
        draft.guess("input.pad", rule.pad, f"the usual one of {draft.kind}")


def _fill_color(draft: Draft, rule: InputRule) -> None:
    evidence = draft.evidence
    notes = evidence.metadata.inputs[:1] if evidence.metadata else ()
    if evidence.image.shape[-1] == 1:
        draft.set("input.color", "grey", "tensors", "the input has one channel", shown="grey")
    elif notes and notes[0].color == "rgb":
        draft.set("input.color", "rgb", "metadata", "color space of the input")
    elif evidence.ultralytics is not None:
        draft.set("input.color", "rgb", "ultralytics", "its exports take R, G, B")
    elif evidence.edge_impulse is not None:
        draft.set("input.color", "rgb", "edge impulse", "its models take R, G, B")
    else:
        draft.guess("input.color", rule.color, f"the usual one of {draft.kind}", rule.color)


def _set_range(draft: Draft, mean: Numbers, std: Numbers, source: Source, why: str) -> None:
    certain = source != "rule"
    if draft.get("input.color") == "grey" and isinstance(mean, list):
        mean, std = sum(mean) / len(mean), float(np.mean(std))
    shown = "" if certain else range_words(mean, std)
    draft.set("input.mean", mean, source, why, certain=certain, shown=shown)
    draft.set("input.std", std, source, why, certain=certain)


def _float_range(evidence: Evidence, rule: InputRule) -> tuple[Numbers, Numbers, Source, str]:
    """Mean and deviation of a float input, with their source and the reason."""
    stated = _stated(evidence)
    if stated is not None:
        return *stated, "metadata", "normalization of the input"
    if evidence.ultralytics is not None:
        return 0.0, 255.0, "ultralytics", "its exports take 0 to 1"
    scaling = evidence.edge_impulse.scaling if evidence.edge_impulse else ""
    if scaling in _SCALINGS:
        return *_SCALINGS[scaling], "edge impulse", f"image input scaling {scaling}"
    first = _first_arithmetic(evidence)
    if first:
        return 0.0, 1.0, "constants", f"the graph scales pixels itself: {first}"
    return rule.mean, rule.std, "rule", "the usual one of the family"


def _stated(evidence: Evidence) -> tuple[Numbers, Numbers] | None:
    """Mean and deviation of the TFLite metadata, where they can be ones."""
    notes = evidence.metadata.inputs[:1] if evidence.metadata else ()
    if not notes or not notes[0].mean or not notes[0].std:
        return None
    if not np.isfinite([*notes[0].mean, *notes[0].std]).all() or min(notes[0].std) <= 0:
        return None
    return _plain(notes[0].mean), _plain(notes[0].std)


def _plain(values: tuple[float, ...]) -> Numbers:
    """One number where all are the same, else three."""
    if len(set(values)) == 1 or len(values) != 3:
        return float(values[0])
    return [float(each) for each in values]


def _first_arithmetic(evidence: Evidence) -> str:
    """What the graph does to pixels first, if only pixels from 0 to 255 give sense to it."""
    index = evidence.image.index
    first = next((each for each in evidence.graph.operators if index in each.inputs), None)
    if first is None or first.name not in _ARITHMETIC or len(first.inputs) != 2:
        return ""
    other = first.inputs[1] if first.inputs[0] == index else first.inputs[0]
    values = evidence.graph.constant(other)
    if values is None or values.size not in (1, 3) or not np.isfinite(values).all():
        return ""
    size = float(np.abs(values).max())
    scales = {"MUL": size < 0.05, "DIV": size > 20}.get(first.name, size > 20)
    return f"{first.name} {size:.4g}" if scales and size > 0 else ""


def _fill_quantized(draft: Draft, rule: InputRule) -> None:
    evidence, image = draft.evidence, draft.evidence.image
    if _covers_pixels(image):
        why = f"the input's scale {image.scale:.6g} and zero point {image.zero_point} cover them"
        draft.set("input.encoding", "pixels", "tensors", why)
        return
    stated = _stated(evidence)
    if stated is not None and image.dtype == "uint8":
        draft.set("input.encoding", "pixels", "metadata", "a uint8 input with metadata takes them")
        return
    if stated is not None:
        draft.set("input.encoding", "normalized", "metadata", "normalization of the input")
        _set_range(draft, *stated, "metadata", "normalization of the input")
        return
    encoding: Any = rule.quantized if image.quantized else "pixels"
    source: Source = "rule"
    if evidence.ultralytics is not None:
        source = "ultralytics"
    why = f"the usual one of {draft.kind}"
    certain = source != "rule"
    shown = "" if certain else f"{encoding} input"
    draft.set("input.encoding", encoding, source, why, certain=certain, shown=shown)
    if encoding == "normalized":
        mean, std, origin, reason = _float_range(evidence, rule)
        _set_range(draft, mean, std, origin, reason)


def _covers_pixels(image: FileTensor) -> bool:
    """Whether the 256 steps of the input are the 256 pixel values, whatever they stand for.

    So it is where they cover 0 to 1, -1 to 1 or 0 to 255: `(pixel - mean) / std` through the
    scale gives the pixel then, or the pixel less 128.
    """
    if not image.quantized or image.dtype not in ("uint8", "int8"):
        return False
    low, high = image.limits
    step = image.scale
    for least, greatest in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0)):
        # Some converters divide by 256, and place -1 half a step beside.
        slack = 1.6 * step
        if abs(low - least) <= slack and abs(high - greatest) <= slack:
            return True
    return False
