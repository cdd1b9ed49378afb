"""Full-integer post-training quantization of float TFLite files.

The network is brought into a plain form and watched on calibration pictures. Then the ranges
of its activations are chosen, together with factors that make the most of them, its weights
rounded with regard to what they are multiplied with, and all of it written down as integers.
TensorFlow is not needed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.tools.convert.correction import (
    correct_biases,
    correction_sites,
    mean_activations,
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
    "quantize",
    "quantize_calibrated",
    "silent",
    "to_int8",
    "to_real",
]

Progress = Callable[[str, int, int], None]
# Logits are clipped to plus and minus this: beyond it the sigmoid is flat, and each step between
# is what a score can be told by.
LOGIT_LIMIT = 8.0


def silent(step: str, done: int, total: int) -> None:
    """Progress that is not shown."""
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
        original: The float file.
        content: The float file, simplified.
        views: The pictures and views of them, (1, height, width, channels) uint8.
        statistics: Of its activations.
        input_range: Real values of a black and of a white pixel.
        output_ranges: Ranges of outputs that do not follow from what was seen, by name.
        score_outputs: Names of the outputs that are logits.
    """

    original: bytes
    content: bytes
    views: Sequence[NDArray[np.uint8]]
    statistics: Statistics
    input_range: tuple[float, float]
    output_ranges: Mapping[str, Window]
    score_outputs: tuple[str, ...]


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
    """Simplify a float network and watch it on pictures, and on views of them.

    Args:
        content: A float32 TFLite file.
        inputs: Calibration pictures, (1, height, width, channels) uint8.
        input_range: Real values of a black and of a white pixel.
        score_outputs: Names of the outputs that are logits. They are not ranged by what was
            seen, as calibration pictures may show none of the objects.
        output_ranges: Ranges of other outputs, by name.
        progress: Called with the name of a step, how much is done, and how much there is.

    Raises:
        ModelError: An input or output is not float32.
    """
    graph = Graph(content)
    for index in map(int, (*graph.subgraph.inputs, *graph.subgraph.outputs)):
        if graph.tensors[index].type != graph.schema.TensorType.FLOAT32:
            raise ModelError(
                f"{graph.name(index)!r} is not float32", "only float32 networks can be quantized"
            )
    simplify(graph)
    logits = dict.fromkeys(score_outputs, (-LOGIT_LIMIT, LOGIT_LIMIT))
    views = [one[np.newaxis] for one in watched_views([one[0] for one in inputs])]
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        progress("calibrating", done, len(views))

    pictures = (to_real(pixels, input_range) for pixels in views)
    statistics = gather_statistics(graph, pictures, progress=tell)
    flip_negative_channels(graph, statistics)
    return Calibrated(
        content,
        graph.to_bytes(),
        views,
        statistics,
        input_range,
        {**(output_ranges or {}), **logits},
        tuple(score_outputs),
    )


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
        The quantized file; the same arguments give the same bytes.
    """
    graph = Graph(calibrated.content)
    powers, ranges = _plan(graph, calibrated, options)
    equalize(graph, powers)
    means = _Means(graph, calibrated) if options.correction else None
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
    graph.drop_unused()
    if means is not None:
        means.restore(graph, lambda done, total: progress("correcting biases", done, total))
    return graph.to_bytes()


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

    def __init__(self, graph: Graph, calibrated: Calibrated) -> None:
        reals = (to_real(one, calibrated.input_range) for one in calibrated.views)
        self._views = calibrated.views
        self._sites = correction_sites(graph, calibrated.score_outputs)
        self._wanted = mean_activations(graph, reals, [site.seen for site in self._sites])
        places = {graph.name(int(i)): int(i) for one in graph.operators for i in one.outputs}
        histograms = calibrated.statistics.histograms
        self._slopes = {
            site.seen: passing_shares(graph, histograms, graph.producer(places[site.seen]))
            for site in self._sites
        }

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
    if graph.kind(operator) == "DEPTHWISE_CONV_2D":
        each = np.repeat(factors, len(seen.mean) // len(factors))[:, None]
        return InputStatistics(seen.mean * each, seen.covariance * each[..., None] ** 2)
    taps = np.tile(factors, len(seen.mean) // len(factors))
    if (taps == 1).all():
        return seen
    return InputStatistics(seen.mean * taps, seen.covariance * taps * taps[:, None])


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
