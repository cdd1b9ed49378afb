"""From a TensorFlow SavedModel, or any TensorFlow function, to a float32 TFLite file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_detect.core import ModelError, Size
from edge_detect.models.chatter import without_announcements
from edge_detect.tools.convert.float_model import load_tensorflow

__all__ = ["convert_saved_model", "float_tflite_of"]

_SIGNATURE = "serving_default"
# TensorFlow's notices; what goes wrong comes as an exception.
_ALL_LINES = b""


def convert_saved_model(path: Path, folder: Path, size: Size | None) -> Path:
    """Convert a SavedModel.

    Args:
        path: The directory with `saved_model.pb`, or that file.
        folder: Where the result is put.
        size: Width and height of the input, where the model leaves them open.

    Raises:
        ModelError: It is no SavedModel, takes something else than one picture, or has operators
            that TFLite lacks.
        DependencyError: TensorFlow is missing.
    """
    directory = path.parent if path.name == "saved_model.pb" else path
    if not (directory / "saved_model.pb").is_file():
        fact = "has no saved_model.pb" if directory.is_dir() else "is no directory"
        raise ModelError(f"{path} {fact}", "give the directory that holds saved_model.pb")
    tf = load_tensorflow()
    try:
        with without_announcements(_ALL_LINES):
            model = tf.saved_model.load(str(directory))
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be loaded: {_first_line(error)}") from error
    signatures = dict(model.signatures)
    if not signatures:
        raise ModelError(f"{path} has no signature", "export it with a serving signature")
    function = signatures.get(_SIGNATURE) or next(iter(signatures.values()))
    specs = dict(function.structured_input_signature[1])
    if len(specs) != 1:
        raise ModelError(
            f"{path} has {len(specs)} inputs: {', '.join(specs) or 'none'}",
            "export it with the picture as its only input",
        )
    ((key, spec),) = specs.items()
    target = folder / f"{directory.name}.tflite"
    target.write_bytes(
        float_tflite_of(tf, lambda image: function(**{key: image}), spec, str(path), size)
    )
    return target


def float_tflite_of(
    tf: Any, call: Callable[[Any], Any], spec: Any, name: str, size: Size | None
) -> bytes:
    """Convert a function of one float picture.

    Args:
        tf: TensorFlow.
        call: The function.
        spec: TensorSpec of its picture.
        name: Of the model, for errors.
        size: Width and height of the input, where the function leaves them open.

    Raises:
        ModelError: As `convert_saved_model`.
    """
    if spec.dtype != tf.float32:
        raise ModelError(
            f"{name} takes {spec.dtype.name} pixels",
            "export it with a float32 input (the Object Detection API: export_tflite_graph_tf2.py)",
        )
    shape = _shape(name, spec.shape.as_list(), size)

    picture = tf.TensorSpec(shape, tf.float32, name="image")
    fixed = tf.function(call, input_signature=[picture]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([fixed])
    try:
        with without_announcements(_ALL_LINES):
            content: bytes = converter.convert()
    except Exception as error:
        # The converter raises an exception of its own that is no part of its interface.
        raise ModelError(
            f"{name} cannot become TFLite: {_first_line(error)}",
            "export it without suppression, loops or operators that only TensorFlow has",
        ) from error
    return content


def _shape(name: str, sides: list[int | None], size: Size | None) -> list[int]:
    if len(sides) != 4 or sides[3] not in (1, 3):
        shown = "x".join("?" if side is None else str(side) for side in sides)
        raise ModelError(
            f"{name} takes {shown}, which is no picture", "a detector takes 1 x height x width x 3"
        )
    height, width = (size.height, size.width) if size else (sides[1], sides[2])
    if height is None or width is None:
        raise ModelError(
            f"{name} takes pictures of any size", "give the size, as in --size 640x640"
        )
    return [1, height, width, int(sides[3] or 3)]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "error:" in line or "not supported" in line.lower()]
    return (told or lines or [type(error).__name__])[0][:200]
