"""Darknet's weights files, folded into one kernel and one bias per convolution.

The file is a header (three int32: major, minor, revision; then the number of images seen,
int64 since version 0.2, int32 before) and float32 values without any marks between them:
per convolution the biases, with batch normalization the scales, means and variances, then
the kernel (filters, channels / groups, size, size).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.tools.convert.darknet_layers import Convolutional, Network

__all__ = ["BATCH_NORM_EPSILON", "ConvolutionWeights", "float_count", "read_weights"]

# What the reference uses; 1e-5, the habit elsewhere, is off by up to 2e-2 on small networks.
BATCH_NORM_EPSILON = 1e-6


class ConvolutionWeights(NamedTuple):
    """What a convolution multiplies and adds.

    Attributes:
        kernel: (size, size, channels / groups, filters) float32.
        bias: (filters,) float32.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def float_count(layer: Convolutional) -> int:
    """How many values of the weights file belong to a convolution."""
    filters = layer.shape.channels
    per_filter = 4 if layer.batch_normalize else 1
    return filters * (per_filter + layer.channels // layer.groups * layer.size**2)


def read_weights(path: Path, network: Network) -> dict[int, ConvolutionWeights]:
    """Read a weights file and fold batch normalization into kernels and biases.

    Args:
        path: The weights file.
        network: What it was trained for.

    Returns:
        Kernel and bias by index of the layer.

    Raises:
        ModelError: The file cannot be read, does not have exactly the values that the
            network needs, or some are not finite.
    """
    values = _read_values(path)
    _check_count(path, len(values), network)
    folded = {}
    for index, layer, start in _convolutions(network):
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            weights = _fold(layer, values[start : start + float_count(layer)])
        if not (np.isfinite(weights.kernel).all() and np.isfinite(weights.bias).all()):
            raise ModelError(
                f"{path.name}: the weights of the [convolutional] at line {layer.line} of "
                f"{network.source} (layer {index}) are not finite",
                "the file is damaged, or belongs to another cfg",
            )
        folded[index] = weights
    return folded


def _read_values(path: Path) -> NDArray[np.float32]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if len(content) < 16:
        raise ModelError(f"{path} is no Darknet weights file: it has {len(content)} bytes")
    major, minor, _ = struct.unpack_from("<3i", content)
    header = 20 if major * 10 + minor >= 2 else 16
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise ModelError(f"{path} is no Darknet weights file: its version would be {major}.{minor}")
    if (len(content) - header) % 4:
        raise ModelError(
            f"{path} does not hold whole float32 values: {len(content)} bytes after a header "
            f"of {header}",
            "the download may be incomplete",
        )
    return np.frombuffer(content, "<f4", offset=header)


def _convolutions(network: Network) -> Iterator[tuple[int, Convolutional, int]]:
    """Yield index, layer and first value of every convolution."""
    start = 0
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Convolutional):
            yield index, layer, start
            start += float_count(layer)


def _check_count(path: Path, actual: int, network: Network) -> None:
    convolutions = list(_convolutions(network))
    expected = sum(float_count(layer) for _, layer, _ in convolutions)
    if actual == expected:
        return
    fact = f"{path.name} has {actual} values, {network.source} needs {expected}"
    if actual > expected:
        raise ModelError(
            f"{fact}: {actual - expected} are left over",
            "the cfg is not the one that the weights were trained with; compare its filters, "
            "classes and batch_normalize",
        )
    index, layer, start = next(
        item for item in convolutions if item[2] + float_count(item[1]) > actual
    )
    raise ModelError(
        f"{fact}: they end in the [convolutional] at line {layer.line} (layer {index}), "
        f"{actual - start} of its {float_count(layer)} values are there",
        "the cfg is not the one that the weights were trained with, the download is "
        "incomplete, or the file holds only the first layers for training",
    )


def _fold(layer: Convolutional, values: NDArray[np.float32]) -> ConvolutionWeights:
    filters = layer.shape.channels
    heads = 4 if layer.batch_normalize else 1
    # float64 until everything is folded: one rounding per weight, not three.
    vectors = values[: heads * filters].reshape(heads, filters).astype(np.float64)
    kernel = values[heads * filters :].astype(np.float64)
    kernel = kernel.reshape(filters, layer.channels // layer.groups, layer.size, layer.size)
    bias = vectors[0]
    if layer.batch_normalize:
        _, scale, mean, variance = vectors
        factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
        kernel = kernel * factor[:, np.newaxis, np.newaxis, np.newaxis]
        bias = bias - mean * factor
    return ConvolutionWeights(
        np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), dtype=np.float32),
        bias.astype(np.float32),
    )
