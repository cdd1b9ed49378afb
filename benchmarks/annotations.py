"""Pictures with the boxes that are truly there: COCO, Pascal VOC, and YOLO text files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2

from edge_detect.core import ConfigError, Image

__all__ = ["Picture", "TrueBox", "TruthSet", "canonical_name", "read_picture", "read_truth"]

_PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# What Pascal VOC and other sets call classes of COCO.
SYNONYMS = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "tvmonitor": "tv",
    "tv monitor": "tv",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
}


@dataclass(frozen=True, slots=True)
class TrueBox:
    """One object: canonical class name, and x, y, width and height in pixels.

    Attributes:
        name: Of the class.
        box: x_min, y_min, width, height.
        ignored: Whether finding it counts neither for nor against (a crowd, or difficult).
    """

    name: str
    box: tuple[float, float, float, float]
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and what is in it; width and height are 0 where the labels do not say."""

    path: Path
    boxes: tuple[TrueBox, ...] = ()
    width: int = 0
    height: int = 0


@dataclass(slots=True)
class TruthSet:
    """Pictures to judge a detector by, and what was left out of them.

    Attributes:
        pictures: In the order of their names.
        remarks: What was left out, with numbers.
    """

    pictures: list[Picture]
    remarks: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Objects that count, by class."""
        counts: dict[str, int] = {}
        for picture in self.pictures:
            for box in picture.boxes:
                counts[box.name] = counts.get(box.name, 0) + (not box.ignored)
        return dict(sorted(counts.items()))


def canonical_name(label: str) -> str:
    """One name for what sets spell differently: lower case, blanks, synonyms of COCO's names."""
    plain = " ".join(label.strip().lower().replace("_", " ").replace("-", " ").split())
    return SYNONYMS.get(plain, plain)


def read_picture(picture: Picture) -> Image:
    """The picture as it is stored: labels do not know of orientations in EXIF.

    Raises:
        ConfigError: It cannot be read, or has another size than its labels say.
    """
    image: Any = cv2.imread(str(picture.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ConfigError(f"{picture.path} is not a picture that can be read")
    height, width = image.shape[:2]
    if picture.width and (picture.width, picture.height) != (width, height):
        raise ConfigError(
            f"{picture.path} has {width}x{height} pixels, its labels were made for"
            f" {picture.width}x{picture.height}",
            "take the pictures that belong to the labels",
        )
    return image


def read_truth(
    pictures: Path, labels: Path, *, names: Path | None = None, only: Path | None = None
) -> TruthSet:
    """Read a set of pictures with their labels.

    Args:
        pictures: Folder of the pictures.
        labels: COCO's `.json`, or a folder of Pascal VOC's `.xml` or of YOLO's `.txt` files.
        names: Class names of YOLO's numbers, one a line; else looked for beside the labels.
        only: A list of pictures (names with or without suffix, one a line) to judge by.

    Raises:
        ConfigError: Something is missing or cannot be understood; names file and line.
    """
    files = {
        path.name: path for path in sorted(pictures.rglob("*")) if path.suffix.lower() in _PHOTOS
    }
    if not files:
        raise ConfigError(f"{pictures} holds no pictures", "give the folder that holds them")
    if only is not None:
        chosen = {
            Path(line.split()[0]).stem for line in only.read_text().splitlines() if line.strip()
        }
        files = {name: path for name, path in files.items() if path.stem in chosen}
    if labels.is_file():
        found = _read_coco(files, labels)
    elif any(labels.rglob("*.xml")):
        found = _read_files(files, {path.stem: path for path in labels.rglob("*.xml")}, _read_voc)
    elif any(labels.rglob("*.txt")):
        found = _read_yolo(files, labels, names)
    else:
        raise ConfigError(
            f"{labels} holds no labels",
            "give COCO's .json, or a folder with Pascal VOC's .xml or YOLO's .txt files",
        )
    if not found.pictures:
        raise ConfigError(f"no picture in {pictures} has labels in {labels}", "see their names")
    return found


def _read_coco(files: dict[str, Path], path: Path) -> TruthSet:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        classes = {each["id"]: canonical_name(each["name"]) for each in data["categories"]}
        boxes: dict[int, list[TrueBox]] = {each["id"]: [] for each in data["images"]}
        for each in data["annotations"]:
            if each["image_id"] in boxes:
                crowd = bool(each.get("iscrowd"))
                box = TrueBox(classes[each["category_id"]], tuple(each["bbox"]), crowd)
                boxes[each["image_id"]].append(box)
        listed = {Path(each["file_name"]).name: each for each in data["images"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read as labels of COCO: {error!r}") from error
    pictures = [
        Picture(files[name], tuple(boxes[each["id"]]), each.get("width", 0), each.get("height", 0))
        for name, each in sorted(listed.items())
        if name in files
    ]
    return TruthSet(
        pictures,
        _remarks(
            (len(listed) - len(pictures), f"of the pictures in {path.name} are not there"),
            (len(files) - len(pictures), f"pictures are not in {path.name}"),
        ),
    )


def _read_files(files: dict[str, Path], labels: dict[str, Path], read: Any) -> TruthSet:
    pictures = [read(path, labels[path.stem]) for path in files.values() if path.stem in labels]
    return TruthSet(pictures, _remarks((len(files) - len(pictures), "pictures have no labels")))


def _read_voc(picture: Path, labels: Path) -> Picture:
    try:
        root = ET.fromstring(labels.read_text(encoding="utf-8"))  # noqa: S314 - one's own
        size = [int(root.findtext(f"size/{side}") or 0) for side in ("width", "height")]
        boxes = tuple(_voc_box(each) for each in root.iter("object"))
    except (OSError, ValueError, ET.ParseError) as error:
        raise ConfigError(f"{labels} cannot be read as labels of Pascal VOC: {error}") from error
    return Picture(picture, boxes, *size)


def _voc_box(element: ET.Element) -> TrueBox:
    corners = [
        float(element.findtext(f"bndbox/{key}") or "") for key in ("xmin", "ymin", "xmax", "ymax")
    ]
    left, top, right, bottom = corners
    name = canonical_name(element.findtext("name") or "")
    difficult = (element.findtext("difficult") or "0").strip() == "1"
    # Pixels are counted from 1 there, and the last one belongs to the box.
    return TrueBox(name, (left - 1, top - 1, right - left + 1, bottom - top + 1), difficult)


def _read_yolo(files: dict[str, Path], folder: Path, names: Path | None) -> TruthSet:
    classes = _yolo_names(folder, names)
    labels = {path.stem: path for path in folder.rglob("*.txt")}
    pictures = [_read_yolo_file(path, labels.get(path.stem), classes) for path in files.values()]
    empty = sum(path.stem not in labels for path in files.values())
    return TruthSet(pictures, _remarks((empty, "pictures have no .txt: nothing is in them")))


def _read_yolo_file(picture: Path, labels: Path | None, classes: Sequence[str]) -> Picture:
    if labels is None:
        return Picture(picture)
    image = read_picture(Picture(picture))
    height, width = image.shape[:2]
    boxes = []
    for number, line in enumerate(labels.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, x, y, w, h = (float(part) for part in line.split())
            name = classes[int(index)]
        except (ValueError, IndexError) as error:
            raise ConfigError(
                f"{labels}: line {number} is not a class (of {len(classes)}) and four numbers:"
                f" {line[:60]}",
                "a line holds: class x_centre y_centre width height, the last four from 0 to 1",
            ) from error
        corner = ((x - w / 2) * width, (y - h / 2) * height)
        boxes.append(TrueBox(name, (*corner, w * width, h * height)))
    return Picture(picture, tuple(boxes), width, height)


def _yolo_names(folder: Path, names: Path | None) -> list[str]:
    """The class names that numbers stand for."""
    places = [folder, folder.parent, folder.parent.parent]
    found = [path for place in places for path in _name_files(place)]
    path = names or (found[0] if found else None)
    if path is None:
        raise ConfigError(
            f"the class names for the numbers in {folder} are not there",
            "give --names FILE, one name a line",
        )
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".yaml", ".yml"):
        import yaml

        listed = yaml.safe_load(text)["names"]
        listed = [listed[key] for key in sorted(listed)] if isinstance(listed, dict) else listed
    else:
        listed = text.strip().splitlines()
    return [canonical_name(str(name)) for name in listed]


def _name_files(folder: Path) -> Iterable[Path]:
    yield from sorted(folder.glob("classes.txt"))
    yield from sorted(folder.glob("*.names"))
    yield from sorted(folder.glob("*.yaml"))


def _remarks(*counted: tuple[int, str]) -> list[str]:
    return [f"{count} {what}" for count, what in counted if count]
