"""A Darknet network as a TensorFlow graph of operations that quantize well in TFLite."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from edge_detect.core import ModelError
from edge_detect.tools.convert.darknet_activations import activate
from edge_detect.tools.convert.darknet_layers import (
    AvgPool,
    Convolutional,
    Layer,
    MaxPool,
    Network,
    Product,
    Reorg,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from edge_detect.tools.convert.darknet_weights import ConvolutionWeights
from edge_detect.tools.convert.float_model import FloatModel, load_tensorflow

__all__ = ["Head", "build_float_model", "output_names"]

Head = Literal["split", "joined"]


def output_names(head_number: int, head: Head) -> dict[str, str]:
    """Output names of one head, by what the manifest calls them."""
    parts = ("boxes", "objectness", "classes") if head == "split" else ("joined",)
    return {part: f"head{head_number}_{part}" for part in parts}


def build_float_model(
    network: Network, weights: dict[int, ConvolutionWeights], head: Head
) -> FloatModel:
    """Build the network up to the raw outputs of its heads.

    Args:
        network: The layers.
        weights: Kernel and bias by index of the layer.
        head: `split` makes three outputs of each head (box, objectness and class values,
            each to be quantized with a scale of its own); `joined` leaves Darknet's one.

    Raises:
        DependencyError: TensorFlow is not installed.
        ModelError: A layer cannot be expressed.
    """
    tf = load_tensorflow()
    size = network.input_size

    def run(image: Any) -> dict[str, Any]:
        return _Graph(tf, network, weights).outputs(image, head)

    shape = (1, size.height, size.width, network.channels)
    signature = tf.TensorSpec(shape, tf.float32, name="image")
    function = tf.function(run, autograph=False).get_concrete_function(signature)
    names = tuple(
        name for number in range(len(network.heads)) for name in output_names(number, head).values()
    )
    return FloatModel(function, size, (0.0, 1.0), names, network.channels)


class _Graph:
    """Adds a network's layers to the TensorFlow graph being traced."""

    def __init__(self, tf: Any, network: Network, weights: dict[int, ConvolutionWeights]) -> None:
        self._tf = tf
        self._network = network
        self._weights = weights

    def outputs(self, image: Any, head: Head) -> dict[str, Any]:
        """Run the network over an image.

        Args:
            image: (1, height, width, channels) float32, 0 to 1.
            head: See `build_float_model`.
        """
        heads = self._network.heads
        feeders = {index for index, _ in heads}
        tensors = {-1: image}
        read = {
            source
            for layer in self._network.layers
            if not isinstance(layer, Yolo)
            for source in layer.sources
        }
        for index, layer in enumerate(self._network.layers):
            only_for_head = index in feeders and index not in read
            if not (isinstance(layer, Yolo) or (only_for_head and head == "split")):
                tensors[index] = self._layer(index, layer, [tensors[i] for i in layer.sources])
        results = {}
        for number, (index, yolo) in enumerate(heads):
            names = output_names(number, head)
            if head == "joined":
                results[names["joined"]] = self._tf.identity(tensors[index], names["joined"])
                continue
            source = tensors[self._network.layers[index].sources[0]]
            layer, weights = self._ungrouped(index)
            for part, columns in _columns(yolo).items():
                chosen = ConvolutionWeights(weights.kernel[..., columns], weights.bias[columns])
                tensor = self._convolve(layer, chosen, source)
                results[names[part]] = self._tf.identity(tensor, names[part])
        return results

    def _ungrouped(self, index: int) -> tuple[Convolutional, ConvolutionWeights]:
        """A convolution as one group, with zeros between the groups that it had."""
        layer, weights = self._network.layers[index], self._weights[index]
        assert isinstance(layer, Convolutional)
        if layer.groups == 1:
            return layer, weights
        kernel = np.zeros((layer.size, layer.size, layer.channels, layer.shape.channels))
        inputs, filters = layer.channels // layer.groups, layer.shape.channels // layer.groups
        for group in range(layer.groups):
            outs = slice(group * filters, (group + 1) * filters)
            ins = slice(group * inputs, (group + 1) * inputs)
            kernel[:, :, ins, outs] = weights.kernel[..., outs]
        dense = ConvolutionWeights(kernel.astype(np.float32), weights.bias)
        return replace(layer, groups=1), dense

    def _layer(self, index: int, layer: Layer, inputs: list[Any]) -> Any:
        tf = self._tf
        match layer:
            case Convolutional():
                return self._convolve(layer, self._weights[index], inputs[0])
            case MaxPool():
                return self._pool(layer, inputs[0])
            case Route():
                parts = [
                    tf.split(tensor, layer.groups, axis=3)[layer.group_id]
                    if layer.groups > 1
                    else tensor
                    for tensor in inputs
                ]
                return tf.concat(parts, axis=3) if len(parts) > 1 else parts[0]
            case Shortcut():
                total = inputs[0]
                for tensor in inputs[1:]:
                    total = tf.add(total, self._with_channels(tensor, layer.shape.channels))
                return activate(tf, layer.activation, total)
            case AvgPool():
                return tf.reduce_mean(inputs[0], axis=(1, 2), keepdims=True)
            case Product():
                return activate(tf, layer.activation, tf.multiply(inputs[0], inputs[1]))
            case Reorg():
                return self._reorganize(layer, inputs[0])
            case Upsample():
                return tf.raw_ops.ResizeNearestNeighbor(images=inputs[0], size=layer.shape[:2])
            case _:
                return inputs[0]

    def _with_channels(self, tensor: Any, wanted: int) -> Any:
        """The first channels of a tensor, and zeros where it has fewer."""
        channels = tensor.shape[3]
        if channels > wanted:
            return tensor[..., :wanted]
        if channels < wanted:
            return self._tf.pad(tensor, [[0, 0], [0, 0], [0, 0], [0, wanted - channels]])
        return tensor

    def _reorganize(self, layer: Reorg, tensor: Any) -> Any:
        tf, side = self._tf, layer.stride
        _, rows, columns, channels = tensor.shape
        out_rows, out_columns, out_channels = layer.shape
        if not layer.scrambled:
            squares = (out_rows, side, out_columns, side, channels)
            tensor = tf.transpose(tf.reshape(tensor, squares), (0, 2, 1, 3, 4))
            return tf.reshape(tensor, (1, *layer.shape))
        # Darknet's memory is channels, rows, columns.
        memory = tf.transpose(tensor[0], (2, 0, 1))
        memory = tf.reshape(memory, (channels // side**2, rows, side, columns, side))
        memory = tf.transpose(memory, (2, 4, 0, 1, 3))
        memory = tf.reshape(memory, (1, out_channels, out_rows, out_columns))
        return tf.transpose(memory, (0, 2, 3, 1))

    def _convolve(self, layer: Convolutional, weights: ConvolutionWeights, tensor: Any) -> Any:
        tf = self._tf
        tensor, padding = self._pad_zeros(layer, tensor)
        kernel = weights.kernel
        if layer.groups == 1:
            result = tf.nn.conv2d(tensor, kernel, layer.stride, padding)
        elif layer.groups == layer.channels:
            # (size, size, 1, filters) → (size, size, channels, filters per channel): both
            # count the filters of the first channel first.
            depthwise = kernel.reshape(*kernel.shape[:2], layer.channels, -1)
            strides = (1, layer.stride, layer.stride, 1)
            result = tf.nn.depthwise_conv2d(tensor, depthwise, strides, padding)
        else:
            # TFLite delegates know no groups other than depthwise ones.
            parts = [
                tf.nn.conv2d(part, part_kernel, layer.stride, padding)
                for part, part_kernel in zip(
                    tf.split(tensor, layer.groups, axis=3),
                    np.split(kernel, layer.groups, axis=3),
                    strict=True,
                )
            ]
            result = tf.concat(parts, axis=3)
        return activate(tf, layer.activation, tf.nn.bias_add(result, weights.bias))

    def _pad_zeros(self, layer: Convolutional, tensor: Any) -> tuple[Any, str]:
        """Pad as Darknet does: the same on both sides, where TensorFlow favours the end."""
        rows, columns = tensor.shape[1:3]
        before = layer.padding
        if before == 0:
            return tensor, "VALID"
        afters = [
            _padding_after(length, before, layer.size, layer.stride, count)
            for length, count in zip((rows, columns), layer.shape[:2], strict=True)
        ]
        if all(
            _is_same(length, before, layer.size, layer.stride, count)
            for length, count in zip((rows, columns), layer.shape[:2], strict=True)
        ):
            return tensor, "SAME"
        pads = [[0, 0], [before, afters[0]], [before, afters[1]], [0, 0]]
        return self._tf.pad(tensor, pads), "VALID"

    def _pool(self, layer: MaxPool, tensor: Any) -> Any:
        tf = self._tf
        before = layer.padding // 2
        lengths = list(zip(tensor.shape[1:3], layer.shape[:2], strict=True))
        if all(_is_same(n, before, layer.size, layer.stride, count) for n, count in lengths):
            return tf.nn.max_pool2d(tensor, layer.size, layer.stride, "SAME")
        afters = [
            _padding_after(n, before, layer.size, layer.stride, count) for n, count in lengths
        ]
        if before or any(afters):
            # A mirrored edge repeats values that the window holds already, so the maximum is
            # the same as with -infinity, which int8 cannot express.
            if 2 * max(before, *afters) > layer.size:
                raise ModelError(
                    f"{self._network.source}: [maxpool] at line {layer.line} pads "
                    f"{layer.padding} around windows of {layer.size}; that cannot be expressed",
                    "padding must not be larger than size",
                )
            pads = [[0, 0], [before, afters[0]], [before, afters[1]], [0, 0]]
            tensor = tf.pad(tensor, pads, "SYMMETRIC")
        return tf.nn.max_pool2d(tensor, layer.size, layer.stride, "VALID")


def _columns(yolo: Yolo) -> dict[str, list[int]]:
    """Which filters of a head's convolution belong to which output, anchor by anchor."""
    width = 5 + yolo.classes
    starts = range(0, len(yolo.mask) * width, width)
    return {
        "boxes": [start + k for start in starts for k in range(4)],
        "objectness": [start + 4 for start in starts],
        "classes": [start + k for start in starts for k in range(5, width)],
    }


def _padding_after(length: int, before: int, size: int, stride: int, count: int) -> int:
    """Cells needed beyond the end for `count` windows; 0 where some cells stay unused."""
    return max(0, (count - 1) * stride + size - length - before)


def _is_same(length: int, before: int, size: int, stride: int, count: int) -> bool:
    """Whether TensorFlow's SAME puts the windows where Darknet does."""
    total = max(0, (-(-length // stride) - 1) * stride + size - length)
    return count == -(-length // stride) and before == total // 2
