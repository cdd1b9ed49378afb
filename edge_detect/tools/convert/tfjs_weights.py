"""Read the two halves of a TensorFlow.js graph model: its graph as JSON, its weights as arrays.

`model.json` holds the graph in the JSON form of TensorFlow's GraphDef and, as
`weightsManifest`, which weights lie in which files beside it: the files of a group follow one
another, and so do its weights in them. Weights may be quantized to one or two bytes, with one
scale and minimum for each.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError

__all__ = ["MODEL_FILE", "read_model_json", "read_weights", "weight_files"]

MODEL_FILE = "model.json"
_TYPES = {"float32": "<f4", "int32": "<i4", "bool": "?", "uint8": "u1", "float16": "<f2"}
_QUANTIZED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}


def read_model_json(path: Path) -> dict[str, Any]:
    """Read a `model.json`.

    Args:
        path: The file, or the folder that it lies in under this name.

    Raises:
        ModelError: It cannot be read, or is no graph model.
    """
    file = path / MODEL_FILE if path.is_dir() else path
    try:
        model = json.loads(file.read_bytes())
    except OSError as error:
        raise ModelError(
            f"cannot read {file}: {error.strerror}",
            "give the model.json of a TensorFlow.js graph model, or its folder",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not valid JSON: {error}") from error
    topology = model.get("modelTopology") if isinstance(model, dict) else None
    if isinstance(topology, dict) and ("model_config" in topology or "config" in topology):
        raise ModelError(
            f"{file} is a layers model of Keras, not a graph model",
            "convert the original with tensorflowjs_converter --output_format=tfjs_graph_model",
        )
    if not isinstance(topology, dict) or not isinstance(topology.get("node"), list):
        raise ModelError(f"{file} is not a TensorFlow.js graph model: no modelTopology.node")
    return dict(model)


def weight_files(model: Mapping[str, Any], folder: Path) -> list[list[Path]]:
    """The files that the weights lie in, by group.

    Raises:
        ModelError: The manifest is malformed, or names a file outside the folder.
    """
    return [[_inside(folder, path) for path in _listed(group, "paths")] for group in _groups(model)]


def read_weights(model: Mapping[str, Any], folder: Path) -> dict[str, NDArray[Any]]:
    """Read all weights, dequantized.

    Args:
        model: From `read_model_json`.
        folder: Where `model.json` lies.

    Returns:
        By name of the constant: float32, int32 or bool arrays. Texts are left out.

    Raises:
        ModelError: A file is missing, too short or too long, or a type is unknown.
    """
    weights: dict[str, NDArray[Any]] = {}
    for group, files in zip(_groups(model), weight_files(model, folder), strict=True):
        content = b"".join(_read(file) for file in files)
        where = files[0].name if files else folder.name
        offset = 0
        for entry in _listed(group, "weights"):
            offset = _read_one(entry, content, offset, weights, where)
        if offset != len(content):
            raise ModelError(
                f"{where}: {len(content)} bytes of weights, but {MODEL_FILE} describes {offset}",
                "the files of the model are not of one conversion; get all of them again",
            )
    return weights


def _groups(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups = model.get("weightsManifest")
    if not isinstance(groups, list) or not all(isinstance(one, dict) for one in groups):
        raise ModelError(f"{MODEL_FILE} has no weightsManifest")
    return groups


def _listed(group: dict[str, Any], key: str) -> list[Any]:
    value = group.get(key)
    if not isinstance(value, list):
        raise ModelError(f"{MODEL_FILE}: weightsManifest without {key}")
    return value


def _inside(folder: Path, path: Any) -> Path:
    parts = PurePosixPath(str(path))
    if parts.is_absolute() or ".." in parts.parts:
        raise ModelError(f"{MODEL_FILE} names weights outside its folder: {path}")
    return folder / parts


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read {file}: {error.strerror}", "all weight files belong beside model.json"
        ) from error


def _read_one(
    entry: Any, content: bytes, offset: int, weights: dict[str, NDArray[Any]], where: str
) -> int:
    """Read one weight; returns where the next begins."""
    try:
        name, dtype = str(entry["name"]), str(entry["dtype"])
        shape = [int(side) for side in entry["shape"]]
        quantization = entry.get("quantization") or {}
        stored = quantization.get("dtype", dtype)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{MODEL_FILE}: malformed weight {entry!r:.80}") from error
    count = math.prod(shape)
    if min(shape, default=0) < 0:
        raise ModelError(f"{MODEL_FILE}: weight {name} has the shape {shape}")
    if dtype == "string":
        return _skip_texts(content, offset, count, where)
    types = _QUANTIZED if quantization else _TYPES
    if stored not in types or dtype not in _TYPES:
        raise ModelError(f"{MODEL_FILE}: weight {name} has the unknown type {dtype} ({stored})")
    element = np.dtype(types[stored])
    end = offset + count * element.itemsize
    if end > len(content):
        raise ModelError(
            f"{where}: the weights end at byte {len(content)}, within {name}",
            "a file is cut short; get all files of the model again",
        )
    values = np.frombuffer(content, element, count, offset).reshape(shape)
    weights[name] = _dequantized(values, dtype, quantization, name)
    return end


def _dequantized(
    values: NDArray[Any], dtype: str, quantization: dict[str, Any], name: str
) -> NDArray[Any]:
    if quantization and values.dtype.kind == "u":
        try:
            scale, minimum = float(quantization["scale"]), float(quantization["min"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{MODEL_FILE}: weight {name} has no scale or min") from error
        # In float32, as TensorFlow.js computes it.
        values = values.astype(np.float32) * np.float32(scale) + np.float32(minimum)
        if dtype == "int32":
            values = np.round(values)
    if dtype in ("float32", "float16"):
        return np.asarray(values, np.float32)
    return values.astype(bool) if dtype == "bool" else values.astype(np.int32)


def _skip_texts(content: bytes, offset: int, count: int, where: str) -> int:
    # Each is its length in four bytes, then its bytes.
    for _ in range(count):
        end = offset + 4 + int.from_bytes(content[offset : offset + 4], "little")
        if end > len(content):
            raise ModelError(f"{where}: the weights end within a text")
        offset = end
    return offset
