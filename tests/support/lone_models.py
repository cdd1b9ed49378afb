"""Made models with nothing but their file, and what may lie beside it."""

import numpy as np
import pytest

from edge_detect.models import load_model

from .made_models import tensor, write_made

__all__ = ["check_found", "found_in", "write_lone"]


def write_lone(folder, outputs, size=64, beside=None, **others):
    """Write `m.tflite` of one RGB input, and text files beside it by name; its path."""
    for name, text in (beside or {}).items():
        (folder / name).write_text(text)
    image = tensor("image", (1, size, size, 3))
    return write_made(folder / "m.tflite", [image], outputs, **others)


def found_in(path, query=""):
    """What a model detects in a black picture of its size, and what was inferred of it."""
    with load_model(f"{path}{query}", accelerator="cpu") as detector:
        size = detector.input_size
        return detector(np.zeros((size.height, size.width, 3), np.uint8)), detector.inferred


def check_found(found, name, box=(24, 24, 40, 40)):
    """One object of a name, and where it is."""
    assert found.names == [name]
    assert found.boxes[0] == pytest.approx(box, abs=0.6)
