"""`edge-detect models convert tflite`, `onnx`, `savedmodel` and `tfjs`: by way of a float file."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_detect.app.conversion import Steps, command_words, make_folder, outcome
from edge_detect.core import ConfigError, Size
from edge_detect.models.checksum import sha256_of
from edge_detect.models.infer.overrides import OVERRIDES, Overrides, parse_overrides
from edge_detect.models.names import name_from
from edge_detect.models.options import LoadOptions, split_options
from edge_detect.tools.convert.float_file import FloatFile, read_float_file
from edge_detect.tools.convert.from_float import convert_float_file, stays_in_float

__all__ = ["onnx", "saved_model", "tfjs", "tflite"]

_Convert = Callable[[Path, Path, Size | None], Path]

# Labels and metadata that may lie beside a model; larger files are none.
_NEIGHBOURS = (".txt", ".names", ".labels", ".pbtxt", ".json", ".yaml", ".yml")
_MAX_NEIGHBOUR_BYTES = 1_000_000


def tflite(arguments: argparse.Namespace) -> int:
    """Convert a float TFLite file."""
    path, overrides = _split(arguments)
    return _write(arguments, path, read_float_file(path, overrides))


def onnx(arguments: argparse.Namespace) -> int:
    """Convert an ONNX file."""
    from edge_detect.tools.convert.from_onnx import convert_onnx

    return _by_way_of_tflite(
        arguments, lambda path, folder, size: convert_onnx(path, folder, size, _say)
    )


def saved_model(arguments: argparse.Namespace) -> int:
    """Convert a TensorFlow SavedModel."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model

    return _by_way_of_tflite(arguments, convert_saved_model)


def tfjs(arguments: argparse.Namespace) -> int:
    """Convert a TensorFlow.js graph model."""
    from edge_detect.tools.convert.tfjs import is_ssd

    path, _ = _split(arguments)
    if is_ssd(path):
        from edge_detect.app.convert import tfjs_ssd

        return tfjs_ssd(arguments, path)
    from edge_detect.tools.convert.tfjs_function import convert_tfjs

    return _by_way_of_tflite(arguments, convert_tfjs)


def _by_way_of_tflite(arguments: argparse.Namespace, convert: _Convert) -> int:
    path, overrides = _split(arguments)
    with tempfile.TemporaryDirectory() as folder:
        made = convert(path, Path(folder), overrides.size)
        _link_neighbours(path, made)
        source = read_float_file(made, overrides)
        return _write(arguments, path, source)


def _split(arguments: argparse.Namespace) -> tuple[Path, Overrides]:
    """The file, and what is said about it behind its name and by options."""
    name, options = split_options(arguments.file, LoadOptions())
    said: dict[str, Any] = {}
    if arguments.names is not None:
        # From here, not from the folder of the model.
        said["labels"] = str(arguments.names.absolute())
    if arguments.size is not None:
        said["size"] = f"{arguments.size.width}x{arguments.size.height}"
    given = options.overrides or Overrides()
    twice = sorted(key for key in said if given.get(key) is not None)
    if twice:
        raise ConfigError(f"{twice[0]} is given twice: behind the file and as an option", "once")
    assert set(said) <= set(OVERRIDES)
    return Path(name), parse_overrides(said).over(given.given)


def _link_neighbours(path: Path, made: Path) -> None:
    """Let labels that lie beside the original be found beside the float file."""
    folders = (path, path.parent) if path.is_dir() else (path.parent,)
    for folder in folders:
        for file in sorted(folder.iterdir()):
            target = made.with_name(file.name)
            small = file.suffix.lower() in _NEIGHBOURS and file.is_file()
            if small and not target.exists() and file.stat().st_size <= _MAX_NEIGHBOUR_BYTES:
                target.symlink_to(file.resolve())


def _write(arguments: argparse.Namespace, path: Path, source: FloatFile) -> int:
    _say(source.summary)
    kept = stays_in_float(source)
    stem = path.parent.name if path.stem in ("model", "saved_model") else path.stem
    name = arguments.name or f"{name_from(stem)}-{'float' if kept else 'int8'}"
    out = arguments.out / f"{name}.tflite"
    if out.resolve() == path.resolve():
        raise ConfigError(f"{out} is the file to be converted", "give the new one another --name")
    make_folder(arguments.out)
    files = {path.name: sha256_of(path)} if path.is_file() else {}
    if arguments.names is not None:
        files[arguments.names.name] = sha256_of(arguments.names)
    origin = {"licence": arguments.licence, "command": command_words(), "files": files}
    float_out = arguments.out / f"{name}-float.tflite" if arguments.float and not kept else None
    with Steps() as steps:
        converted = convert_float_file(
            source,
            arguments.calibration,
            out,
            origin=origin,
            float_out=float_out,
            progress=steps.tell,
        )
    print(f"boxes are decoded {converted.decoding}")
    print(outcome(converted.spec, out))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
