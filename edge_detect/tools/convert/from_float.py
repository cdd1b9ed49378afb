"""From a float32 TFLite file of any origin to an INT8 model that was checked against it."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge_detect.core import Image, ModelError
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.agreement import Agreement
from edge_detect.tools.convert.build import (
    FloatNetwork,
    agreement_of,
    quantize_network,
    shrunk_pictures,
)
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float_file import FloatFile
from edge_detect.tools.convert.float_tail import append_float_tail
from edge_detect.tools.convert.heads import cut_at, find_heads, reaches_image
from edge_detect.tools.convert.input_steps import input_steps
from edge_detect.tools.convert.quantize import Progress, QuantizerOptions, silent
from edge_detect.tools.convert.raw_heads import RawGuess, raw_guesses
from edge_detect.tools.convert.save import save_model

__all__ = ["Converted", "convert_float_file", "stays_in_float", "without_layers"]

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
        tail: The inner tensors of the original, by output, that its end in float starts from.
        decoding: See `Converted`.
    """

    content: bytes
    manifest: dict[str, Any]
    tail: Mapping[str, int]
    decoding: str


def stays_in_float(source: FloatFile) -> bool:
    """Whether INT8 would make it useless: where boxes come from queries that look at each other.

    Attention between cells alone, as in YOLO11, does not matter.
    """
    section = source.spec.decoded
    if section is None or set(section.outputs) != {"boxes", "scores"}:
        return False
    if source.spec.nms.method != "none":
        return False
    graph = Graph(source.content)
    return any(
        graph.kind(one) == "BATCH_MATMUL"
        and not any(graph.is_constant(int(index)) for index in one.inputs)
        for one in graph.operators
    )


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
    if stays_in_float(source):
        if float_out is not None:
            save_model(float_out, source.content, whole)
        spec = save_model(out, source.content, whole)
        words = "in the graph; kept in float32: INT8 degrades transformers"
        return Converted(spec, words)
    pictures = shrunk_pictures(calibration, source.spec.input.frame_size)
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "float.tflite"
        save_model(reference, source.content, whole)
        cut = _choose_network(source, reference, pictures)
    kept = {key: value for key, value in whole.items() if key not in ("decoded", "ssd")}
    quantization = {"decoding": cut.decoding}
    manifest = {**kept, **cut.manifest, "input": steps.manifest, "quantization": quantization}
    finish = partial(append_float_tail, original=source.content, heads=dict(cut.tail))
    network = FloatNetwork(
        cut.content, manifest, steps, (source.content, whole), finish if cut.tail else None
    )
    spec, agreement = quantize_network(
        network,
        pictures,
        calibration,
        out,
        options=options,
        float_out=float_out,
        progress=progress,
    )
    return Converted(spec, cut.decoding, agreement)


def _manifest(spec: ModelSpec, origin: Mapping[str, Any]) -> dict[str, Any]:
    """All but name, file and checksum, which the file gets when it is written."""
    names = {"name", "file", "sha256", "git_blob", "edgetpu", "float_twin", "cpu_twin", "figures"}
    data = spec.model_dump(mode="json", exclude_none=True, exclude=names | {"quantization"})
    # The URL is that of another file.
    known = {key: value for key, value in data.get("origin", {}).items() if key != "url" and value}
    data["origin"] = {**known, **origin}
    return {key: value for key, value in data.items() if value not in ([], {}, "")}


def _choose_network(source: FloatFile, reference: Path, pictures: Sequence[Image]) -> _Network:
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
        return _Network(content, given, {}, "by the detector")
    if not heads:
        raise without_layers(source.spec.file, graph)
    for guess in raw_guesses(source.content, source.spec, heads):
        if _decodes_alike(guess, source.spec, reference, pictures):
            words = f"by the detector: {guess.words}"
            return _Network(guess.content, guess.manifest, {}, words)
    named = {f"head{number}": head for number, head in enumerate(heads)}
    return _Network(cut_at(source.content, named), given, named, "in float, in the graph")


def without_layers(file: str, graph: Graph) -> ModelError:
    """The error for a network in which no layer lies before the outputs."""
    if not reaches_image(graph):
        return ModelError(
            f"{file}: its outputs are constants, which do not depend on the pixels",
            "export the model again: its layers are missing",
        )
    return ModelError(
        f"{file}: an output depends on the pixels without any layer between",
        "it can be used as it is, in float",
    )


def _decodes_alike(
    guess: RawGuess, spec: ModelSpec, reference: Path, pictures: Sequence[Image]
) -> bool:
    """Whether the float network without its decoding detects the same."""
    kept = spec.model_dump(mode="json", exclude_none=True, include={"labels", "input", "nms"})
    candidate = reference.with_name("raw.tflite")
    try:
        save_model(candidate, guess.content, {**kept, **guess.manifest})
        found = agreement_of(reference, candidate, pictures, _LEAST_SCORE)
    except ModelError as error:
        _log.debug("raw heads of %s: %s", spec.name, error.message)
        return False
    return (
        found.n_reference > 0
        and min(found.recall, found.precision) >= _SAME_SHARE
        and found.mean_iou >= _SAME_IOU
        and found.mean_score_difference <= _SAME_SCORE
    )
