"""From a float network to the two files that make a model: NAME.tflite and NAME.toml."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_detect.core import Image, Size
from edge_detect.models.opening import load_model
from edge_detect.models.sections.yolo import YoloSpec
from edge_detect.models.spec import InputSpec, ModelSpec
from edge_detect.tools.agreement import compare
from edge_detect.tools.convert.box_range import box_ranges
from edge_detect.tools.convert.calibration import calibration_pixels, read_pictures
from edge_detect.tools.convert.float_model import FloatModel, float_tflite
from edge_detect.tools.convert.output_error import output_heads
from edge_detect.tools.convert.quantize import (
    Progress,
    QuantizerOptions,
    calibrate,
    silent,
    to_real,
)
from edge_detect.tools.convert.report import agreement_figures
from edge_detect.tools.convert.save import save_model
from edge_detect.tools.convert.selection import CANDIDATES, Choice, choose_quantization
from edge_detect.tools.convert.views import judged_views, watched_views

__all__ = ["convert_to_tflite", "quantize_float_file", "save_float", "save_model"]

# Pictures are kept at so many times the size of the input.
_LARGEST = 2


def convert_to_tflite(
    model: FloatModel,
    manifest: dict[str, Any],
    calibration: Sequence[Path],
    out: Path,
    *,
    every: int = 25,
    options: QuantizerOptions | None = None,
    float_out: Path | None = None,
    progress: Progress | None = None,
) -> ModelSpec:
    """Quantize a network and write it with its manifest.

    Args:
        model: From a front end.
        manifest: The front end's part of the manifest, and an `origin` with a `licence`.
        calibration: Photos, folders and videos like those that the camera will see; a few
            ordinary, varied ones do better than many alike.
        out: `NAME.tflite`; the manifest becomes `NAME.toml` beside it.
        every: Of a calibration video, each so many-th frame.
        options: How ranges are chosen; None tries several ways and takes the one whose
            outputs differ least from the float network's on the calibration pictures.
        float_out: Where to write the float32 twin, by which the loss can be measured.
        progress: Called with the name of a step, how much is done, and how much there is.

    Returns:
        The manifest, validated.

    Raises:
        ConfigError: A calibration picture cannot be read, or there is none.
        ModelError: The manifest is not complete.
        DependencyError: TensorFlow is missing.
    """
    return quantize_float_file(
        float_tflite(model),
        model.input_range,
        manifest,
        calibration,
        out,
        every=every,
        options=options,
        float_out=float_out,
        progress=progress,
    )


def quantize_float_file(
    content: bytes,
    input_range: tuple[float, float],
    manifest: dict[str, Any],
    calibration: Sequence[Path],
    out: Path,
    *,
    every: int = 25,
    options: QuantizerOptions | None = None,
    float_out: Path | None = None,
    progress: Progress | None = None,
) -> ModelSpec:
    """Quantize a network that is a float TFLite file already; else as `convert_to_tflite`.

    Args:
        content: The file, without float16 weights, its outputs named as in the manifest.
        input_range: Real values of a black and of a white pixel.
        manifest: See `convert_to_tflite`, as is everything below.
        calibration: Pictures.
        out: `NAME.tflite`.
        every: Of a calibration video, each so many-th frame.
        options: How ranges are chosen.
        float_out: Where to write the float32 twin.
        progress: Called with the name of a step, how much is done, and how much there is.
    """
    size = InputSpec(**manifest["input"]).frame_size
    pictures = [_shrunk(one, size) for one in read_pictures(calibration, every=every)]
    choice = _choose(content, input_range, manifest, pictures, options, progress or silent)
    manifest = {
        **manifest,
        "quantization": _scheme(choice, calibration, len(pictures), given=options is not None),
    }
    with tempfile.TemporaryDirectory() as folder:
        twin = float_out or Path(folder) / "float.tflite"
        _save_float(content, input_range, manifest, twin)
        made = Path(folder) / "int8.tflite"
        threshold = save_model(made, choice.content, manifest).nms.score_threshold
        views = [*pictures, *judged_views(pictures)]
        with (
            load_model(twin, accelerator="cpu") as reference,
            load_model(made, accelerator="cpu") as candidate,
        ):
            found = compare(reference, candidate, views, score=threshold)
    figures = {"int8_to_float": agreement_figures(found, threshold, len(views))}
    return save_model(
        out, choice.content, {**manifest, "figures": {**manifest.get("figures", {}), **figures}}
    )


def _choose(
    content: bytes,
    input_range: tuple[float, float],
    manifest: dict[str, Any],
    pictures: Sequence[Image],
    options: QuantizerOptions | None,
    progress: Progress,
) -> Choice:
    spec = InputSpec(**manifest["input"])
    inputs = calibration_pixels(pictures, spec)
    heads = output_heads(manifest)
    views = watched_views([one[0] for one in inputs])
    reals = [to_real(one[np.newaxis], input_range) for one in views]
    calibrated = calibrate(
        content,
        inputs,
        input_range,
        score_outputs=_logit_outputs(manifest),
        output_ranges=box_ranges(content, reals, heads),
        progress=progress,
    )
    candidates = CANDIDATES if options is None else (options,)
    return choose_quantization(calibrated, inputs, heads, candidates=candidates, progress=progress)


def _scheme(
    choice: Choice, calibration: Sequence[Path], count: int, *, given: bool
) -> dict[str, Any]:
    options = choice.options
    return {
        "scheme": "full integer, int8 activations, int8 weights per channel, int32 biases",
        "input": "int8 = pixel - 128",
        "ranges": "least squared error of rounding and clipping, by what it does to the outputs",
        "options": "given" if given else "least error of the outputs on views of the pictures",
        "equalization": options.equalization,
        "clip_weight": options.clip_weight,
        "rounding": options.rounding,
        "bias_correction": options.correction,
        "output_error": round(choice.error, 4),
        "calibration_pictures": count,
        "calibration": [path.name for path in calibration],
    }


def _shrunk(picture: Image, size: Size) -> Image:
    """A picture no larger than makes a difference: photos of cameras would fill the memory."""
    scale = _LARGEST * max(size) / max(picture.shape[:2])
    if scale >= 1:
        return picture
    shrunk = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def save_float(model: FloatModel, manifest: dict[str, Any], out: Path) -> ModelSpec:
    """Write the float32 network with its manifest, without quantizing anything.

    Args:
        model: From a front end.
        manifest: The front end's part of the manifest, and an `origin` with a `licence`.
        out: `NAME.tflite`; the manifest becomes `NAME.toml` beside it.
    """
    return _save_float(float_tflite(model), model.input_range, manifest, out)


def _save_float(
    content: bytes, input_range: tuple[float, float], manifest: dict[str, Any], out: Path
) -> ModelSpec:
    low, high = input_range
    std = 255 / (high - low)
    placed = {**manifest["input"], "mean": -low * std, "std": std}
    return save_model(out, content, {**manifest, "input": placed})


def _logit_outputs(manifest: dict[str, Any]) -> list[str]:
    if manifest["family"] == "ssd":
        # A softmax compares logits with each other, however far they are from 0.
        softmax = manifest["ssd"]["scores"] == "softmax"
        return [] if softmax else [manifest["ssd"]["outputs"]["scores"]]
    yolo = YoloSpec.model_validate(manifest["yolo"])
    if yolo.activated:
        # These are probabilities already.
        return []
    kinds = ("objectness",) if yolo.classes == "softmax" else ("objectness", "classes")
    return [name for head in yolo.heads for kind, name in head.outputs.items() if kind in kinds]
