"""From an ONNX file to a float32 TFLite file that was checked against it."""

import ast
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError, Size
from edge_detect.core.resources import cache_directory
from edge_detect.models.infer.probe import test_picture
from edge_detect.tools.convert.logged import run_logged
from edge_detect.tools.convert.onnx_environment import OnnxEnvironment, make_environment
from edge_detect.tools.convert.onnx_file import OnnxFile, OnnxInput, read_onnx

__all__ = ["check_onnx", "convert_onnx", "last_error", "metadata_zip", "shape_options"]

Say = Callable[[str], None]

_TIMEOUT_S = 1800
# More than rounding in another order gives.
_LARGEST_DIFFERENCE = 0.02
_NOTABLE_DIFFERENCE = 1e-3
# What suppression in the graph is called by those who add it.
_SUPPRESSION = {"EfficientNMS_TRT", "BatchedNMS_TRT", "TRTBatchedNMS", "NonMaxSuppression"}
_SHOWN_NAMES = 4
# Pictures that onnx2tf tries its results on; where this file is missing it downloads them.
_SAMPLE = "calibration_image_sample_data_20x128x128x3_float32.npy"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CAUSE = re.compile(r"([A-Za-z_]\w*\.)*\w*(Error|Exception|Interrupt): |ERROR: ")
# What onnx2tf writes behind every error.
_ADVICE = (
    "trace log is below",
    "input_onnx_file_path",
    "onnx_op_name",
    "Read this and",
    "Alternatively,",
    "If the input OP",
    "Also, for models",
)
_LONGEST_CAUSE = 300
# Of `onnx_parity`.
_NOT_COMPARABLE = 1e9


def convert_onnx(
    path: Path,
    folder: Path,
    size: Size | None,
    say: Say,
    pythons: Sequence[tuple[str, tuple[int, int]]] | None = None,
) -> Path:
    """Convert an ONNX file.

    Args:
        path: Of the ONNX file.
        folder: Where to work; the result stays in it.
        size: Width and height of the input, where the file leaves them open.
        say: Called with lines for the user.
        pythons: As in `make_environment`.

    Returns:
        A float32 TFLite file, with what the exporter wrote about the model behind it.

    Raises:
        ModelError: The file is no such detector, or has operators that TFLite lacks.
        DependencyError: The converter cannot be installed.
    """
    found = read_onnx(path)
    image = check_onnx(found, size)
    environment = make_environment(say, pythons)
    log = folder / "onnx2tf.log"
    source = _copied(found, folder / "source")
    command = [str(environment.python), "-I", "-m", "onnx2tf", "-i", str(source)]
    command += ["-o", str(folder / "onnx2tf"), "-n", *shape_options(image, size)]
    np.save(folder / _SAMPLE, _sample_pictures())
    programs = environment.python.parent
    done = run_logged(command, log, _TIMEOUT_S, folder=folder, programs=programs)
    written = sorted((folder / "onnx2tf").glob("*_float32.tflite"))
    if done != 0 or not written:
        raise ModelError(
            f"{environment.package} cannot convert {path.name}: {last_error(log)}",
            "export with fewer special operators (no suppression in the graph, opset 13 to 17)"
            + _kept(log, path),
        )
    _check_parity(environment, path, written[0], say)
    target = folder / f"{path.stem}.tflite"
    target.write_bytes(written[0].read_bytes() + metadata_zip(found.metadata))
    return target


def _copied(found: OnnxFile, folder: Path) -> Path:
    """A copy of the file and of its weights: onnx2tf writes to the file that it reads."""
    for name in (found.path.name, *found.data_files):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found.path.parent / name, target)
    return folder / found.path.name


def _kept(log: Path, path: Path) -> str:
    """Keep a log when the work folder goes; where it is, as the end of a line."""
    kept = cache_directory() / f"{path.stem}-{log.name}"
    with suppress(OSError):
        shutil.copyfile(log, kept)
        return f"; see {kept}"
    return ""


def check_onnx(found: OnnxFile, size: Size | None) -> OnnxInput:
    """The input of an ONNX detector.

    Raises:
        ModelError: It takes something else than one picture, its size is open, or it has
            operators of a vendor.
    """
    path = found.path
    if len(found.inputs) != 1:
        names = ", ".join(map(str, found.inputs)) or "none"
        raise ModelError(
            f"{path} has {len(found.inputs)} inputs: {names}",
            "export it with the picture as its only input (DETRs: sizes as constants, and without "
            "post-processing)",
        )
    (image,) = found.inputs
    if not image.layout:
        raise ModelError(
            f"{path} takes {image}, which is no picture", "a detector takes 1 x 3 x height x width"
        )
    if image.shape[0] > 1:
        raise ModelError(
            f"{path} takes {image.shape[0]} pictures at once", "export it with batch 1"
        )
    if image.element not in ("float32", "float16"):
        raise ModelError(f"{path} takes {image.element} pixels", "export it with a float32 input")
    foreign = sorted(kind for domain, kind in found.operators if domain or kind in _SUPPRESSION)
    if foreign:
        hint = "export the model for ONNX alone, without operators of a runtime"
        if _SUPPRESSION.intersection(foreign):
            hint = "export it without suppression (nms=False, no end2end): it is done here"
        raise ModelError(
            f"{path} has operators that TFLite does not have: {', '.join(foreign[:_SHOWN_NAMES])}",
            hint,
        )
    if size is not None:
        _check_size(path, image, size)
    open_sides = [side for side in image.shape[1:] if side < 0]
    if open_sides and size is None:
        raise ModelError(
            f"{path} takes pictures of any size: {image}", "give the size, as in --size 640x640"
        )
    return image


def _check_size(path: Path, image: OnnxInput, size: Size) -> None:
    start = 2 if image.layout == "NCHW" else 1
    sides = image.shape[start : start + 2]
    if any(side not in (-1, wanted) for side, wanted in zip(sides, size[::-1], strict=True)):
        raise ModelError(
            f"{path} takes {image}, which cannot become {size}",
            "leave out the size, or export the model with that size",
        )


def shape_options(image: OnnxInput, size: Size | None) -> list[str]:
    """Options of onnx2tf for an input: its sides where they are open, and its layout."""
    options = []
    channels_first = image.layout == "NCHW"
    sides = [1, *image.shape[1:]]
    if size is not None:
        start = 2 if channels_first else 1
        sides[start : start + 2] = size.height, size.width
    if tuple(sides) != image.shape:
        options += ["-ois", f"{image.name}:{','.join(map(str, sides))}"]
    if not channels_first:
        # Else its axes are turned as if it were NCHW.
        options += ["-kat", image.name]
    return options


def metadata_zip(metadata: Mapping[str, str]) -> bytes:
    """What an exporter wrote, as a zip that can stand behind a TFLite file; empty for nothing."""
    values = {key: _value(text) for key, text in metadata.items()}
    if "names" not in values:
        return b""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("metadata.json", json.dumps(values))
    return packed.getvalue()


def _value(text: str) -> object:
    """A value of which only the text is known."""
    try:
        value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value


def _sample_pictures() -> NDArray[np.float32]:
    """(20, 128, 128, 3), 0 to 1."""
    picture = test_picture(128, 128).astype(np.float32) / 255
    turned = [np.roll(picture, 6 * number, axis=(0, 1)) for number in range(20)]
    return np.stack(turned)


def last_error(log: Path) -> str:
    """The cause that onnx2tf gave for its failure, without colours and advice."""
    text = _COLOURS.sub("", log.read_text(encoding="utf-8", errors="replace"))
    lines = [line.strip() for line in text.splitlines()]
    causes = [line for line in lines if _CAUSE.match(line)]
    causes = [line for line in causes if not any(words in line for words in _ADVICE)]
    if not causes:
        return "it wrote no file"
    return causes[-1].removeprefix("ERROR: ")[:_LONGEST_CAUSE]


def _check_parity(environment: OnnxEnvironment, onnx: Path, tflite: Path, say: Say) -> None:
    """Refuse a TFLite file that does not compute what the ONNX file does."""
    script = Path(__file__).with_name("onnx_parity.py")
    log = tflite.with_name("onnx-parity.log")
    command = [str(environment.python), "-I", str(script), str(onnx), str(tflite)]
    run_logged(command, log, _TIMEOUT_S)
    differences = _last_object(log)
    if not differences:
        say(f"the float network could not be compared with the ONNX file{_kept(log, onnx)}")
        return
    name, worst = max(differences.items(), key=lambda each: each[1])
    if worst >= _NOT_COMPARABLE:
        raise ModelError(
            f"the converted network has no output like {name} of {onnx.name}: another shape, or "
            "values that are not finite",
            "export with another opset (13 to 17), or simplify it first (onnxsim)",
        )
    if worst > _LARGEST_DIFFERENCE:
        raise ModelError(
            f"the converted network differs from {onnx.name} by {worst:.1%} in output {name}",
            "export with another opset (13 to 17), or simplify it first (onnxsim)",
        )
    notable = "; more than rounding" if worst > _NOTABLE_DIFFERENCE else ""
    say(f"float TFLite equals ONNX to {worst:.1e} of the greatest value{notable}")


def _last_object(log: Path) -> dict[str, float]:
    """The JSON object in the last line; empty where there is none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        found = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
