"""From a float network to the two files that make a model: NAME.tflite and NAME.toml."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.sections.yolo import YoloSpec
from edge_detect.models.spec import InputSpec, ModelSpec
from edge_detect.tools.convert.calibration import calibration_pixels, read_pictures
from edge_detect.tools.convert.float_model import FloatModel
from edge_detect.tools.convert.output_error import output_heads
from edge_detect.tools.convert.quantize import Progress, QuantizerOptions, float_tflite, silent
from edge_detect.tools.convert.save import save_model
from edge_detect.tools.convert.selection import CANDIDATES, choose_quantization

__all__ = ["convert_to_tflite", "quantize_float_file", "save_float", "save_model"]


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
    inputs = _read_inputs(calibration, every, manifest)
    content = float_tflite(model)
    if float_out is not None:
        _save_float(content, model.input_range, manifest, float_out)
    return _quantize(
        content, model.input_range, manifest, calibration, inputs, out, options, progress
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
    inputs = _read_inputs(calibration, every, manifest)
    if float_out is not None:
        _save_float(content, input_range, manifest, float_out)
    return _quantize(content, input_range, manifest, calibration, inputs, out, options, progress)


def _read_inputs(
    calibration: Sequence[Path], every: int, manifest: dict[str, Any]
) -> list[NDArray[np.uint8]]:
    pictures = read_pictures(calibration, every=every)
    return calibration_pixels(pictures, InputSpec(**manifest["input"]))


def _quantize(
    content: bytes,
    input_range: tuple[float, float],
    manifest: dict[str, Any],
    calibration: Sequence[Path],
    inputs: Sequence[NDArray[np.uint8]],
    out: Path,
    options: QuantizerOptions | None,
    progress: Progress | None,
) -> ModelSpec:
    choice = choose_quantization(
        content,
        inputs,
        input_range,
        output_heads(manifest),
        score_outputs=_logit_outputs(manifest),
        candidates=CANDIDATES if options is None else (options,),
        progress=progress or silent,
    )
    scheme = {
        "scheme": "full integer, int8 activations, int8 weights per channel, int32 biases",
        "input": "int8 = pixel - 128",
        "ranges": "least squared error of rounding and clipping over sampled activations",
        "options": "given" if options else "least error of the outputs on calibration pictures",
        "logit_limit": choice.options.logit_limit,
        "clip_weight": choice.options.clip_weight,
        "bias_correction_pictures": choice.options.correction_pictures,
        "output_error": round(choice.error, 4),
        "calibration_pictures": len(inputs),
        "calibration": [path.name for path in calibration],
    }
    return save_model(out, choice.content, {**manifest, "quantization": scheme})


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
        return [manifest["ssd"]["outputs"]["scores"]]
    yolo = YoloSpec.model_validate(manifest["yolo"])
    if yolo.activated:
        # These are probabilities already.
        return []
    # A softmax compares logits with each other, however far they are from 0.
    kinds = ("objectness",) if yolo.classes == "softmax" else ("objectness", "classes")
    return [name for head in yolo.heads for kind, name in head.outputs.items() if kind in kinds]
