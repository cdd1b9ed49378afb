"""From a float network to the two files that make a model: NAME.tflite and NAME.toml."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Image, Size
from edge_detect.models.opening import load_model
from edge_detect.models.spec import InputSpec, ModelSpec
from edge_detect.tools.agreement import Agreement, compare
from edge_detect.tools.convert.box_range import box_ranges
from edge_detect.tools.convert.calibration import calibration_pixels, read_pictures
from edge_detect.tools.convert.float_model import FloatModel, float_tflite
from edge_detect.tools.convert.input_steps import InputSteps, input_steps
from edge_detect.tools.convert.outliers import usual_pictures
from edge_detect.tools.convert.output_heads import logit_outputs, output_heads
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

__all__ = [
    "FloatNetwork",
    "agreement_of",
    "convert_to_tflite",
    "quantize_float_file",
    "quantize_network",
    "save_float",
    "shrunk_pictures",
]

# Pictures are kept at so many times the size of the input.
_LARGEST = 2
_COMPARED = 300


@dataclass(frozen=True)
class FloatNetwork:
    """A float file to be quantized.

    Attributes:
        content: Without float16 weights, its outputs named as in the manifest.
        manifest: Of the quantized model; its figures and most of its `quantization` are added.
        steps: The bytes that stand for pixels.
        whole: File and manifest of the float model that the quantized one stands for.
        finish: Applied to each quantized file, such as to put a float decoding behind it.
    """

    content: bytes
    manifest: dict[str, Any]
    steps: InputSteps
    whole: tuple[bytes, dict[str, Any]]
    finish: Callable[[bytes], bytes] | None = None


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
    whole = _float_manifest(manifest, input_range)
    spec = InputSpec(**whole["input"])
    # The range as it is given: mean and deviation may be rounded.
    steps = replace(input_steps(spec), input_range=input_range)
    made, _ = quantize_network(
        FloatNetwork(content, manifest, steps, (content, whole)),
        shrunk_pictures(calibration, spec.frame_size, every=every),
        calibration,
        out,
        options=options,
        float_out=float_out,
        progress=progress or silent,
    )
    return made


def quantize_network(
    network: FloatNetwork,
    pictures: Sequence[Image],
    calibration: Sequence[Path],
    out: Path,
    *,
    options: QuantizerOptions | None = None,
    float_out: Path | None = None,
    progress: Progress = silent,
) -> tuple[ModelSpec, Agreement]:
    """Quantize a float file, compare both, and write the quantized one with its manifest.

    Args:
        network: What to quantize.
        pictures: To calibrate and compare on, (height, width, 3) uint8, B, G, R.
        calibration: Where they come from, for the manifest.
        out: `NAME.tflite`.
        options: See `convert_to_tflite`, as is everything below.
        float_out: Where to write the float32 twin.
        progress: Called with the name of a step, how much is done, and how much there is.

    Returns:
        The manifest, validated, and how well the models agree on the pictures.
    """
    inputs, left_out = _inputs(network, pictures)
    choice = _choose(network, inputs, options, progress)
    scheme = _scheme(network, choice, given=options is not None)
    scheme |= {
        "calibration_pictures": len(inputs),
        "calibration": [path.name for path in calibration],
    }
    if left_out:
        scheme["pictures_left_out"] = left_out
    manifest = {**network.manifest, "quantization": scheme}
    views = judged_views(pictures)
    with tempfile.TemporaryDirectory() as folder:
        twin, made = float_out or Path(folder) / "float.tflite", Path(folder) / "int8.tflite"
        save_model(twin, *network.whole)
        threshold = save_model(made, choice.content, manifest).nms.score_threshold
        found = agreement_of(twin, made, [*pictures, *views], threshold)
    figures = agreement_figures(found, threshold, len(pictures), len(views))
    manifest["figures"] = {**manifest.get("figures", {}), "int8_to_float": figures}
    return save_model(out, choice.content, manifest), found


def agreement_of(
    reference: Path, candidate: Path, pictures: Iterable[Image], score: float
) -> Agreement:
    """Compare the detections of two model files on pictures.

    Args:
        reference: `NAME.tflite` with its manifest beside it.
        candidate: Another.
        pictures: (height, width, 3) uint8, B, G, R.
        score: Minimum score of the detections that count.
    """
    with (
        load_model(reference, accelerator="cpu", max_detections=_COMPARED) as wanted,
        load_model(candidate, accelerator="cpu", max_detections=_COMPARED) as found,
    ):
        return compare(wanted, found, pictures, score=score)


def shrunk_pictures(calibration: Sequence[Path], size: Size, *, every: int = 25) -> list[Image]:
    """Calibration pictures, no larger than makes a difference for an input of a size."""
    return [_shrunk(one, size) for one in read_pictures(calibration, every=every)]


def _inputs(
    network: FloatNetwork, pictures: Sequence[Image]
) -> tuple[list[NDArray[np.uint8]], int]:
    """Pictures as the network takes them, and the number of those that tell nothing of others."""
    pixels = calibration_pixels(pictures, InputSpec(**network.whole[1]["input"]))
    inputs = [network.steps.bytes_of(one) for one in pixels]
    reals = (to_real(one, network.steps.input_range) for one in inputs)
    usual = usual_pictures(network.content, reals)
    kept = [one for one, keep in zip(inputs, usual, strict=True) if keep]
    return kept, len(inputs) - len(kept)


def _choose(
    network: FloatNetwork,
    inputs: Sequence[NDArray[np.uint8]],
    options: QuantizerOptions | None,
    progress: Progress,
) -> Choice:
    content, whole = network.content, network.whole[0]
    heads = output_heads(network.manifest)
    raw = [head for head in heads if head.is_raw]
    limits = network.steps.input_range
    views = watched_views([one[0] for one in inputs])
    reals = (to_real(one[np.newaxis], limits) for one in views)
    calibrated = calibrate(
        content,
        inputs,
        limits,
        score_outputs=logit_outputs(network.manifest),
        output_ranges=box_ranges(content, reals, raw) if raw else {},
        progress=progress,
    )
    return choose_quantization(
        calibrated,
        inputs,
        heads,
        whole=None if network.finish is None else whole,
        finish=network.finish,
        candidates=CANDIDATES if options is None else (options,),
        progress=progress,
    )


def _scheme(network: FloatNetwork, choice: Choice, *, given: bool) -> dict[str, Any]:
    options, scheme = choice.options, {**network.manifest.get("quantization", {})}
    scheme["scheme"] = "int8 activations, int8 weights per channel, int32 biases"
    if choice.float_operators:
        scheme["float_operators"] = choice.float_operators
    if network.manifest["input"].get("encoding", "pixels") == "pixels":
        scheme["input"] = "int8 = pixel - 128"
    measured = not np.isnan(choice.error)
    by_error = "least error of the outputs on views of the pictures"
    return {
        **scheme,
        "ranges": "least squared error of rounding and clipping, by what it does to the outputs",
        "options": "given" if given else by_error if measured else "default",
        "equalization": options.equalization,
        "clip_weight": options.clip_weight,
        "rounding": options.rounding,
        "bias_correction": options.correction,
        **({"output_error": round(choice.error, 4)} if measured else {}),
    }


def _shrunk(picture: Image, size: Size) -> Image:
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
    return save_model(out, float_tflite(model), _float_manifest(manifest, model.input_range))


def _float_manifest(manifest: dict[str, Any], input_range: tuple[float, float]) -> dict[str, Any]:
    low, high = input_range
    std = 255 / (high - low)
    return {**manifest, "input": {**manifest["input"], "mean": -low * std, "std": std}}
