"""Small networks with operators that need care when they are quantized."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from support.small_networks import SIZE, SmallNetwork

__all__ = ["ODD_NETWORKS", "odd_network"]


def _ints(net, *values):
    return net.constant(np.array(values, np.int32))


def _reals(net, *values):
    return net.constant(np.array(values, np.float32))


def _leaky_by_maximum(net, start):
    small = net.product(start, _reals(net, 0.1))
    return net.add("MAXIMUM", [start, small], net.shape(start), "MaximumMinimum")


def _clipped_at_one(net, start):
    return net.add("MINIMUM", [start, _reals(net, 1.0)], net.shape(start), "MaximumMinimum")


def _hard_mish(net, start):
    more = net.add("ADD", [start, _reals(net, 2.0)], net.shape(start), "Add")
    low = net.add("MAXIMUM", [more, _reals(net, 0.0)], net.shape(start), "MaximumMinimum")
    both = net.add("MINIMUM", [low, _reals(net, 2.0)], net.shape(start), "MaximumMinimum")
    return net.product(net.product(start, _reals(net, 0.5)), both)


def _joined_with_image(net, start):
    return net.join(start, net.image)


def _joined_with_slice_of_image(net, start):
    parts = [_ints(net, 0, 0, 0, 0), _ints(net, 1, SIZE, SIZE, 2)]
    part = net.add("SLICE", [net.image, *parts], (1, SIZE, SIZE, 2), "Slice")
    return net.join(start, part)


def _joined_with_constant(net, start):
    grid = net.random.uniform(-1, 1, (1, SIZE, SIZE, 2)).astype(np.float32)
    return net.join(start, net.constant(grid))


def _probabilities_joined_with_constant(net, start):
    grid = net.random.uniform(-5, 5, (1, SIZE, SIZE, 2)).astype(np.float32)
    return net.join(net.logistic(start), net.constant(grid))


def _probabilities_joined_with_reals(net, start):
    return net.join(net.logistic(start), net.conv(net.image, 8))


def _probabilities_joined_with_tanh(net, start):
    return net.join(net.logistic(start), net.add("TANH", [start], net.shape(start)))


def _probabilities_reshaped_and_joined(net, start):
    shape = (1, SIZE, SIZE, 8)
    moved = net.add("RESHAPE", [net.logistic(start), _ints(net, *shape)], shape, "Reshape")
    return net.join(moved, start)


def _clipped_joined_with_unclipped(net, start):
    wide = net.conv(net.image, 8, weights=40 * net.random.normal(0, 1, (8, 3, 3, 3)))
    clipped = net.conv(start, 8, activation="RELU6", bias=np.full(8, 2.0))
    return net.join(clipped, wide)


def _clipped_and_averaged(net, start):
    spread = net.conv(start, 8, weights=4 * net.random.normal(0, 1, (8, 3, 3, 8)))
    shape = (1, SIZE // 8, SIZE // 8, 8)
    return net.add("AVERAGE_POOL_2D", [spread], shape, "Pool2D", padding=schema.Padding.VALID,
                   strideH=8, strideW=8, filterHeight=8, filterWidth=8)  # fmt: skip


def _times_moved_constant(net, start):
    factors = net.constant(np.linspace(-3, 3, 8).astype(np.float32))
    shape = (1, 1, 1, 8)
    moved = net.add("RESHAPE", [factors, _ints(net, *shape)], shape, "Reshape")
    return net.product(start, moved)


def _constant_per_column(net, start):
    wide = net.conv(start, SIZE)
    columns = np.linspace(-3, 3, SIZE).astype(np.float32).reshape(1, 1, SIZE, 1)
    return net.sum(wide, net.constant(columns))


def _twice_itself_and_three(net, start):
    return net.sum(net.sum(start, start), _reals(net, 3.0))


def _sum_by_add_n(net, start):
    return net.add("ADD_N", [start, net.conv(net.image, 8)], net.shape(start), "AddN")


def _squared(net, start):
    return net.product(start, start)


def _reshaped_by_its_shape(net, start):
    whole = net.integers("SHAPE", [start], (4,), "Shape", outType=schema.TensorType.INT32)
    places = [_ints(net, 0), _ints(net, 1), _ints(net, 1)]
    batch = net.integers("STRIDED_SLICE", [whole, *places], (), "StridedSlice", shrinkAxisMask=1)
    one = net.constant(np.array(1, np.int32))
    batch = net.integers("MUL", [batch, one], (), "Mul")
    rest = [net.constant(np.array(value, np.int32)) for value in (SIZE, SIZE, 8)]
    shape = net.integers("PACK", [batch, *rest], (4,), "Pack", valuesCount=4, axis=0)
    return net.add("RESHAPE", [start, shape], net.shape(start), "Reshape")


def _in_groups(net, start):
    weights = net.random.normal(0, 0.3, (8, 3, 3, 4))
    return net.convolve("CONV_2D", "Conv2D", start, weights, np.zeros(8), 8, 1, "NONE")


def _several_per_channel(net, start):
    weights = net.random.normal(0, 0.3, (1, 3, 3, 16))
    return net.convolve("DEPTHWISE_CONV_2D", "DepthwiseConv2D", start, weights, np.zeros(16), 16,
                        1, "RELU6", depthMultiplier=2)  # fmt: skip


def _squeezed_and_excited(net, start):
    wide = net.conv(start, 64, size=1, activation="RELU6")
    mean = net.add("AVERAGE_POOL_2D", [wide], (1, 1, 1, 64), "Pool2D",
                   padding=schema.Padding.VALID, strideH=SIZE, strideW=SIZE, filterHeight=SIZE,
                   filterWidth=SIZE)  # fmt: skip
    return net.product(wide, net.logistic(net.conv(net.conv(mean, 8, size=1), 64, size=1)))


def _split(net, start):
    operator = net.add("SPLIT", [net.constant(np.array(3, np.int32)), start],
                       (1, SIZE, SIZE, 4), "Split", numSplits=2)  # fmt: skip
    other = net.tensor("other", (1, SIZE, SIZE, 4))
    net.graph.operators[-1].outputs.append(other)
    return net.join(net.conv(operator, 4), other)


def _padded(net, start):
    shape = (1, SIZE + 2, SIZE + 2, 8)
    sides = net.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    return net.add("PAD", [start, sides], shape, "Pad")


def _every_other(net, start):
    places = [_ints(net, 0, 0, 0, 0), _ints(net, 1, SIZE, SIZE, 8), _ints(net, 1, 2, 2, 1)]
    return net.add("STRIDED_SLICE", [start, *places], (1, SIZE // 2, SIZE // 2, 8), "StridedSlice")


def _gathered(net, start):
    order = _ints(net, 7, 0, 3, 3)
    return net.add("GATHER", [start, order], (1, SIZE, SIZE, 4), "Gather", axis=3)


def _parametric(net, start):
    slopes = net.constant(np.linspace(-0.1, 0.5, 8).astype(np.float32).reshape(1, 1, 8))
    return net.add("PRELU", [start, slopes], net.shape(start))


def _shared_weights(net, start):
    first = net.conv(start, 8, size=1)
    kernel, bias = net.graph.operators[-1].inputs[1:]
    other = net.conv(net.conv(net.image, 8), 8, size=1)
    net.graph.operators[-1].inputs[1:] = [kernel, bias]
    return net.join(first, other)


def _large(net, start):
    return net.conv(start, 8, size=1, weights=1e5 * net.random.normal(0, 1, (8, 1, 1, 8)))


def _tiny(net, start):
    weights = 1e-4 * net.random.normal(0, 1, (8, 1, 1, 8))
    small = net.conv(start, 8, size=1, weights=weights, bias=np.zeros(8))
    return net.conv(small, 8, size=1, weights=1e4 * net.random.normal(0, 1, (8, 1, 1, 8)))


_BODIES = (
    _leaky_by_maximum,
    _clipped_at_one,
    _hard_mish,
    _joined_with_image,
    _joined_with_slice_of_image,
    _joined_with_constant,
    _probabilities_joined_with_constant,
    _probabilities_joined_with_reals,
    _probabilities_joined_with_tanh,
    _probabilities_reshaped_and_joined,
    _clipped_joined_with_unclipped,
    _clipped_and_averaged,
    _times_moved_constant,
    _constant_per_column,
    _twice_itself_and_three,
    _sum_by_add_n,
    _squared,
    _reshaped_by_its_shape,
    _in_groups,
    _several_per_channel,
    _squeezed_and_excited,
    _split,
    _padded,
    _every_other,
    _gathered,
    _parametric,
    _shared_weights,
    _large,
    _tiny,
)
ODD_NETWORKS = {body.__name__.strip("_"): body for body in _BODIES}


def odd_network(name, seed=3):
    """A convolution, the operators of that name, and another convolution."""
    net = SmallNetwork(seed)
    body = ODD_NETWORKS[name](net, net.conv(net.image, 8))
    return net.to_bytes(out=net.conv(body, 4, size=1))
