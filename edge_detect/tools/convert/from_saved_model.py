"""From a TensorFlow SavedModel, or any TensorFlow function, to a float32 TFLite file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_detect.core import ModelError, Size
from edge_detect.models.chatter import without_announcements
from edge_detect.tools.convert.float_model import load_tensorflow

__all__ = ["convert_saved_model", "first_line", "float_tflite_of", "model_files"]

_FILE = "saved_model.pb"
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
    directory = _directory(path)
    if not (directory / _FILE).is_file():
        fact = f"has no {_FILE}" if directory.is_dir() else "is no directory"
        raise ModelError(f"{path} {fact}", f"give the directory that holds {_FILE}")
    tf = load_tensorflow()
    try:
        with without_announcements(_ALL_LINES):
            model = tf.saved_model.load(str(directory))
    except Exception as error:
        # TensorFlow's errors have no class in common.
        raise ModelError(
            f"{path} cannot be loaded: {first_line(error)}",
            "copy the whole directory, with its folder variables, or export the model again",
        ) from error
    function = _signature(path, dict(model.signatures))
    specs = dict(function.structured_input_signature[1])
    if len(specs) != 1:
        raise ModelError(
            f"{path} has {len(specs)} inputs: {', '.join(specs) or 'none'}",
            "export it with the picture as its only input",
        )
    ((key, spec),) = specs.items()
    target = folder / f"{directory.resolve().name}.tflite"
    target.write_bytes(
        float_tflite_of(tf, lambda image: function(**{key: image}), spec, str(path), size)
    )
    return target


def model_files(path: Path) -> list[Path]:
    """The files of a SavedModel that hold its graph and its weights.

    Args:
        path: As in `convert_saved_model`.
    """
    directory = _directory(path)
    return [directory / _FILE, *sorted((directory / "variables").glob("variables.*"))]


def _directory(path: Path) -> Path:
    return path.parent if path.name == _FILE else path


def _signature(path: Path, signatures: dict[str, Any]) -> Any:
    """The signature for serving, or the only one."""
    if not signatures:
        raise ModelError(f"{path} has no signature", "export it with a serving signature")
    if _SIGNATURE not in signatures and len(signatures) > 1:
        raise ModelError(
            f"{path} has {len(signatures)} signatures: {', '.join(sorted(signatures))}",
            f"export it with one signature, or with one called {_SIGNATURE}",
        )
    return signatures.get(_SIGNATURE) or next(iter(signatures.values()))


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
    known = spec.shape.rank is not None
    shape = _shape(name, spec.shape.as_list() if known else None, size)
    picture = tf.TensorSpec(shape, tf.float32, name="image")
    try:
        with without_announcements(_ALL_LINES):
            fixed = tf.function(call, input_signature=[picture]).get_concrete_function()
            converter = tf.lite.TFLiteConverter.from_concrete_functions([fixed])
            content: bytes = converter.convert()
    except Exception as error:
        # The converter raises an exception of its own that is no part of its interface.
        raise ModelError(
            f"{name} cannot become TFLite: {first_line(error)}",
            "export it without suppression, loops or operators that only TensorFlow has",
        ) from error
    return content


def _shape(name: str, sides: list[int | None] | None, size: Size | None) -> list[int]:
    if sides is None:
        raise ModelError(
            f"{name} takes tensors of any shape",
            "export it with an input of 1 x height x width x 3",
        )
    if len(sides) != 4 or sides[3] not in (1, 3):
        shown = "x".join("?" if side is None else str(side) for side in sides)
        raise ModelError(
            f"{name} takes {shown}, which is no picture", "a detector takes 1 x height x width x 3"
        )
    if sides[0] not in (None, 1):
        raise ModelError(f"{name} takes {sides[0]} pictures at once", "export it with batch 1")
    height, width = (size.height, size.width) if size else (sides[1], sides[2])
    if size and (sides[1] not in (None, height) or sides[2] not in (None, width)):
        raise ModelError(
            f"{name} takes pictures of {sides[2] or '?'}x{sides[1] or '?'}, not {size}",
            "leave out the size, or export the model with that size",
        )
    if height is None or width is None:
        raise ModelError(
            f"{name} takes pictures of any size", "give the size, as in --size 640x640"
        )
    return [1, height, width, int(sides[3] or 3)]


def first_line(error: BaseException) -> str:
    """What TensorFlow says went wrong, without the lines about where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "error:" in line or "not supported" in line.lower()]
    return (told or lines or [type(error).__name__])[0][:200]
