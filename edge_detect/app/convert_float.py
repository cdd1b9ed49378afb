"""`edge-detect models convert tflite`, `onnx`, `savedmodel` and `tfjs`: by way of a float file."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_detect.app.conversion import (
    Steps,
    check_targets,
    make_folder,
    origin_of,
    outcome,
    temporary_files,
)
from edge_detect.core import ConfigError, ModelError, Size
from edge_detect.models.infer.evidence import names_beside
from edge_detect.models.infer.overrides import OVERRIDES, Overrides, parse_overrides
from edge_detect.models.names import name_from, name_from_content
from edge_detect.models.options import LoadOptions, split_options
from edge_detect.tools.convert.calibration import check_calibration
from edge_detect.tools.convert.float_file import FloatFile, read_float_file
from edge_detect.tools.convert.from_float import convert_float_file, stays_in_float

__all__ = ["onnx", "saved_model", "tfjs", "tflite"]

_Convert = Callable[[Path, Path, Size | None], Path]


def tflite(arguments: argparse.Namespace) -> int:
    """Convert a float TFLite file."""
    path, overrides = _split(arguments)
    _check_early(arguments, path)
    source = read_float_file(path, overrides)
    with temporary_files():
        return _write(arguments, path, source, [source.file], overrides)


def onnx(arguments: argparse.Namespace) -> int:
    """Convert an ONNX file."""
    from edge_detect.tools.convert.from_onnx import convert_onnx
    from edge_detect.tools.convert.onnx_file import read_onnx

    return _by_way_of_tflite(
        arguments,
        lambda path, folder, size: convert_onnx(path, folder, size, _say),
        lambda path: [path, *(path.parent / name for name in read_onnx(path).data_files)],
    )


def saved_model(arguments: argparse.Namespace) -> int:
    """Convert a TensorFlow SavedModel."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model, model_files

    return _by_way_of_tflite(arguments, convert_saved_model, model_files)


def tfjs(arguments: argparse.Namespace) -> int:
    """Convert a TensorFlow.js graph model."""
    from edge_detect.tools.convert.tfjs import is_ssd, model_files

    path, overrides = _split(arguments)
    if is_ssd(path):
        return _tfjs_ssd(arguments, path, overrides)
    from edge_detect.tools.convert.tfjs_function import convert_tfjs

    return _by_way_of_tflite(arguments, convert_tfjs, model_files)


def _tfjs_ssd(arguments: argparse.Namespace, path: Path, overrides: Overrides) -> int:
    from edge_detect.app.convert import tfjs_ssd

    unused = sorted(set(overrides.given) - {"labels"})
    if unused:
        raise ConfigError(
            f"{unused[0]} cannot be set for {path}: the graph of an SSD of the Object Detection "
            "API states it",
            f"leave out {unused[0]}",
        )
    if not overrides.labels:
        raise ConfigError(
            f"{path} does not hold the labels of the SSD", "give them with --names FILE, one a line"
        )
    name = _name(arguments, path, "int8")
    return tfjs_ssd(arguments, path, name, Path(overrides.labels))


def _by_way_of_tflite(
    arguments: argparse.Namespace, convert: _Convert, files_of: Callable[[Path], Sequence[Path]]
) -> int:
    """Convert a model by way of a float TFLite file.

    Args:
        arguments: Of the command.
        convert: Makes the float file: of a path, in a folder, with a size.
        files_of: Gives the files of the model.
    """
    path, overrides = _split(arguments)
    _check_early(arguments, path)
    with temporary_files(), tempfile.TemporaryDirectory() as folder:
        made = convert(path, Path(folder), overrides.size)
        _link_neighbours(path, made)
        source = read_float_file(made, overrides)
        return _write(arguments, path, source, files_of(path), overrides)


def _split(arguments: argparse.Namespace) -> tuple[Path, Overrides]:
    """The file, and what is said about it behind its name and by options."""
    name, options = split_options(arguments.file, LoadOptions())
    path = Path(name)
    said: dict[str, Any] = {}
    if arguments.names is not None:
        # From here, not from the folder of the model.
        said["labels"] = str(arguments.names.absolute())
    if arguments.size is not None:
        said["size"] = f"{arguments.size.width}x{arguments.size.height}"
    given = options.overrides or Overrides()
    twice = sorted(key for key in said if given.get(key) is not None)
    if twice:
        raise ConfigError(
            f"{twice[0]} is given twice", "give it either behind the file or as an option"
        )
    assert set(said) <= set(OVERRIDES)
    if given.labels:
        said["labels"] = _find_labels(path, given.labels)
    return path, parse_overrides(said).over(given.given)


def _find_labels(path: Path, wanted: str) -> str:
    """The file of labels that is named behind a model: from its folder, or from here."""
    beside = (path, path.parent) if path.is_dir() else (path.parent,)
    for folder in (*beside, Path()):
        if (folder / wanted).is_file():
            return str((folder / wanted).absolute())
    raise ModelError(
        f"there is no file of labels {wanted!r}",
        f"give its path, from {beside[0].resolve()} or from the working directory",
    )


def _check_early(arguments: argparse.Namespace, path: Path) -> None:
    """Refuse what would only fail at the end: pictures, names and folders."""
    check_calibration(arguments.calibration)
    check_targets(arguments, _name(arguments, path, "int8"), [path])


def _name(arguments: argparse.Namespace, path: Path, suffix: str) -> str:
    """The name that was given, else that of the file with a suffix."""
    # An empty name is refused with the other impossible ones.
    return f"{_stem(path)}-{suffix}" if arguments.name is None else str(arguments.name)


def _stem(path: Path) -> str:
    """What a model is called after its file, or after the folder of a file with a common name."""
    whole = path.resolve() if path.is_dir() else path.absolute()
    stem = whole.name if path.is_dir() else whole.stem
    name = name_from(whole.parent.name if stem in ("model", "saved_model") else stem)
    return name or _name_from_content(whole)


def _name_from_content(path: Path) -> str:
    inside = (path / name for name in ("saved_model.pb", "model.json"))
    try:
        return name_from_content(next((file for file in inside if file.is_file()), path))
    except OSError:
        # It is missing or unreadable: reading it is the next step, and gives the error.
        return "model"


def _link_neighbours(path: Path, made: Path) -> None:
    """Let labels that lie beside the original be found beside the float file."""
    folders = (path, path.parent) if path.is_dir() else (path.parent,)
    for folder in folders:
        for name in names_beside(made.stem):
            file, target = folder / name, made.with_name(name)
            if file.is_file() and not target.exists():
                target.symlink_to(file.resolve())


def _write(
    arguments: argparse.Namespace,
    path: Path,
    source: FloatFile,
    files: Sequence[Path],
    overrides: Overrides,
) -> int:
    _say(source.summary)
    kept = stays_in_float(source)
    name = _name(arguments, path, "float" if kept else "int8")
    targets = check_targets(arguments, name, [path, source.file])
    make_folder(arguments.out)
    labels = [Path(overrides.labels)] if overrides.labels else []
    origin = origin_of(arguments.licence, [*files, *labels], source.spec.origin)
    with Steps() as steps:
        converted = convert_float_file(
            source,
            arguments.calibration,
            targets.model,
            origin=origin,
            float_out=None if kept else targets.float_twin,
            progress=steps.tell,
        )
    print(f"boxes are decoded {converted.decoding}")
    print(outcome(converted.spec, targets.model))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
