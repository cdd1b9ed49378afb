"""A model that puts out one box, whatever it sees, with a class number that has no label."""

import hashlib

import numpy as np

from support.made_models import made_model, tensor

__all__ = ["write_numbered"]

MANIFEST = """\
name = "numbered"
description = "Puts out one box"
family = "decoded"
file = "numbered.tflite"
sha256 = "{sha256}"
labels = ["thing"]

[input]
size = [8, 8]
resize = "stretch"

[decoded]
outputs = {{ joined = "rows" }}
classes = "index"
box = "xyxy"
unit = "pixels"
scores = "probability"
objectness = false

[nms]
method = "none"
score_threshold = 0.3
"""


def write_numbered(folder):
    """Write the model, which has class number 7, and its manifest; returns the model's path."""
    path = folder / "numbered.tflite"
    rows = np.array([[[1, 1, 7, 7, 0.9, 7]]], np.float32)
    path.write_bytes(
        made_model([tensor("image", (1, 8, 8, 3))], [tensor("rows", rows.shape, values=rows)])
    )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".toml").write_text(MANIFEST.format(sha256=sha256), encoding="utf-8")
    return path
