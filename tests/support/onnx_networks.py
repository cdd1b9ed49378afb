"""Small detectors as ONNX files, written field by field: no package is needed.

Reference:
    onnx.proto of ONNX 1.15 (numbers of the fields).
"""

import struct

import numpy as np

from . import float_networks as networks

__all__ = ["OnnxNet", "message", "text", "varint", "yolov8"]

_FLOAT, _INT64 = 1, 7
_BINS = 16


def varint(number):
    """An integer in seven bits a byte."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def message(field, content):
    """A field with bytes in it."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def text(field, words):
    """A field with a string in it."""
    return message(field, words.encode())


def _integer(field, number):
    return varint(field << 3) + varint(number)


def _tensor(name, values):
    integer = values.dtype.kind == "i"
    values = values.astype(np.int64 if integer else np.float32)
    dims = b"".join(_integer(1, side) for side in values.shape)
    data = message(9, values.tobytes())
    return dims + _integer(2, _INT64 if integer else _FLOAT) + text(8, name) + data


def _value(name, shape, kind=_FLOAT):
    dims = b"".join(
        message(1, text(2, side) if isinstance(side, str) else _integer(1, side)) for side in shape
    )
    return text(1, name) + message(2, message(1, _integer(1, kind) + message(2, dims)))


def _attribute(name, value):
    start = text(1, name)
    if isinstance(value, int):
        return start + _integer(3, value) + _integer(20, 2)
    if isinstance(value, float):
        return start + varint(2 << 3 | 5) + struct.pack("<f", value) + _integer(20, 1)
    if isinstance(value, str):
        return start + text(4, value) + _integer(20, 3)
    return start + b"".join(_integer(8, each) for each in value) + _integer(20, 7)


class OnnxNet:
    """A graph in the making; every result is named after its operator."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []

    def input(self, name, shape, kind=_FLOAT):
        """Add an input; its name."""
        self.inputs.append(_value(name, shape, kind))
        return name

    def constant(self, values):
        """Add a constant; its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(_tensor(name, np.asarray(values)))
        return name

    def add(self, kind, *inputs, outputs=1, domain="", **attributes):
        """Add an operator; the name of its result, or the names."""
        made = [f"{kind.lower()}_{len(self.nodes)}_{number}" for number in range(outputs)]
        node = b"".join(text(1, name) for name in inputs)
        node += b"".join(text(2, name) for name in made) + text(3, made[0]) + text(4, kind)
        node += text(7, domain) if domain else b""
        node += b"".join(message(5, _attribute(*each)) for each in attributes.items())
        self.nodes.append(node)
        return made[0] if outputs == 1 else made

    def output(self, name, shape):
        """Make a result an output."""
        self.outputs.append(_value(name, shape))

    def to_bytes(self, metadata=None):
        """The file."""
        graph = b"".join(message(1, node) for node in self.nodes) + text(2, "main")
        graph += b"".join(message(5, each) for each in self.constants)
        graph += b"".join(message(11, each) for each in self.inputs)
        graph += b"".join(message(12, each) for each in self.outputs)
        made = _integer(1, 8) + text(2, "edge-detect tests") + message(7, graph)
        made += message(8, text(1, "") + _integer(2, 13))
        pairs = (metadata or {}).items()
        return made + b"".join(message(14, text(1, key) + text(2, word)) for key, word in pairs)


def yolov8(size=64, metadata=None, batch=1):
    """YOLOv8 as PyTorch exports it: 1 x (4 + 2) x cells, boxes in pixels, channels first."""
    net, strides = OnnxNet(), (8, 16)
    x = net.input("images", (batch, 3, size, size))
    random, channels, at, features = np.random.default_rng(5), 3, 1, {}
    while at < max(strides):
        at *= 2
        weights = random.normal(0, 0.25, (channels + 8, channels, 3, 3))
        weights[:channels] = 0
        for channel in range(channels):
            weights[channel, channel, 1:, 1:] = 0.25
        weights = net.constant(weights)
        x = net.add("Conv", x, weights, pads=[1, 1, 1, 1], strides=[2, 2], kernel_shape=[3, 3])
        x = net.add("Relu", x)
        channels += 8
        features[at] = (x, channels)
    levels, cells = [], 0
    for stride in strides:
        x, channels = features[stride]
        random = np.random.default_rng(stride)
        bias = np.tile(-0.35 * (np.arange(_BINS) - 1.5) ** 2, 4)
        boxes = random.normal(0, 0.3, (4 * _BINS, channels, 1, 1))
        boxes = net.add("Conv", x, net.constant(boxes), net.constant(bias), kernel_shape=[1, 1])
        weights, bias = networks.score_weights(channels)
        weights = net.constant(weights.transpose(0, 3, 1, 2))
        classes = net.add("Conv", x, weights, net.constant(bias), kernel_shape=[1, 1])
        joined = net.add("Concat", boxes, classes, axis=1)
        count = (size // stride) ** 2
        shape = net.constant(np.array([1, 4 * _BINS + 2, count]))
        levels.append(net.add("Reshape", joined, shape))
        cells += count
    both = net.add("Concat", *levels, axis=2)
    parts = net.constant(np.array([4 * _BINS, 2]))
    distances, logits = net.add("Split", both, parts, outputs=2, axis=1)
    split = net.add("Reshape", distances, net.constant(np.array([1, 4, _BINS, cells])))
    spread = net.add("Softmax", net.add("Transpose", split, perm=[0, 2, 1, 3]), axis=1)
    steps = net.constant(np.arange(_BINS, dtype=np.float32).reshape(1, _BINS, 1, 1))
    sides = net.add("Conv", spread, steps, kernel_shape=[1, 1])
    sides = net.add("Reshape", sides, net.constant(np.array([1, 4, cells])))
    low, high = net.add("Split", sides, net.constant(np.array([2, 2])), outputs=2, axis=1)
    points, scale = networks.cell_points(size, strides)
    centres = net.constant(points.transpose(0, 2, 1))
    corner, end = net.add("Sub", centres, low), net.add("Add", centres, high)
    middle = net.add("Div", net.add("Add", corner, end), net.constant(np.float32(2)))
    extent = net.add("Sub", end, corner)
    boxes = net.add("Concat", middle, extent, axis=1)
    scale = net.constant(scale.transpose(0, 2, 1).astype(np.float32))
    boxes = net.add("Mul", boxes, scale)
    whole = net.add("Concat", boxes, net.add("Sigmoid", logits), axis=1)
    net.output(whole, (1, 6, cells))
    return net.to_bytes(metadata)
