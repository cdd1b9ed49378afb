"""A model that takes pictures of any size, and gives them back twice, channel by channel.

Its output (1, height, width, 6) is the joined head of a YOLO with a stride of one pixel, one
anchor and one class.
"""

import hashlib

from support.echo_models import MANIFEST
from support.flatbuffer_writer import Scalar
from support.made_models import Op, made_model, tensor

__all__ = ["CONCATENATION", "open_model", "write_open_model"]

CONCATENATION = 2
_OPTIONS = 10


def open_model(signature=(1, -1, -1, 3), shape=(1, 1, 1, 3), dtype="float32", constants=()):
    """The bytes of the model."""
    open_output = signature and (*signature[:3], 6)
    return made_model(
        [tensor("image", shape, dtype, signature=signature)],
        [tensor("head", (*shape[:3], 6), dtype, signature=open_output)],
        operators=[Op(CONCATENATION, ["image", "image"], ["head"], _OPTIONS, {0: Scalar("i", 3)})],
        constants=constants,
    )


def write_open_model(folder, size, **model):
    """Write the model and a manifest that sets its size, width and height; returns its path."""
    path = folder / "open.tflite"
    path.write_bytes(open_model(**model))
    text = MANIFEST.format(
        name="open",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        resize="stretch",
        color="rgb",
        top="",
        origin="",
    )
    for old, new in (
        ("size = [8, 8]", f"size = {list(size)}"),
        ("stride = 2", "stride = 1"),
        ("anchors = [[2, 2], [4, 4]]", "anchors = [[2, 2]]"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    return path
