"""A model that takes pictures of any size, and gives them back twice, channel by channel.

Its output (1, height, width, 6) is the joined head of a YOLO with a stride of one pixel, one
anchor and one class.
"""

import hashlib

from support.echo_models import MANIFEST
from support.flatbuffer_writer import Scalar
from support.made_models import Op, made_model, tensor

__all__ = ["CONCATENATION", "open_model", "varying_model", "write_open_model"]

CONCATENATION, NOT_EQUAL, WHERE = 2, 72, 109
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


def varying_model():
    """The same for 8 x 8 pixels, and the places of all values that are not 2.

    A value of 2 is a brightness of 255 in the manifest below. The interpreter refuses a number of
    places that is not the one at first, whatever its memory held then.
    """
    shape = (1, 8, 8, 3)
    return made_model(
        [tensor("image", shape)],
        [tensor("head", (1, 8, 8, 6)), tensor("places", (1, 4), "int64", signature=(-1, 4))],
        operators=[
            Op(CONCATENATION, ["image", "image"], ["head"], _OPTIONS, {0: Scalar("i", 3)}),
            Op(NOT_EQUAL, ["image", "two"], ["darker"]),
            Op(WHERE, ["darker"], ["places"]),
        ],
        constants=[tensor("two", shape, values=2.0), tensor("darker", shape, "bool")],
    )


def write_open_model(folder, size, *, content=None, **model):
    """Write the model and a manifest that sets its size, width and height; returns its path.

    Args:
        folder: Where.
        size: Width and height.
        content: Of another file with the same head.
        model: Arguments of `open_model`.
    """
    path = folder / "open.tflite"
    path.write_bytes(content or open_model(**model))
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
