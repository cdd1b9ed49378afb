"""What a file is that is no TFLite model, and what makes one of it."""

import io
import re
import zipfile
from pathlib import Path

from edge_detect.core import ModelError

__all__ = ["check_is_tflite"]

_HEAD_BYTES = 4096
_ULTRALYTICS = "yolo export model={name} format=tflite int8=True"
_ONNX = "edge-detect models convert onnx {name} --calibration PICTURES"
_TFJS = "edge-detect models convert tfjs {name} --calibration PICTURES"
_DARKNET = "edge-detect models convert darknet --name NAME --names LABELS --calibration PICTURES"
_SAVED_MODEL = "edge-detect models convert savedmodel {name} --calibration PICTURES"
_PYTORCH = f"export it where it was trained; Ultralytics' models with: {_ULTRALYTICS}"
_KERAS = (
    "in TensorFlow: tf.lite.TFLiteConverter.from_keras_model("
    "tf.keras.models.load_model('{name}')).convert(), and write the result to a .tflite file"
)
_OPENVINO = f"convert the model that it was made from; Ultralytics' with: {_ULTRALYTICS}"
_NO_FILE = "is a directory, neither a .tflite file nor a manifest (.toml)"
_AGAIN = "download or copy it again"

_GRAPH = (
    "convert the directory that holds saved_model.pb with: edge-detect models convert savedmodel "
    "DIR --calibration PICTURES; a frozen graph of the Object Detection API with: edge-detect "
    "models convert ssd-frozen-graph --name NAME --graph {name} --names LABELS --calibration "
    "PICTURES"
)
# What a file begins with.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "is a Git LFS pointer, not the model itself",
        "fetch the model in its repository with: git lfs pull",
    ),
    (b"\x89HDF\r\n\x1a\n", "is a Keras model (HDF5)", _KERAS),
    (b"\x1f\x8b", "is packed with gzip", "unpack it with: tar xf {name} (or gunzip {name})"),
    (b"\x80\x02", "is a PyTorch model (pickle)", _PYTORCH),
    (b"GGUF", "is a language model (GGUF)", "choose a detection model in TFLite format"),
    (b"Rar!", "is packed with RAR", "unpack it first"),
    (b"7z\xbc\xaf", "is packed with 7-Zip", "unpack it first"),
    (b"\x7fELF", "is a program (ELF)", "give the path of a .tflite file"),
    (b"\xff\xd8\xff", "is a picture (JPEG)", "give the path of a .tflite file"),
    (b"\x89PNG", "is a picture (PNG)", "give the path of a .tflite file"),
)
# Files that are known by their name alone.
_SUFFIXES: dict[str, tuple[str, str]] = {
    ".onnx": ("is an ONNX model", f"convert it with: {_ONNX}"),
    ".pt": ("is a PyTorch model", _PYTORCH),
    ".pth": ("is a PyTorch model", _PYTORCH),
    ".torchscript": ("is a TorchScript model", _PYTORCH),
    ".pb": (
        "is a TensorFlow graph (.pb)",
        _GRAPH,
    ),
    ".weights": (
        "holds Darknet weights",
        f"convert them with: {_DARKNET} --cfg FILE --weights {{name}}",
    ),
    ".cfg": (
        "is a Darknet configuration",
        f"convert it with: {_DARKNET} --cfg {{name}} --weights FILE",
    ),
    ".xml": ("is an OpenVINO model", _OPENVINO),
    ".mlmodel": ("is a Core ML model", _OPENVINO),
    ".engine": ("is a TensorRT engine", _OPENVINO),
    ".param": ("is an ncnn model", _OPENVINO),
    ".rknn": ("is compiled for a Rockchip NPU", _OPENVINO),
    ".hef": ("is compiled for a Hailo accelerator", _OPENVINO),
    ".safetensors": ("holds weights without a graph (safetensors)", _PYTORCH),
}
_HTML = re.compile(rb"^\s*(<!doctype html|<html|<head|<!--)", re.IGNORECASE)


def check_is_tflite(path: Path) -> None:
    """Refuse a file that is no TFLite model.

    Raises:
        ModelError: Says what it is instead, and what makes a TFLite model of it.
    """
    if path.is_dir():
        raise _refuse(path, *_directory(path))
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    if head[4:8] == b"TFL3":
        return
    raise _refuse(path, *_identify(path, head))


def _refuse(path: Path, what: str, hint: str) -> ModelError:
    name = path.name or str(path)
    if _ULTRALYTICS in hint and path.is_file() and path.suffix.lower() in (".tflite", ".lite"):
        # Ultralytics takes a file by its suffix.
        name = path.with_suffix(".pt").name
        hint = f"rename it to {{name}}; {hint}"
    return ModelError(f"{path} {what}", hint.format(name=name))


def _identify(path: Path, head: bytes) -> tuple[str, str]:
    if not head:
        return "is empty", _AGAIN
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            return what, hint
    if _HTML.match(head):
        return (
            "is a web page, not a model",
            "the link led to a page about the file: download the file itself (on GitHub: Raw)",
        )
    if head.startswith(b"PK\x03\x04"):
        return _packed(path)
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    if head.lstrip()[:5] == b"<?xml" and b"<net" in head:
        return _SUFFIXES[".xml"]
    if _is_onnx(head):
        return _SUFFIXES[".onnx"]
    if not any(head):
        return "is all zeros: it was not written to its end", _AGAIN
    return "is not a TFLite model", "a model file begins with four bytes and then 'TFL3'"


def _is_onnx(head: bytes) -> bool:
    """A protobuf whose first field is a small version, and the second a producer's name."""
    return (
        len(head) > 3
        and head[0] == 0x08
        and head[1] < 0x20
        and head[2] == 0x12
        and head[3] < 0x40
        and head[4 : 4 + head[3]].isascii()
    )


def _packed(path: Path) -> tuple[str, str]:
    """What a zip holds."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(io.BytesIO(file.read())) as opened:
            names = opened.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "is a damaged zip", _AGAIN
    if any(name.endswith("data.pkl") for name in names):
        return _SUFFIXES[".pt"]
    inside = next((name for name in names if name.lower().endswith((".tflite", ".lite"))), "")
    if inside:
        kind = "is a bundle of MediaPipe" if path.suffix == ".task" else "is a zip"
        return (
            f"{kind} that holds {inside}",
            f"unpack it with: unzip {{name}}, and give the path of {inside.rpartition('/')[2]}",
        )
    if any(name.endswith("saved_model.pb") for name in names):
        return "is a zip of a SavedModel", f"unpack it, then: {_SAVED_MODEL.format(name='DIR')}"
    if any(name.endswith(("model.weights.h5", "config.json")) for name in names):
        return "is a Keras model (.keras)", _KERAS
    if path.suffix.lower() in (".pt", ".pth"):
        return _SUFFIXES[".pt"]
    return "is a zip without a TFLite model in it", "give the path of a .tflite file"


def _directory(path: Path) -> tuple[str, str]:
    if (path / "saved_model.pb").is_file():
        return "is a SavedModel", f"convert it with: {_SAVED_MODEL}"
    if (path / "model.json").is_file():
        return "is a TensorFlow.js model", f"convert it with: {_TFJS}"
    if path.suffix == ".mlpackage":
        return _SUFFIXES[".mlmodel"]
    inside = sorted(each.name for each in path.glob("*.tflite"))
    if inside:
        return _NO_FILE, f"give the path of a file in it: {', '.join(inside[:5])}"
    return _NO_FILE, "give the path of a .tflite file"
