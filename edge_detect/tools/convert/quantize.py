"""Full-integer post-training quantization.

The converter of TensorFlow lowers the network and does the arithmetic of scales; the
ranges are chosen here (see `ranges`), and afterwards the biases are corrected by what the
quantized network is found to add to each channel on average.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.models.chatter import without_announcements
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float_model import FloatModel, load_tensorflow
from edge_detect.tools.convert.ranges import (
    Samples,
    best_range,
    open_interpreter,
    sample_activations,
    scale_groups,
)

__all__ = [
    "Progress",
    "QuantizerOptions",
    "float_tflite",
    "quantize",
    "sample_pictures",
    "silent",
    "to_int8",
    "to_real",
]

Progress = Callable[[str, int, int], None]
_CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


@dataclass(frozen=True)
class QuantizerOptions:
    """How ranges are chosen.

    Attributes:
        logit_limit: Score logits are clipped to plus and minus this: beyond it the sigmoid
            is flat, and each step between is what a score can be told by.
        clip_weight: See `best_range`.
        correction_pictures: How many pictures the biases are corrected on; 0 for no
            correction.
    """

    logit_limit: float = 8.0
    clip_weight: float = 1.0
    correction_pictures: int = 8


def float_tflite(model: FloatModel) -> bytes:
    """Convert a network to a float32 TFLite file whose outputs bear their names.

    Raises:
        ModelError: The converted network does not compute the same as the original.
    """
    tf = load_tensorflow()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.function])
    content: bytes = converter.convert()
    width, height = model.input_size
    low, high = model.input_range
    noise = np.random.default_rng(1).uniform(low, high, (1, height, width, model.channels))
    image = noise.astype(np.float32)
    wanted = model.function(tf.constant(image))
    interpreter = open_interpreter(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    given = {
        detail["index"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_output_details()
    }
    # The converter sorts outputs as it likes and forgets their names; values tell.
    graph = Graph(content)
    graph.set_outputs({name: _twin(name, wanted[name].numpy(), given) for name in model.outputs})
    return graph.to_bytes()


def _twin(name: str, wanted: NDArray[Any], given: dict[int, NDArray[Any]]) -> int:
    scale = max(1.0, float(np.abs(wanted).max()))
    for index, values in given.items():
        if values.shape == wanted.shape and np.abs(values - wanted).max() <= 1e-3 * scale:
            return index
    raise ModelError(f"no output of the converted network equals {name!r} of the original")


def quantize(
    content: bytes,
    inputs: Sequence[NDArray[np.uint8]],
    input_range: tuple[float, float],
    *,
    score_outputs: Sequence[str] = (),
    options: QuantizerOptions,
    samples: Samples | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Quantize a float TFLite file: int8 activations, int8 weights per channel.

    The input takes a pixel minus 128 as int8, exactly.

    Args:
        content: The float file, from `float_tflite`.
        inputs: Calibration pictures, (1, height, width, channels) uint8.
        input_range: Real values of a black and of a white pixel.
        score_outputs: Names of the outputs that are logits.
        options: How ranges are chosen.
        samples: What `sample_pictures` gives for the same pictures, if that was done before.
        progress: Called with the name of a step, how much is done, and how much there is.

    Returns:
        The quantized file; the same arguments give the same bytes.
    """
    tell = progress or silent
    if samples is None:
        samples = sample_pictures(content, inputs, input_range, progress=tell)
    graph = Graph(content)
    names = {_name(graph, index): int(index) for index in graph.subgraph.outputs}
    ranges = _choose_ranges(graph, samples, set(score_outputs), options)
    for index, (low, high) in ranges.items():
        graph.set_range(index, low, high)
    graph.set_range(int(graph.subgraph.inputs[0]), *_exact_range(input_range))
    quantized = _name_outputs(_lower(graph.to_bytes()), list(names))
    if options.correction_pictures:
        count = min(options.correction_pictures, len(inputs))
        chosen = [index * len(inputs) // count for index in range(count)]
        quantized = correct_biases(
            content,
            quantized,
            [to_real(inputs[index], input_range) for index in chosen],
            [inputs[index] for index in chosen],
            leave=score_outputs,
            progress=lambda done, total: tell("correcting biases", done, total),
        )
    return quantized


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody wants to know."""
    del step, done, total


def sample_pictures(
    content: bytes,
    inputs: Sequence[NDArray[np.uint8]],
    input_range: tuple[float, float],
    *,
    progress: Progress = silent,
) -> Samples:
    """Sample the activations of a float network on pictures; see `sample_activations`."""
    return sample_activations(
        content,
        [to_real(pixels, input_range) for pixels in inputs],
        progress=lambda done, total: progress("calibrating", done, total),
    )


def to_real(pixels: NDArray[np.uint8], input_range: tuple[float, float]) -> NDArray[np.float32]:
    """The real values that pixels stand for."""
    low, high = input_range
    return (pixels.astype(np.float32) * ((high - low) / 255) + low).astype(np.float32)


def to_int8(pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    """What the quantized network takes for pixels: each less 128."""
    return (pixels ^ np.uint8(0x80)).view(np.int8)


def _exact_range(input_range: tuple[float, float]) -> tuple[float, float]:
    # A zero point is an integer: with black at -1 the scale is exact and the values are
    # half a step off, which the correction of the first layer's biases takes out again.
    low, high = input_range
    step = (high - low) / 255
    zero = round(-low / step - 0.25)
    return -zero * step, (255 - zero) * step


def _name(graph: Graph, index: int) -> str:
    name: bytes = graph.tensors[index].name
    return name.decode()


def _choose_ranges(
    graph: Graph,
    samples: Samples,
    scores: set[str],
    options: QuantizerOptions,
) -> dict[int, tuple[float, float]]:
    slopes = {
        int(operator.inputs[0]): float(operator.builtinOptions.alpha)
        for operator in graph.operators
        if graph.kind(operator) == "LEAKY_RELU"
    }
    ranges = {}
    for group in scale_groups(graph):
        values = np.concatenate([samples[index] for index in group])
        if any(_name(graph, index) in scores for index in group):
            # Not what was seen: calibration pictures may show none of the objects.
            chosen = (-options.logit_limit, options.logit_limit)
        else:
            slope = slopes.get(group[0], 1.0)
            chosen = best_range(values, negative_weight=slope**2, clip_weight=options.clip_weight)
        ranges.update(dict.fromkeys(group, chosen))
    return ranges


def _lower(content: bytes) -> bytes:
    tf = load_tensorflow()
    from tensorflow.lite.python import convert

    # It repeats its arguments on standard error for every candidate.
    with without_announcements(b"fully_quantize:"):
        quantized: bytes = convert.mlir_quantize(
            content,
            fully_quantize=True,
            inference_type=_INT8,
            input_data_type=tf.int8,
            output_data_type=tf.int8,
        )
    return quantized


# TFLite's own number for int8 (lite/types.proto), which this function wants.
_INT8 = 9


def _name_outputs(content: bytes, names: list[str]) -> bytes:
    graph = Graph(content)
    indices = [int(index) for index in graph.subgraph.outputs]
    graph.set_outputs(dict(zip(names, indices, strict=True)))
    return graph.to_bytes()


def correct_biases(
    original: bytes,
    quantized: bytes,
    reals: Sequence[NDArray[np.float32]],
    inputs: Sequence[NDArray[np.uint8]],
    *,
    leave: Sequence[str] = (),
    progress: Callable[[int, int], None],
) -> bytes:
    """Take out of each channel what quantization adds to it on average, layer by layer.

    Args:
        original: The float file.
        quantized: The same network, quantized.
        reals: Pictures for the float network.
        inputs: The same pictures as uint8.
        leave: Names of outputs whose layers stay as they are: of logits most lie below the
            clipping limit, so that an average over all says nothing about the rest.
        progress: Called with layers done and layers in all.

    Returns:
        The quantized file with other biases.

    Reference:
        Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        Correction", 2019, sec. 4.2 (the empirical form).
    """
    reference = Graph(original)
    graph = Graph(quantized)
    layers = [
        one
        for one in graph.operators
        if graph.kind(one) in _CONVOLUTIONS and _name(graph, one.outputs[0]) not in leave
    ]
    twins = {
        _name(reference, one.outputs[0]): int(one.outputs[0])
        for one in reference.operators
        if reference.kind(one) in _CONVOLUTIONS
    }
    details = open_interpreter(quantized).get_tensor_details()
    limits = {
        twins[one["name"]]: _limits(*one["quantization"]) for one in details if one["name"] in twins
    }
    wanted = _channel_means(open_interpreter(original), list(twins.values()), reals, limits)
    signed = [to_int8(pixels) for pixels in inputs]
    for number, layer in enumerate(layers, 1):
        output, bias = int(layer.outputs[0]), int(layer.inputs[2])
        means = wanted[twins[_name(graph, output)]]
        found = _means_of_one(graph, output, signed)
        scales = np.asarray(graph.tensors[bias].quantization.scale, np.float64)
        change = np.round((means - found) / scales)
        graph.set_values(bias, (graph.values(bias) + change).astype(np.int32))
        progress(number, len(layers))
    return graph.to_bytes()


def _limits(scale: float, zero: int) -> tuple[float, float]:
    return (-128 - zero) * scale, (127 - zero) * scale


def _means_of_one(
    graph: Graph, index: int, inputs: Sequence[NDArray[np.int8]]
) -> NDArray[np.float64]:
    # As the output of the network it can be read without keeping all tensors, which the fast
    # kernels refuse to do.
    outputs, graph.subgraph.outputs = graph.subgraph.outputs, np.array([index], np.int32)
    content = graph.to_bytes()
    graph.subgraph.outputs = outputs
    interpreter = open_interpreter(content, keep=False)
    return _channel_means(interpreter, [index], inputs)[index]


def _channel_means(
    interpreter: Any,
    indices: list[int],
    inputs: Sequence[NDArray[Any]],
    limits: dict[int, tuple[float, float]] | None = None,
) -> dict[int, NDArray[np.float64]]:
    place = interpreter.get_input_details()[0]["index"]
    details = {one["index"]: one["quantization"] for one in interpreter.get_tensor_details()}
    sums: dict[int, NDArray[np.float64]] = {}
    for pixels in inputs:
        interpreter.set_tensor(place, pixels)
        interpreter.invoke()
        for index in indices:
            values = interpreter.get_tensor(index)
            if limits is not None:
                # What is clipped on purpose is no error: logits far below any threshold
                # would otherwise pull every bias of their channel down.
                values = np.clip(values, *limits[index])
            mean = values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64)
            sums[index] = sums.get(index, 0.0) + mean
    means = {}
    for index, total in sums.items():
        scale, zero = details[index]
        mean = total / len(inputs)
        means[index] = (mean - zero) * scale if scale else mean
    return means
