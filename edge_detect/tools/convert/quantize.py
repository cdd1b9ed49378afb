"""Full-integer post-training quantization of float TFLite files.

The network is brought into a plain form, and its activations are recorded on calibration
pictures. Then the ranges of its activations are chosen, together with factors that make the
most of them, its weights rounded with regard to what they are multiplied with, and all of it
written down as integers. TensorFlow is not needed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.tools.convert.correction import (
    correct_biases,
    corrected_views,
    correction_sites,
)
from edge_detect.tools.convert.equalize import choose_factors, equalize
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.flip import flip_negative_channels
from edge_detect.tools.convert.histograms import STEP
from edge_detect.tools.convert.importance import channel_importance, passing_shares
from edge_detect.tools.convert.lower import lower
from edge_detect.tools.convert.ranges import RangePlanner, Window
from edge_detect.tools.convert.simplify import simplify
from edge_detect.tools.convert.statistics import Statistics, gather_statistics
from edge_detect.tools.convert.views import watched_views
from edge_detect.tools.convert.weights import InputStatistics, QuantizedWeights, round_weights

__all__ = [
    "Calibrated",
    "Progress",
    "QuantizerOptions",
    "calibrate",
    "float_operators",
    "quantize",
    "quantize_calibrated",
    "silent",
    "to_int8",
    "to_real",
]

Progress = Callable[[str, int, int], None]
# Logits are clipped to plus and minus this: beyond it the sigmoid is flat, and the 256 steps are
# spent on the range in which scores differ.
LOGIT_LIMIT = 8.0


def silent(step: str, done: int, total: int) -> None:
    """Ignore progress."""
    del step, done, total


@dataclass(frozen=True)
class QuantizerOptions:
    """How a network is quantized.

    Attributes:
        equalization: Greatest factor of a channel, as a power of `STEP`; 0 for none.
        clip_weight: See `best_window`.
        rounding: `covariance` (see `round_matrix`) or `nearest`.
        correction: Whether the biases are corrected for what quantization adds on average.
    """

    equalization: int = 16
    clip_weight: float = 4.0
    rounding: str = "covariance"
    correction: bool = True


@dataclass(frozen=True)
class Calibrated:
    """A float network and what was seen of it on calibration pictures.

    Attributes:
        original: The float file as it was given.
        content: The same, simplified; on the views it computes the same.
        views: The pictures and views of them, (1, height, width, channels) uint8.
        statistics: Of its activations.
        input_range: Real values of a black and of a white pixel.
        output_ranges: Ranges of outputs that do not follow from what was seen, by name.
    """

    original: bytes
    content: bytes
    views: Sequence[NDArray[np.uint8]]
    statistics: Statistics
    input_range: tuple[float, float]
    output_ranges: Mapping[str, Window]


def quantize(
    content: bytes,
    inputs: Sequence[NDArray[np.uint8]],
    input_range: tuple[float, float],
    *,
    score_outputs: Sequence[str] = (),
    output_ranges: Mapping[str, Window] | None = None,
    options: QuantizerOptions,
    progress: Progress | None = None,
) -> bytes:
    """Calibrate and quantize a network; see `calibrate` and `quantize_calibrated`."""
    tell = progress or silent
    calibrated = calibrate(
        content,
        inputs,
        input_range,
        score_outputs=score_outputs,
        output_ranges=output_ranges,
        progress=tell,
    )
    return quantize_calibrated(calibrated, options, progress=tell)


def calibrate(
    content: bytes,
    inputs: Sequence[NDArray[np.uint8]],
    input_range: tuple[float, float],
    *,
    score_outputs: Sequence[str] = (),
    output_ranges: Mapping[str, Window] | None = None,
    progress: Progress = silent,
) -> Calibrated:
    """Simplify a float network and record it on pictures, and on views of them.

    Args:
        content: A float32 TFLite file.
        inputs: Calibration pictures, (1, height, width, channels) uint8.
        input_range: Real values of a black and of a white pixel.
        score_outputs: Names of the outputs that are logits. They are not ranged by what was
            seen, as calibration pictures may show none of the objects.
        output_ranges: Ranges of other outputs, by name. Where outputs must have one scale, its
            range contains those of all.
        progress: Called with the name of a step, how much is done, and how much there is.

    Raises:
        ModelError: The network has other inputs than one of float32, an output that is not
            float32, not computed, or not the only one of its name, or values that are not
            finite.
    """
    graph = Graph(content)
    _check_ends(graph)
    simplify(graph)
    logits = dict.fromkeys(score_outputs, (-LOGIT_LIMIT, LOGIT_LIMIT))
    views = [one[np.newaxis] for one in watched_views([one[0] for one in inputs])]
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        progress("calibrating", done, len(views))

    pictures = (to_real(pixels, input_range) for pixels in views)
    averaged = corrected_views(graph, len(views))
    statistics = gather_statistics(graph, pictures, averaged=averaged, progress=tell)
    flip_negative_channels(graph, statistics)
    return Calibrated(
        content,
        graph.to_bytes(),
        views,
        statistics,
        input_range,
        {**(output_ranges or {}), **logits},
    )


def _check_ends(graph: Graph) -> None:
    inputs, outputs = map(int, graph.subgraph.inputs), set(map(int, graph.subgraph.outputs))
    if len(graph.subgraph.inputs) != 1:
        raise ModelError(
            f"the network has {len(graph.subgraph.inputs)} inputs", "the image must be the only one"
        )
    for index in (*inputs, *outputs):
        name = graph.name(index)
        if graph.tensors[index].type != graph.schema.TensorType.FLOAT32:
            raise ModelError(f"{name!r} is not float32", "only float32 networks can be quantized")
        if graph.is_constant(index):
            raise ModelError(
                f"output {name!r} is a constant", "remove it from the outputs of the network"
            )
    names = [graph.name(index) for index in outputs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(f"several outputs are named {twice[0]!r}", "give each a name of its own")


def quantize_calibrated(
    calibrated: Calibrated, options: QuantizerOptions, *, progress: Progress = silent
) -> bytes:
    """Quantize a network: int8 activations, int8 weights per filter.

    The input takes a pixel minus 128 as int8, exactly.

    Args:
        calibrated: The network.
        options: How.
        progress: Called with the name of a step, how much is done, and how much there is.

    Returns:
        The quantized file; on one machine the same arguments give the same bytes. What of it
        is in float nevertheless is in `float_operators`.
    """
    graph = Graph(calibrated.content)
    powers, ranges = _plan(graph, calibrated, options)
    equalize(graph, powers)
    means = _Means(graph, calibrated, powers, ranges) if options.correction else None
    weights = {}
    inputs = calibrated.statistics.inputs
    convolutions = [one for one in graph.operators if int(one.outputs[0]) in inputs]
    for number, operator in enumerate(convolutions, 1):
        output = int(operator.outputs[0])
        seen = _scaled(graph, operator, inputs[output], powers)
        weights[output] = _round(graph, operator, seen, nearest=options.rounding == "nearest")
        progress("rounding weights", number, len(convolutions))
    lower(graph, ranges, weights, calibrated.input_range)
    graph.drop_unused_operators()
    if means is not None:
        means.restore(graph, lambda done, total: progress("correcting biases", done, total))
    graph.drop_unused()
    graph.drop_unused_codes()
    return graph.to_bytes()


def float_operators(content: bytes) -> list[str]:
    """Kinds of the operators of a quantized file that compute in float, as `EXP`; sorted."""
    graph = Graph(content)
    float32 = graph.schema.TensorType.FLOAT32
    kinds = {
        graph.kind(one)
        for one in graph.operators
        for index in (*one.inputs, *one.outputs)
        if index >= 0 and graph.tensors[index].type == float32
    }
    return sorted(kinds - {"QUANTIZE", "DEQUANTIZE"})


def _plan(
    graph: Graph, calibrated: Calibrated, options: QuantizerOptions
) -> tuple[dict[int, NDArray[np.int64]], dict[int, Window]]:
    """Factors of channels, and ranges of activations."""
    histograms, given = calibrated.statistics.histograms, calibrated.output_ranges
    outputs = {graph.name(int(index)): int(index) for index in graph.subgraph.outputs}
    fixed = {outputs[name]: window for name, window in given.items() if name in outputs}
    planner = RangePlanner(graph, histograms, channel_importance(graph, histograms), fixed)
    powers = choose_factors(
        graph, planner, clip_weight=options.clip_weight, limit=options.equalization
    )
    return powers, planner.ranges(powers, options.clip_weight)


class _Means:
    """The means of a float network's channels, which its quantized twin is to have too."""

    def __init__(
        self,
        graph: Graph,
        calibrated: Calibrated,
        powers: Mapping[int, NDArray[np.int64]],
        ranges: Mapping[int, Window],
    ) -> None:
        histograms, given = calibrated.statistics.histograms, calibrated.output_ranges
        outputs = map(int, graph.subgraph.outputs)
        self._views = [calibrated.views[i] for i in corrected_views(graph, len(calibrated.views))]
        self._sites = correction_sites(graph, [i for i in outputs if graph.name(i) in given])
        seen = [site.seen for site in self._sites]
        # What is clipped is missing from both, so that the rest is not shifted to make up for it.
        self._wanted = {i: histograms[i].mean(STEP ** powers[i], *ranges[i]) for i in seen}
        self._slopes = {i: passing_shares(graph, histograms, graph.producer(i)) for i in seen}

    def restore(self, quantized: Graph, progress: Callable[[int, int], None]) -> None:
        """Correct the biases of the quantized twin."""
        inputs = [to_int8(one) for one in self._views]
        correct_biases(
            quantized, inputs, self._sites, self._wanted, self._slopes, progress=progress
        )


def _scaled(
    graph: Graph, operator: Any, seen: InputStatistics, powers: dict[int, NDArray[np.int64]]
) -> InputStatistics:
    """What a convolution sees once its input's channels were multiplied."""
    factors = STEP ** powers[int(operator.inputs[0])]
    if (factors == 1).all():
        return seen
    if graph.kind(operator) == "DEPTHWISE_CONV_2D":
        return seen.scaled(np.repeat(factors, len(seen.mean) // len(factors))[:, None])
    return seen.scaled(np.tile(factors, len(seen.mean) // len(factors)))


def _round(
    graph: Graph, operator: Any, seen: InputStatistics, *, nearest: bool
) -> QuantizedWeights:
    """Round the weights of a convolution; its bias takes what that changes on average."""
    _, kernel, bias = (int(index) for index in operator.inputs)
    weights, kind = graph.values(kernel).astype(np.float64), graph.kind(operator)
    rounded = round_weights(weights, seen, kind, nearest=nearest)
    lost = weights - rounded.real(depthwise=kind == "DEPTHWISE_CONV_2D")
    if kind == "DEPTHWISE_CONV_2D":
        change = (lost.reshape(-1, lost.shape[-1]) * seen.mean.T).sum(axis=0)
    else:
        change = lost.reshape(len(lost), -1) @ seen.mean
    graph.set_values(bias, (graph.values(bias) + change).astype(np.float32))
    return rounded


def to_real(pixels: NDArray[np.uint8], input_range: tuple[float, float]) -> NDArray[np.float32]:
    """The real values that pixels stand for."""
    low, high = input_range
    return (pixels.astype(np.float32) * ((high - low) / 255) + low).astype(np.float32)


def to_int8(pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    """What the quantized network takes for pixels: each less 128."""
    return (pixels ^ np.uint8(0x80)).view(np.int8)
