"""What an ONNX file says about itself, read without any package.

Reference:
    onnx.proto of ONNX 1.15 (numbers of the fields); Protocol Buffers' encoding.
"""

import mmap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from edge_detect.core import ModelError
from edge_detect.models.file.foreign import check_is_tflite

__all__ = ["OnnxFile", "OnnxInput", "read_onnx"]

_ELEMENTS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16"}
_MAX_VARINT_BYTES = 10
_EXTERNAL = 1
_Fields = Iterator[tuple[int, memoryview | int]]


@dataclass(frozen=True)
class OnnxInput:
    """An input that is no constant.

    Attributes:
        name: As in the file.
        shape: -1 for a side that is not fixed.
        element: NumPy's name of the type.
    """

    name: str
    shape: tuple[int, ...]
    element: str

    @property
    def layout(self) -> str:
        """`NCHW` or `NHWC`; empty where it is no picture."""
        if len(self.shape) != 4:
            return ""
        if self.shape[1] in (1, 3):
            return "NCHW"
        return "NHWC" if self.shape[3] in (1, 3) else ""

    def __str__(self) -> str:
        sides = "x".join("?" if side < 0 else str(side) for side in self.shape)
        return f"{self.name} ({sides} {self.element})"


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file.

    Attributes:
        path: Of the file.
        inputs: Without those that are constants.
        operators: How many there are of each domain and kind; the usual domain is empty.
        metadata: What the exporter wrote about the model.
        data_files: Files with weights, beside it.
    """

    path: Path
    inputs: tuple[OnnxInput, ...]
    operators: Counter[tuple[str, str]] = field(default_factory=Counter)
    metadata: dict[str, str] = field(default_factory=dict)
    data_files: tuple[str, ...] = ()


def read_onnx(path: Path) -> OnnxFile:
    """Read inputs, operators and metadata; weights stay on the disk.

    Raises:
        ModelError: It is no ONNX file, it is cut short, or its weights are missing.
    """
    _check_kind(path)
    try:
        found = _read(path, _mapped(path))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} is no ONNX model, or is cut short: {error}", "download or export it again"
        ) from error
    for name in found.data_files:
        location = PurePosixPath(name)
        if location.is_absolute() or ".." in location.parts:
            raise ModelError(
                f"{path} keeps its weights in {name}, outside its folder",
                "export it with the weights inside, or beside it",
            )
    missing = [name for name in found.data_files if not (path.parent / name).is_file()]
    if missing:
        raise ModelError(
            f"{path} keeps its weights in {missing[0]}, which is not beside it",
            "copy both files together, or export with the weights inside",
        )
    return found


def _check_kind(path: Path) -> None:
    try:
        check_is_tflite(path)
    except ModelError as error:
        if not error.message.endswith("is an ONNX model"):
            raise
        return
    raise ModelError(
        f"{path} is a TFLite model",
        f"convert it with: edge-detect models convert tflite {path} --calibration PATH",
    )


def _mapped(path: Path) -> memoryview:
    """A file's content, of which only what is looked at is read; closed with its last part."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _read(path: Path, content: memoryview) -> OnnxFile:
    graph, metadata = memoryview(b""), {}
    for number, value in _fields(content):
        if number == 7 and not isinstance(value, int):
            graph = value
        elif number == 14 and not isinstance(value, int):
            pair = {key: _text(part) for key, part in _fields(value)}
            metadata[pair.get(1, "")] = pair.get(2, "")
    if not graph:
        raise ValueError("it has no graph")
    inputs, constants, data_files = [], set(), []
    operators: Counter[tuple[str, str]] = Counter()
    for number, value in _fields(graph):
        if isinstance(value, int):
            continue
        if number == 1:
            operators[_operator(value)] += 1
        elif number == 5:
            name, data_file = _constant(value)
            constants.add(name)
            data_files += [data_file] if data_file else []
        elif number == 11:
            inputs.append(_input(value))
    real = tuple(each for each in inputs if each.name not in constants)
    return OnnxFile(path, real, operators, metadata, tuple(dict.fromkeys(data_files)))


def _operator(node: memoryview) -> tuple[str, str]:
    kind = domain = ""
    for number, value in _fields(node):
        if number == 4:
            kind = _text(value)
        elif number == 7:
            domain = _text(value)
    return ("" if domain == "ai.onnx" else domain), kind


def _constant(tensor: memoryview) -> tuple[str, str]:
    """Name, and the file with its values where they are elsewhere."""
    name = place = ""
    external = False
    for number, value in _fields(tensor):
        if number == 8:
            name = _text(value)
        elif number == 14:
            external = value == _EXTERNAL
        elif number == 13 and not isinstance(value, int):
            pair = {key: _text(part) for key, part in _fields(value)}
            place = pair.get(2, "") if pair.get(1) == "location" else place
    return name, place if external else ""


def _input(value_info: memoryview) -> OnnxInput:
    name, element = "", 0
    shape: tuple[int, ...] = ()
    for number, value in _fields(value_info):
        if number == 1:
            name = _text(value)
        elif number == 2 and not isinstance(value, int):
            for kind, tensor in _fields(value):
                if kind == 1 and not isinstance(tensor, int):
                    element, shape = _tensor_type(tensor)
    return OnnxInput(name, shape, _ELEMENTS.get(element, f"type {element}"))


def _tensor_type(tensor: memoryview) -> tuple[int, tuple[int, ...]]:
    element, sides = 0, []
    for number, value in _fields(tensor):
        if number == 1 and isinstance(value, int):
            element = value
        elif number == 2 and not isinstance(value, int):
            for _, side in _fields(value):
                if isinstance(side, int):
                    continue
                known = [each for key, each in _fields(side) if key == 1]
                fixed = known[0] if known and isinstance(known[0], int) and known[0] > 0 else -1
                sides.append(fixed)
    return element, tuple(sides)


def _text(value: memoryview | int) -> str:
    return "" if isinstance(value, int) else bytes(value).decode()


def _fields(content: memoryview) -> _Fields:
    """Numbers and values of a message's fields."""
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(content, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at + length > end:
            raise ValueError("a field reaches beyond the end")
        yield key >> 3, content[at : at + length]
        at += length


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(_MAX_VARINT_BYTES):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, at
    raise ValueError("a number without an end")
