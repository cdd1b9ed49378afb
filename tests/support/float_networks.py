"""Small float32 detectors as TFLite files, written operator by operator.

All look for squares of pure red and pure green on grey: class 0 and class 1. The backbone halves
the picture until a cell is as large as its stride and keeps the mean colours; the heads are
what they are in the networks that they are named after.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = [
    "LABELS",
    "FloatNet",
    "cell_points",
    "score_weights",
    "squares",
    "transformer",
    "with_float16_weights",
    "yolov5",
    "yolov8",
    "yolox",
]

LABELS = ("red", "green")
_BINS = 16


class FloatNet:
    """A graph in the making.

    Args:
        width: Of the input, in pixels.
        height: Of the input.
        channels: Of the input.
    """

    def __init__(self, width, height, channels=3):
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []
        self.buffers, self.codes = [schema.BufferT()], {}
        self.image = self.tensor("serving_default_images:0", (1, height, width, channels))
        self.graph.inputs = [self.image]

    def tensor(self, name, shape, values=None):
        """Add a tensor; its number."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = schema.TensorType.FLOAT32
        if values is not None:
            values = np.ascontiguousarray(values)
            integer = values.dtype.kind == "i"
            values = values.astype(np.int32 if integer else np.float32)
            tensor.type = schema.TensorType.INT32 if integer else schema.TensorType.FLOAT32
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values):
        """Add a constant; its number."""
        values = np.asarray(values)
        return self.tensor(f"constant_{len(self.graph.tensors)}", values.shape, values)

    def shape(self, index):
        """Of a tensor."""
        return tuple(self.graph.tensors[index].shape)

    def add(self, kind, inputs, shapes, version=1, name="", **options):
        """Add an operator; the number of its result, or the numbers if there are several."""
        code = self.codes.setdefault((kind, version), len(self.codes))
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = code, list(inputs)
        made = [
            self.tensor(name or f"{kind.lower()}_{len(self.graph.tensors)}", each)
            for each in shapes
        ]
        operator.outputs = made
        words = "".join(part.capitalize() for part in kind.split("_"))
        words = {
            "Conv2d": "Conv2D",
            "BatchMatmul": "BatchMatMul",
            **dict.fromkeys(("Logistic", "Relu", "Relu6"), ""),
        }.get(words, words)
        if words:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{words}Options")
            operator.builtinOptions = getattr(schema, f"{words}OptionsT")()
            for key, value in options.items():
                setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return made[0] if len(made) == 1 else made

    def conv(self, source, weights, bias, stride=1, *, relu=False, same=True, name=""):
        """A convolution; weights (filters, rows, columns, channels)."""
        _, rows, columns, _ = self.shape(source)
        if not same:
            rows, columns = rows - weights.shape[1] + 1, columns - weights.shape[2] + 1
        shape = (1, -(-rows // stride), -(-columns // stride), len(weights))
        activation = schema.ActivationFunctionType
        return self.add(
            "CONV_2D",
            [source, self.constant(weights), self.constant(np.asarray(bias, np.float32))],
            [shape],
            name=name,
            padding=schema.Padding.SAME if same else schema.Padding.VALID,
            strideH=stride,
            strideW=stride,
            dilationHFactor=1,
            dilationWFactor=1,
            fusedActivationFunction=activation.RELU6 if relu else activation.NONE,
        )

    def pad(self, source, side):
        """Zeros around the rows and columns."""
        _, rows, columns, channels = self.shape(source)
        sides = np.array([(0, 0), (side, side), (side, side), (0, 0)], np.int32)
        shape = (1, rows + 2 * side, columns + 2 * side, channels)
        return self.add("PAD", [source, self.constant(sides)], [shape])

    def reshape(self, source, shape, name=""):
        """Another shape."""
        new = self.constant(np.array(shape, np.int32))
        return self.add("RESHAPE", [source, new], [shape], name=name, newShape=list(shape))

    def concat(self, sources, axis, name=""):
        """One after another."""
        shape = list(self.shape(sources[0]))
        shape[axis] = sum(self.shape(each)[axis] for each in sources)
        return self.add("CONCATENATION", sources, [shape], name=name, axis=axis)

    def transpose(self, source, order):
        """Axes in another order."""
        shape = [self.shape(source)[axis] for axis in order]
        return self.add("TRANSPOSE", [source, self.constant(np.array(order, np.int32))], [shape])

    def unary(self, kind, source, name="", **options):
        """An operator that keeps the shape."""
        return self.add(kind, [source], [self.shape(source)], name=name, **options)

    def binary(self, kind, source, values):
        """An operator with a constant or a tensor."""
        other = values if isinstance(values, int) else self.constant(values)
        return self.add(kind, [source, other], [self.shape(source)])

    def part(self, source, begin, size):
        """A slice."""
        inputs = [source, self.constant(np.array(begin, np.int32))]
        return self.add("SLICE", [*inputs, self.constant(np.array(size, np.int32))], [size])

    def to_bytes(self, outputs, names=None):
        """The file.

        Args:
            outputs: Numbers of tensors.
            names: What to call them.
        """
        for index, name in zip(outputs, names or [], strict=False):
            self.graph.tensors[index].name = name
        self.graph.outputs = list(outputs)
        model = schema.ModelT()
        model.version, model.description = 3, "test model of edge-detect"
        model.subgraphs, model.buffers = [self.graph], self.buffers
        model.operatorCodes = []
        for kind, version in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def squares(size, seed=0, count=3):
    """A picture with red and green squares on grey noise, (size, size, 3) uint8, B, G, R."""
    random = np.random.default_rng(seed)
    picture = random.normal(110, 6, (size, size, 3))
    for number in range(count):
        side = int(random.integers(size // 8, size // 4))
        top, left = random.integers(0, size - side, 2)
        picture[top : top + side, left : left + side] = ((0, 0, 240), (0, 240, 0))[number % 2]
    return np.clip(picture, 0, 255).astype(np.uint8)


def _backbone(net, strides, real=1.0, seed=5, *, padded=False):
    """Features per stride: mean red, green and blue, and random mixtures of neighbours."""
    random = np.random.default_rng(seed)
    found, at, x = {}, 1, net.image
    channels = net.shape(x)[-1]
    while at < max(strides):
        at *= 2
        filters = channels + 8
        weights = random.normal(0, 0.25 / real, (filters, 3, 3, channels))
        weights[:channels] = 0
        for channel in range(channels):
            weights[channel, 1:, 1:, channel] = 0.25 / (real if at == 2 else 1)
        weights[channels:] *= 1 if at == 2 else real
        if padded and at == 2:
            x = net.pad(x, 2)
            weights = np.pad(weights, ((0, 0), (2, 0), (2, 0), (0, 0)))
            x = net.conv(x, weights, np.zeros(filters), stride=2, relu=True, same=False)
        else:
            x = net.conv(x, weights, np.zeros(filters), stride=2, relu=True)
        channels = filters
        if at in strides:
            found[at] = x
    return found


def score_weights(channels, sharp=14.0):
    """Weights and biases that tell red from green by the first three channels (R, G, B)."""
    weights = np.zeros((2, 1, 1, channels))
    weights[0, 0, 0, :3] = sharp, -sharp, -sharp / 4
    weights[1, 0, 0, :3] = -sharp, sharp, -sharp / 4
    return weights, np.full(2, -sharp / 3)


def _random(seed, filters, channels, spread):
    return np.random.default_rng(seed).normal(0, spread, (filters, 1, 1, channels))


def yolov8(size=64, *, relative=True, transposed=False, raw=False, stretch=1.0, padded=False):
    """YOLOv8 as it is exported: distances decoded, boxes and probabilities joined.

    Args:
        size: Of the input.
        relative: Whether boxes are parts of the input rather than pixels.
        transposed: Whether a candidate is a row.
        raw: Whether boxes are not decoded.
        stretch: Factor of the boxes' sizes that no other YOLOv8 has.
        padded: Whether an operator pads the picture, as converters of PyTorch's networks do.
    """
    net, strides = FloatNet(size, size), (8, 16)
    features = _backbone(net, strides, padded=padded)
    levels, raws, cells = [], [], 0
    for stride in strides:
        x = features[stride]
        channels, rows = net.shape(x)[-1], size // stride
        bias = -0.35 * (np.arange(_BINS) - 1.5) ** 2
        boxes = net.conv(x, _random(stride, 4 * _BINS, channels, 0.5), np.tile(bias, 4))
        classes = net.conv(x, *score_weights(channels))
        raws += [boxes, classes]
        joined = net.concat([boxes, classes], 3)
        levels.append(net.reshape(joined, (1, rows * rows, 4 * _BINS + 2)))
        cells += rows * rows
    if raw:
        return net.to_bytes(raws)
    both = net.concat(levels, 1)
    distances = net.part(both, (0, 0, 0), (1, cells, 4 * _BINS))
    scores = net.unary("LOGISTIC", net.part(both, (0, 0, 4 * _BINS), (1, cells, 2)))
    spread = net.unary("SOFTMAX", net.reshape(distances, (1, cells, 4, _BINS)), beta=1.0)
    means = net.conv(spread, np.arange(_BINS, dtype=np.float32).reshape(1, 1, 1, _BINS), [0.0])
    sides = net.reshape(means, (1, cells, 4))
    low, high = net.part(sides, (0, 0, 0), (1, cells, 2)), net.part(sides, (0, 0, 2), (1, cells, 2))
    points, scale = cell_points(size, strides)
    corner = net.add("SUB", [net.constant(points), low], [(1, cells, 2)])
    end = net.add("ADD", [net.constant(points), high], [(1, cells, 2)])
    centre = net.binary("MUL", net.add("ADD", [corner, end], [(1, cells, 2)]), np.float32([0.5]))
    extent = net.add("SUB", [end, corner], [(1, cells, 2)])
    extent = net.binary("MUL", extent, np.float32([stretch]))
    unit = scale / (size if relative else 1)
    boxes = net.binary("MUL", net.concat([centre, extent], 2), unit.astype(np.float32))
    whole = net.concat([boxes, scores], 2)
    return net.to_bytes([whole if transposed else net.transpose(whole, (0, 2, 1))], ["Identity"])


def cell_points(size, strides):
    """Centres of the cells in strides, (1, cells, 2), and the strides, (1, cells, 1)."""
    points, scale = [], []
    for stride in strides:
        y, x = np.mgrid[0 : size // stride, 0 : size // stride]
        points.append(np.stack([x, y], -1).reshape(-1, 2) + 0.5)
        scale.append(np.full((len(points[-1]), 1), stride))
    return np.concatenate(points)[None].astype(np.float32), np.concatenate(scale)[None]


def yolox(size=64):
    """YOLOX decoded to pixels: box, objectness and probabilities in one row; pixels 0 to 255."""
    net, strides = FloatNet(size, size), (8, 16, 32)
    # B, G, R: the backbone's first channel is blue here.
    features = _backbone(net, strides, real=255.0)
    levels = []
    for stride in strides:
        x = features[stride]
        channels, rows = net.shape(x)[-1], size // stride
        weights, bias = score_weights(channels)
        weights[..., :3] = weights[..., 2::-1]
        boxes = net.conv(x, _random(stride, 4, channels, 0.1), [0.4, 0.4, 0.8, 0.8])
        objectness = net.conv(x, weights[:1] * 0 + 0.5, [1.0])
        classes = net.conv(x, weights, bias)
        chances = [net.unary("LOGISTIC", each) for each in (objectness, classes)]
        joined = net.concat([boxes, *chances], 3)
        levels.append(net.reshape(joined, (1, rows * rows, 7)))
    both = net.concat(levels, 1)
    cells = net.shape(both)[1]
    points, scale = cell_points(size, strides)
    places = net.binary("ADD", net.part(both, (0, 0, 0), (1, cells, 2)), points - 0.5)
    sizes = net.unary("EXP", net.part(both, (0, 0, 2), (1, cells, 2)))
    boxes = [net.binary("MUL", each, scale.astype(np.float32)) for each in (places, sizes)]
    rest = net.part(both, (0, 0, 4), (1, cells, 3))
    return net.to_bytes([net.concat([*boxes, rest], 2)], ["output"])


def yolov5(size=64, anchors=((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 30))):
    """YOLOv5 as it is exported: 1 x candidates x (box, objectness, probabilities), relative."""
    net, strides = FloatNet(size, size), (8, 16)
    features = _backbone(net, strides)
    levels = []
    for stride, flat in zip(strides, anchors, strict=True):
        x = features[stride]
        channels, rows = net.shape(x)[-1], size // stride
        weights, bias = score_weights(channels)
        blocks, biases = [], []
        for number in range(3):
            blocks += [_random(stride + number, 4, channels, 0.15)]
            blocks += [np.full((1, 1, 1, channels), 0.3), weights]
            biases += [np.zeros(4), [0.5], bias]
        raw = net.conv(x, np.concatenate(blocks), np.concatenate(biases))
        cells = rows * rows
        values = net.unary("LOGISTIC", net.reshape(raw, (1, cells, 3, 7)))
        y, x = np.mgrid[0:rows, 0:rows]
        grid = np.repeat(np.stack([x, y], -1).reshape(1, cells, 1, 2), 3, 2).astype(np.float32)
        places = net.binary("MUL", net.part(values, (0, 0, 0, 0), (1, cells, 3, 2)), [2.0])
        places = net.binary("MUL", net.binary("ADD", places, grid - 0.5), [stride / size])
        doubled = net.binary("MUL", net.part(values, (0, 0, 0, 2), (1, cells, 3, 2)), [2.0])
        pairs = np.float32(flat).reshape(1, 1, 3, 2) / size
        sizes = net.binary("MUL", net.add("MUL", [doubled, doubled], [(1, cells, 3, 2)]), pairs)
        rest = net.part(values, (0, 0, 0, 4), (1, cells, 3, 3))
        levels.append(net.reshape(net.concat([places, sizes, rest], 3), (1, 3 * cells, 7)))
    return net.to_bytes([net.concat(levels, 1)], ["StatefulPartitionedCall:0"])


def transformer(size=64, queries=30):
    """A DETR: boxes and logits of queries that look at each other."""
    net = FloatNet(size, size)
    features = _backbone(net, (16,))[16]
    _, rows, columns, channels = net.shape(features)
    tokens = net.reshape(features, (1, rows * columns, channels))
    asked = net.constant(np.random.default_rng(0).normal(0, 1, (1, queries, channels)))
    looked = net.add(
        "BATCH_MATMUL", [asked, tokens], [(1, queries, rows * columns)], adjY=True, adjX=False
    )
    seen = net.unary("SOFTMAX", looked, beta=1.0)
    mixed = net.add("BATCH_MATMUL", [seen, tokens], [(1, queries, channels)])
    mixed = net.reshape(mixed, (1, 1, queries, channels))
    boxes = net.conv(mixed, _random(3, 4, channels, 0.5), np.zeros(4))
    boxes = net.unary("LOGISTIC", net.reshape(boxes, (1, queries, 4)), name="pred_boxes")
    logits = net.conv(mixed, *score_weights(channels))
    logits = net.reshape(logits, (1, queries, 2), name="pred_logits")
    return net.to_bytes([boxes, logits])


def with_float16_weights(content):
    """The same network with its weights stored in 16 bits, and widened by operators."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 1
    model.operatorCodes.append(code)
    for operator in list(graph.operators):
        kind = model.operatorCodes[operator.opcodeIndex].builtinCode
        if kind != schema.BuiltinOperator.CONV_2D:
            continue
        index = operator.inputs[1]
        tensor, buffer = graph.tensors[index], model.buffers[graph.tensors[index].buffer]
        half = np.asarray(buffer.data, np.uint8).view(np.float32).astype(np.float16)
        buffer.data = np.frombuffer(half.tobytes(), np.uint8)
        wide = schema.TensorT()
        wide.name, wide.shape, wide.buffer = f"{index}/wide", tensor.shape, 0
        wide.type, tensor.type = schema.TensorType.FLOAT32, schema.TensorType.FLOAT16
        graph.tensors.append(wide)
        widen = schema.OperatorT()
        widen.opcodeIndex = len(model.operatorCodes) - 1
        widen.inputs, widen.outputs = [index], [len(graph.tensors) - 1]
        operator.inputs = [operator.inputs[0], widen.outputs[0], operator.inputs[2]]
        graph.operators.insert(graph.operators.index(operator), widen)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
