"""What Ultralytics and Edge Impulse write behind and beside their models."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_detect.models.file.labels import names_of

__all__ = ["EdgeImpulseNotes", "UltralyticsNotes", "read_edge_impulse", "read_ultralytics"]

# In the order in which they are believed.
_ULTRALYTICS_FILES = ("metadata.json", "temp_meta.txt", "meta.txt")
_MAX_LITERAL_BYTES = 200_000


@dataclass(slots=True, frozen=True)
class UltralyticsNotes:
    """Metadata of an export of Ultralytics.

    Attributes:
        file: Where it stood.
        description: Such as `Ultralytics YOLOv8n model trained on coco.yaml`.
        task: `detect`, `segment`, `pose`, `obb`, `classify`; empty in old exports.
        labels: By class id.
        size: Height and width of the input; empty where unsaid.
        stride: Of the coarsest grid; 0 where unsaid.
        end2end: Whether the graph suppresses by itself; None where unsaid.
        nms: Whether the export was made with `nms=True`.
        channels: Of the input; 0 where unsaid.
        keypoints: Shape of a pose; empty for others.
    """

    file: str
    description: str = ""
    task: str = ""
    labels: tuple[str, ...] = ()
    size: tuple[int, ...] = ()
    stride: int = 0
    end2end: bool | None = None
    nms: bool = False
    channels: int = 0
    keypoints: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class EdgeImpulseNotes:
    """Metadata of a model of Edge Impulse.

    Attributes:
        file: Where it stood.
        labels: Without the background.
        head: Its name for the last layer: `fomo`, `mobilenet-ssd`, `yolov5`, `yolox` …
        scaling: Its name for what pixels become: `0..1`, `-1..1`, `0..255` …
        mode: `object-detection`, `classification` …
    """

    file: str
    labels: tuple[str, ...] = ()
    head: str = ""
    scaling: str = ""
    mode: str = ""


def read_ultralytics(files: Mapping[str, bytes]) -> UltralyticsNotes | None:
    """Read the metadata of Ultralytics among the files behind a model.

    Args:
        files: Content by name.
    """
    for wanted in _ULTRALYTICS_FILES:
        for name, content in files.items():
            if name.rpartition("/")[2] != wanted:
                continue
            said = _json(content) if wanted.endswith(".json") else _literal(content)
            # YOLOv5 says no more than stride and names.
            if isinstance(said, dict) and names_of(said.get("names")):
                return _ultralytics(name, said)
    return None


def read_edge_impulse(files: Mapping[str, bytes]) -> EdgeImpulseNotes | None:
    """Read the metadata of Edge Impulse among the files behind or beside a model.

    Args:
        files: Content by name.
    """
    for name, content in files.items():
        said = _json(content) if name.endswith(".json") else None
        if not isinstance(said, dict):
            continue
        head = said.get("objectDetectionLastLayer") or said.get("object_detection_last_layer")
        labels = names_of(said.get("classNames") or said.get("classes"))
        if labels and (head or "metadataVersion" in said or "mode" in said):
            scaling = said.get("imageInputScaling") or said.get("image_input_scaling")
            return EdgeImpulseNotes(
                name, tuple(labels), _text(head), _text(scaling), _text(said.get("mode"))
            )
    return None


def _ultralytics(file: str, said: dict[str, Any]) -> UltralyticsNotes:
    options = said.get("args")
    options = options if isinstance(options, dict) else {}
    end2end = said.get("end2end")
    return UltralyticsNotes(
        file,
        _text(said.get("description")),
        _text(said.get("task")),
        tuple(names_of(said.get("names"))),
        _numbers(said.get("imgsz")),
        max((0, *_numbers(said.get("stride")))),
        end2end if isinstance(end2end, bool) else None,
        options.get("nms") is True,
        max((0, *_numbers(said.get("channels")))),
        _numbers(said.get("kpt_shape")),
    )


def _literal(content: bytes) -> Any:
    """A Python literal; None where it is none. Names and calls are no literals."""
    if len(content) > _MAX_LITERAL_BYTES:
        return None
    try:
        return ast.literal_eval(content.decode("utf-8-sig").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _numbers(said: Any) -> tuple[int, ...]:
    values = said if isinstance(said, list | tuple) else [said]
    return tuple(
        each for each in values if isinstance(each, int) and not isinstance(each, bool) and each > 0
    )


def _text(said: Any) -> str:
    return said[:200] if isinstance(said, str) else ""
