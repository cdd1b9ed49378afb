"""Manifests for the tiny models in `tests/models`, which give back what is put in."""

import hashlib
import shutil
from pathlib import Path

MODELS = Path(__file__).parents[1] / "models"

MANIFEST = """\
name = "{name}"
description = "Gives back its input"
family = "yolo"
head = "raw"
file = "{name}.tflite"
sha256 = "{sha256}"
labels = ["thing"]
{top}
[input]
size = [8, 8]
resize = "{resize}"
color = "{color}"
pad = 128
mean = 127.5
std = 63.75

[[yolo.heads]]
stride = 2
anchors = [[2, 2], [4, 4]]
outputs = {{ joined = "head" }}

[nms]
iou_threshold = 0.5
score_threshold = 0.3

[origin]
licence = "Apache-2.0"
{origin}
"""


def write_model(
    folder: Path,
    model: str = "echo-uint8",
    *,
    name: str = "echo",
    resize: str = "letterbox",
    color: str = "rgb",
    top: str = "",
    origin: str = "",
) -> Path:
    """Copy one of the tiny models and write its manifest; returns the model's path."""
    path = folder / f"{name}.tflite"
    shutil.copyfile(MODELS / f"{model}.tflite", path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    text = MANIFEST.format(
        name=name, sha256=sha256, resize=resize, color=color, top=top, origin=origin
    )
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    return path


def change_manifest(path: Path, old: str, new: str) -> Path:
    """Replace one text in a model's manifest; returns the manifest's path."""
    manifest = path.with_suffix(".toml")
    text = manifest.read_text(encoding="utf-8")
    assert old in text
    manifest.write_text(text.replace(old, new), encoding="utf-8")
    return manifest
