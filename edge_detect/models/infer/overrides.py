"""What a query or a caller says about a model that its file does not, or says wrongly."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_detect.core import ConfigError, Size
from edge_detect.models.infer.families import FAMILY_NAMES, canonical
from edge_detect.models.spec import ModelSpec

__all__ = ["OVERRIDES", "Overrides", "parse_overrides", "places", "useless"]

_COLORS = ("rgb", "bgr", "grey")
_BOXES = ("cxcywh", "xyxy", "yxyx", "xywh")
# Keys of a query, and what they mean.
OVERRIDES: Mapping[str, str] = {
    "labels": "file of labels",
    "family": "kind of model",
    "size": "width and height of the input",
    "color": "order of the channels",
    "resize": "letterbox or stretch",
    "pad": "pixel value of the padding",
    "mean": "pixel value that becomes 0",
    "std": "pixels per 1",
    "encoding": "pixels or normalized",
    "box": "order of a box's values",
    "unit": "unit of boxes: pixels or relative",
    "layout": "rows or columns of candidates",
    "scores": "probability, sigmoid or softmax",
    "label_offset": "added to the class number",
    "anchors": "widths and heights, from small to large",
    "score_threshold": "minimum score",
    "iou_threshold": "IoU above which the lesser box is suppressed",
    "nms": "greedy, diou, soft or none",
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "color": _COLORS,
    "resize": ("letterbox", "stretch"),
    "encoding": ("pixels", "normalized"),
    "box": _BOXES,
    "unit": ("pixels", "relative"),
    "layout": ("rows", "columns"),
    "scores": ("probability", "sigmoid", "softmax"),
    "nms": ("greedy", "diou", "soft", "none"),
}
_INPUT_KEYS = ("size", "color", "resize", "pad", "mean", "std", "encoding")
_NMS_KEYS = {
    "score_threshold": "score_threshold",
    "iou_threshold": "iou_threshold",
    "nms": "method",
}
_SECTION_KEYS = ("box", "unit", "layout", "scores", "label_offset")
_SIZE = re.compile(r"^(\d{1,5})x(\d{1,5})$", re.ASCII)


@dataclass(slots=True, frozen=True)
class Overrides:
    """What was said; the rest is inferred.

    Attributes:
        given: Values by key of `OVERRIDES`, parsed; and `names`, the labels of a manifest.
    """

    given: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.given)

    def __hash__(self) -> int:
        return hash(tuple(sorted((key, str(value)) for key, value in self.given.items())))

    def get(self, key: str) -> Any:
        """The value of a key; None where nothing was said."""
        return self.given.get(key)

    def over(self, others: Mapping[str, Any]) -> "Overrides":
        """These, and where nothing was said, the others."""
        return Overrides({**others, **self.given})

    @property
    def labels(self) -> str:
        """File of labels; empty where nothing was said."""
        return str(self.given.get("labels", ""))

    @property
    def family(self) -> str:
        """Kind of model; empty where nothing was said."""
        return str(self.given.get("family", ""))

    @property
    def size(self) -> Size | None:
        """Of the input."""
        size = self.given.get("size")
        return None if size is None else Size(*size)


def parse_overrides(said: Mapping[str, str]) -> Overrides:
    """Understand the keys of a query that describe the model.

    Args:
        said: Texts by key of `OVERRIDES`.

    Raises:
        ConfigError: A value is impossible; names the key.
    """
    return Overrides({key: _parse(key, text) for key, text in said.items()})


def places(overrides: Overrides, family: str) -> dict[str, Any]:
    """Where the values stand in a manifest: dotted keys. Labels, family and anchors are left out.

    Args:
        overrides: What was said.
        family: Of the manifest.
    """
    found = {}
    for key, value in overrides.given.items():
        plain = list(value) if isinstance(value, tuple) else value
        if key in _INPUT_KEYS:
            found[f"input.{key}"] = plain
        elif key in _NMS_KEYS:
            found[f"nms.{_NMS_KEYS[key]}"] = plain
        elif key in _SECTION_KEYS:
            found[f"{family}.{key}"] = plain
    return found


def useless(overrides: Overrides, spec: ModelSpec, *, float_input: bool | None) -> list[str]:
    """What was said that changes nothing, in words.

    Args:
        overrides: What was said.
        spec: The manifest, with what was said.
        float_input: Whether the model takes floating point; None where that is not known.
    """
    heads = spec.yolo.heads if spec.yolo is not None else []
    as_pixels = float_input is False and spec.input.encoding == "pixels"
    in_graph = spec.head == "postprocess"
    suppressed = spec.family != "fomo" and spec.nms.method != "none" and not in_graph
    where = "TFLite_Detection_PostProcess suppresses in the graph"
    applies = {
        "anchors": (any(head.anchors for head in heads), "the model has no raw YOLO grids"),
        "encoding": (not float_input, "the input is floating point"),
        "mean": (not as_pixels, "the input takes pixels as they are"),
        "std": (not as_pixels, "the input takes pixels as they are"),
        "pad": (spec.input.resize == "letterbox", "resize is stretch"),
        "iou_threshold": (suppressed, where if in_graph else "the model has no suppression"),
        "nms": (
            spec.family != "fomo" and not in_graph,
            where if in_graph else "a FOMO has no suppression",
        ),
        "scores": (not in_graph, "those of TFLite_Detection_PostProcess are taken as they are"),
    }
    return [
        f"{key} changes nothing: {why}"
        for key, (fits, why) in applies.items()
        if overrides.get(key) is not None and not fits
    ]


def _parse(key: str, text: str) -> Any:
    choices = FAMILY_NAMES if key == "family" else _CHOICES.get(key)
    if choices is not None:
        text = {"gray": "grey"}.get(text.lower(), text.lower())
        if text not in choices:
            raise ConfigError(f"{key} must be one of {', '.join(choices)}, got {text!r}")
        return canonical(text) if key == "family" else text
    if key == "labels":
        if not text:
            raise ConfigError("labels must be the path of a file, got ''")
        return text
    if key == "size":
        match = _SIZE.match(text)
        if match is None or not all(0 < int(side) <= 8192 for side in match.groups()):
            raise ConfigError(f"size must be like 320x320, got {text!r}")
        return Size(int(match[1]), int(match[2]))
    numbers = [_number(key, each) for each in text.split(",")]
    if key in ("mean", "std"):
        if len(numbers) not in (1, 3):
            raise ConfigError(f"{key} must be one number or three, got {text!r}")
        if key == "std" and min(numbers) <= 0:
            raise ConfigError(f"std must be greater than 0, got {text!r}")
        return numbers[0] if len(numbers) == 1 else tuple(numbers)
    if key == "anchors":
        if len(numbers) % 2 or min(numbers) <= 0:
            raise ConfigError(f"anchors must be pairs of width and height, got {text!r}")
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if len(numbers) != 1:
        raise ConfigError(f"{key} must be one number, got {text!r}")
    return _scalar(key, numbers[0])


def _scalar(key: str, value: float) -> float | int:
    if key in ("label_offset", "pad"):
        limits = (0, 255) if key == "pad" else (-1000, 1000)
        if value != int(value) or not limits[0] <= value <= limits[1]:
            raise ConfigError(f"{key} must be a whole number from {limits[0]} to {limits[1]}")
        return int(value)
    if not 0 <= value <= 1:
        raise ConfigError(f"{key} must be from 0 to 1, got {value:g}")
    return value


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{key} must be a number, got {text!r}")
    return value
