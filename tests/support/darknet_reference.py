"""A slow and obvious evaluation of Darknet networks, in Darknet's order of memory.

Layers are arrays of channels, rows and columns, as Darknet has them; every formula is that of
its C code for one picture.
"""

import numpy as np

from edge_detect.tools.convert import darknet_layers as layers


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.where(x > 0, x, 0),
    "relu6": lambda x: np.minimum(np.where(x > 0, x, 0), 6),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "elu": lambda x: np.where(x >= 0, x, np.exp(x) - 1),
    "logistic": _sigmoid,
    "loggy": lambda x: 2 * _sigmoid(x) - 1,
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    "hardtan": lambda x: np.where(x < -1, -1, np.where(x > 1, 1, x)),
    "swish": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "hard_mish": lambda x: np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0)),
}


def convolve(layer, weights, source):
    """Every output cell from its window, group by group."""
    padded = np.pad(source, ((0, 0), (layer.padding,) * 2, (layer.padding,) * 2))
    inputs = layer.channels // layer.groups
    filters = layer.shape.channels // layer.groups
    out = np.empty((layer.shape.channels, layer.shape.rows, layer.shape.columns))
    for filter_, row, column in np.ndindex(out.shape):
        first = filter_ // filters * inputs
        top, left = row * layer.stride, column * layer.stride
        window = padded[first : first + inputs, top : top + layer.size, left : left + layer.size]
        kernel = weights.kernel[..., filter_].transpose(2, 0, 1)
        out[filter_, row, column] = (window * kernel).sum() + weights.bias[filter_]
    return ACTIVATIONS[layer.activation](out)


def add(layer, sources):
    """A flat sum as far as both reach: Darknet adds memory, so that channels are cut."""
    out = sources[0].copy().reshape(-1)
    for other in sources[1:]:
        count = min(out.size, other.size)
        out[:count] += other.reshape(-1)[:count]
    return ACTIVATIONS[layer.activation](out.reshape(sources[0].shape))


def multiply(layer, sources):
    """One factor per channel, per cell, or for each value."""
    scale, values = sources
    out = np.empty(values.shape)
    for channel, row, column in np.ndindex(values.shape):
        factor = scale[
            channel if scale.shape[0] > 1 else 0,
            row if scale.shape[1] > 1 else 0,
            column if scale.shape[2] > 1 else 0,
        ]
        out[channel, row, column] = factor * values[channel, row, column]
    return ACTIVATIONS[layer.activation](out)


def reorganize(layer, source):
    """reorg_cpu of blas.c; [reorg] gives it the size of the input, [reorg3d] of the output."""
    out_shape = (layer.shape.channels, layer.shape.rows, layer.shape.columns)
    channels, rows, columns = source.shape if layer.scrambled else out_shape
    flat, side = source.reshape(-1), layer.stride
    out = np.empty(flat.size)
    fewer = channels // side**2
    for k, j, i in np.ndindex(channels, rows, columns):
        offset = k // fewer
        w2, h2 = i * side + offset % side, j * side + offset // side
        out[i + columns * (j + rows * k)] = flat[
            w2 + columns * side * (h2 + rows * side * (k % fewer))
        ]
    return out.reshape(out_shape)


def forward(network, weights, image):
    """The raw outputs of all heads, each (rows, columns, channels).

    Args:
        network: From `read_cfg`.
        weights: From `read_weights`.
        image: (height, width, 3) float.
    """
    done, heads = {-1: image.transpose(2, 0, 1).astype(np.float64)}, []
    for index, layer in enumerate(network.layers):
        sources = [done[source] for source in layer.sources]
        match layer:
            case layers.Convolutional():
                done[index] = convolve(layer, weights[index], sources[0])
            case layers.AvgPool():
                done[index] = sources[0].mean(axis=(1, 2), keepdims=True)
            case layers.Shortcut():
                done[index] = add(layer, sources)
            case layers.Product():
                done[index] = multiply(layer, sources)
            case layers.Reorg():
                done[index] = reorganize(layer, sources[0])
            case layers.Route():
                done[index] = np.concatenate(sources)
            case layers.Yolo():
                heads.append(sources[0].transpose(1, 2, 0))
    return heads
