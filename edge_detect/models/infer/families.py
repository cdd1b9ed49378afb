"""Names that people have for kinds of models, for `?family=`."""

from collections.abc import Mapping

__all__ = ["FAMILY_NAMES", "canonical"]

_CANONICAL = (
    *("ssd", "yolov3", "yolov4", "yolov5", "yolov7", "yolov8", "yolox", "yolox-raw"),
    *("end2end", "detr", "nanodet", "fomo", "dfl", "indexed"),
)
_ALIASES: Mapping[str, str] = {
    "yolov9": "yolov8",
    "yolo11": "yolov8",
    "yolov11": "yolov8",
    "yolo12": "yolov8",
    "yolov12": "yolov8",
    "yolov10": "end2end",
    "yolo26": "end2end",
    "rt-detr": "detr",
    "rf-detr": "detr",
    "efficientdet": "ssd",
    "blazeface": "ssd",
}
FAMILY_NAMES: tuple[str, ...] = (*_CANONICAL, *_ALIASES)


def canonical(name: str) -> str:
    """The name of the rules that a family's models follow."""
    return _ALIASES.get(name, name)
