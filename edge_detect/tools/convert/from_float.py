"""From a float32 TFLite file of any origin to an INT8 model that was checked against it."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.models.opening import load_model
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.agreement import Agreement, compare
from edge_detect.tools.convert.calibration import calibration_pixels, read_pictures
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float_file import FloatFile
from edge_detect.tools.convert.float_tail import append_float_tail
from edge_detect.tools.convert.heads import cut_at, find_heads
from edge_detect.tools.convert.input_steps import InputSteps, input_steps
from edge_detect.tools.convert.quantize import Progress, QuantizerOptions, quantize, silent
from edge_detect.tools.convert.raw_heads import RawGuess, raw_guesses
from edge_detect.tools.convert.report import agreement_figures
from edge_detect.tools.convert.save import save_model

__all__ = ["Converted", "convert_float_file", "stays_in_float"]

_log = logging.getLogger(__name__)

# Two float networks that decode the same boxes differ by rounding, and in the order of equals.
_SAME_SHARE = 0.97
_SAME_IOU = 0.98
_SAME_SCORE = 0.02
_LEAST_SCORE = 0.05


@dataclass(frozen=True)
class Converted:
    """What came out.

    Attributes:
        spec: Its manifest.
        decoding: Where boxes are decoded, in one line.
        agreement: Of the INT8 model with the float one on the calibration pictures; None for a
            model that stayed in float.
    """

    spec: ModelSpec
    decoding: str
    agreement: Agreement | None = None


@dataclass(frozen=True)
class _Network:
    """What is to be quantized, and what becomes of it then.

    Attributes:
        content: A float file.
        manifest: Family, head and section.
        logits: Outputs that are logits of scores.
        tail: The inner tensors of the original, by output, that its end in float starts from.
        decoding: See `Converted`.
    """

    content: bytes
    manifest: dict[str, Any]
    logits: tuple[str, ...]
    tail: Mapping[str, int]
    decoding: str


def stays_in_float(source: FloatFile) -> bool:
    """Whether INT8 would make it useless: where boxes come from queries that look at each other.

    Attention between cells alone, as in YOLO11, does not matter.
    """
    graph = Graph(source.content)
    products = [
        one
        for one in graph.operators
        if graph.kind(one) == "BATCH_MATMUL"
        and not any(graph.is_constant(int(index)) for index in one.inputs)
    ]
    return bool(products) and source.kind == "DETR"


def convert_float_file(
    source: FloatFile,
    calibration: Sequence[Path],
    out: Path,
    *,
    origin: Mapping[str, Any],
    float_out: Path | None = None,
    options: QuantizerOptions | None = None,
    progress: Progress = silent,
) -> Converted:
    """Quantize a float detector, and write it with its manifest.

    Args:
        source: Of `read_float_file`.
        calibration: Photos, folders and videos like those that the camera will see.
        out: `NAME.tflite`; the manifest becomes `NAME.toml` beside it.
        origin: Of the manifest.
        float_out: Where to write the float twin.
        options: Of the quantizer.
        progress: Called with the name of a step, how much is done, and how much there is.

    Raises:
        ConfigError: A calibration picture cannot be read, or there is none.
        ModelError: The network cannot be quantized.
    """
    steps = input_steps(source.spec.input)
    whole = _manifest(source.spec, origin)
    if float_out is not None:
        save_model(float_out, source.content, whole)
    if stays_in_float(source):
        spec = save_model(out, source.content, whole)
        words = "in the graph; all stays in float, as INT8 costs a transformer its detections"
        return Converted(spec, words)
    inputs = calibration_pixels(read_pictures(calibration), source.spec.input)
    with tempfile.TemporaryDirectory() as folder:
        reference, candidate = Path(folder) / "float.tflite", Path(folder) / "int8.tflite"
        save_model(reference, source.content, whole)
        network = _choose_network(source, reference, calibration)
        content = _quantize(source, network, steps, inputs, options, progress)
        manifest = _quantized_manifest(whole, network, steps, calibration, len(inputs))
        save_model(candidate, content, manifest)
        threshold = source.spec.nms.score_threshold
        agreement = _compare(reference, candidate, calibration, threshold)
    figures = {"int8_to_float": agreement_figures(agreement, threshold, len(inputs))}
    spec = save_model(out, content, {**manifest, "figures": figures})
    return Converted(spec, network.decoding, agreement)


def _quantize(
    source: FloatFile,
    network: _Network,
    steps: InputSteps,
    inputs: Sequence[NDArray[np.uint8]],
    options: QuantizerOptions | None,
    progress: Progress,
) -> bytes:
    content = quantize(
        network.content,
        [steps.bytes_of(pixels) for pixels in inputs],
        steps.input_range,
        score_outputs=network.logits,
        options=options or QuantizerOptions(),
        progress=progress,
    )
    if not network.tail:
        return content
    return append_float_tail(content, source.content, dict(network.tail))


def _manifest(spec: ModelSpec, origin: Mapping[str, Any]) -> dict[str, Any]:
    """All but name, file and checksum, which the file gets when it is written."""
    names = {"name", "file", "sha256", "git_blob", "edgetpu", "float_twin", "cpu_twin", "figures"}
    data = spec.model_dump(mode="json", exclude_none=True, exclude=names | {"quantization"})
    data["origin"] = {**data.get("origin", {}), **origin}
    return {key: value for key, value in data.items() if value not in ([], {}, "")}


def _choose_network(source: FloatFile, reference: Path, calibration: Sequence[Path]) -> _Network:
    """Where the network is cut: behind its heads, if the detector or a float end can go on."""
    family = source.spec.family
    section = getattr(source.spec, family).model_dump(mode="json", exclude_none=True)
    given = {"family": family, "head": source.spec.head, family: section}
    graph = Graph(source.content)
    heads = find_heads(graph)
    decodes = family == "decoded" or source.spec.head == "postprocess"
    if not decodes:
        # Without what no output needs.
        outputs = {graph.name(int(index)): int(index) for index in graph.subgraph.outputs}
        content = cut_at(source.content, outputs)
        return _Network(content, given, _logits(source.spec), {}, "by the detector")
    if not heads:
        raise ModelError(
            f"{source.spec.file}: an output depends on the pixels without any layer between",
            "it can be used as it is, in float",
        )
    for guess in raw_guesses(source.content, source.spec, heads):
        if _decodes_alike(guess, source.spec, reference, calibration):
            words = f"by the detector: {guess.words}"
            return _Network(guess.content, guess.manifest, guess.logits, {}, words)
    named = {f"head{number}": head for number, head in enumerate(heads)}
    return _Network(cut_at(source.content, named), given, (), named, "in float, in the graph")


def _logits(spec: ModelSpec) -> tuple[str, ...]:
    """Outputs that hold logits of scores and nothing else."""
    if spec.ssd is not None:
        return tuple(spec.ssd.names_of("scores")) if spec.ssd.scores == "sigmoid" else ()
    if spec.dfl is not None and spec.dfl.scores == "sigmoid":
        every = [level.outputs for level in spec.dfl.levels]
        return tuple(each["classes"] for each in every if "classes" in each)
    if spec.yolo is not None and not spec.yolo.activated:
        kinds = ("objectness", "classes")
        named = [head.outputs for head in spec.yolo.heads]
        return tuple(name for each in named for kind, name in each.items() if kind in kinds)
    return ()


def _decodes_alike(
    guess: RawGuess, spec: ModelSpec, reference: Path, calibration: Sequence[Path]
) -> bool:
    """Whether the float network without its decoding detects the same."""
    kept = spec.model_dump(mode="json", exclude_none=True, include={"labels", "input", "nms"})
    candidate = reference.with_name("raw.tflite")
    try:
        save_model(candidate, guess.content, {**kept, **guess.manifest})
        found = _compare(reference, candidate, calibration, _LEAST_SCORE)
    except ModelError as error:
        _log.debug("raw heads of %s: %s", spec.name, error.message)
        return False
    return (
        found.n_reference > 0
        and min(found.recall, found.precision) >= _SAME_SHARE
        and found.mean_iou >= _SAME_IOU
        and found.mean_score_difference <= _SAME_SCORE
    )


def _compare(
    reference: Path, candidate: Path, calibration: Sequence[Path], score: float
) -> Agreement:
    with (
        load_model(reference, accelerator="cpu", max_detections=300) as wanted,
        load_model(candidate, accelerator="cpu", max_detections=300) as found,
    ):
        return compare(wanted, found, read_pictures(calibration), score=score)


def _quantized_manifest(
    whole: Mapping[str, Any],
    network: _Network,
    steps: InputSteps,
    calibration: Sequence[Path],
    count: int,
) -> dict[str, Any]:
    manifest = {key: value for key, value in whole.items() if key not in ("decoded", "ssd")}
    scheme = {
        "scheme": "full integer, int8 activations, int8 weights per channel, int32 biases",
        "decoding": network.decoding,
        "calibration_pictures": count,
        "calibration": [path.name for path in calibration],
    }
    return {**manifest, **network.manifest, "input": steps.manifest, "quantization": scheme}
