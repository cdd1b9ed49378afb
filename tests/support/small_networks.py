"""Small float32 convolutional networks as TFLite files, with random weights."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = ["SIZE", "SmallNetwork", "leaky_network", "relu6_network", "small_pictures"]

SIZE = 32
_FUSED = vars(schema.ActivationFunctionType)


class SmallNetwork:
    """A graph in the making; every method gives the number of the tensor that it adds."""

    def __init__(self, seed=1):
        self.random = np.random.default_rng(seed)
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.buffers, self.codes = [schema.BufferT()], {}
        self.image = self.tensor("image", (1, SIZE, SIZE, 3))

    def tensor(self, name, shape, values=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = schema.TensorType.FLOAT32
        if values is not None:
            values = np.ascontiguousarray(values)
            if values.dtype == np.int32:
                tensor.type = schema.TensorType.INT32
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values):
        values = np.asarray(values)
        return self.tensor("constant", values.shape, values)

    def shape(self, index):
        return tuple(self.graph.tensors[index].shape)

    def add(self, kind, inputs, shape, options=None, **values):
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(kind, len(self.codes))
        operator.inputs = inputs
        operator.outputs = [self.tensor(f"t{len(self.graph.tensors)}", shape)]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            operator.builtinOptions = getattr(schema, f"{options}OptionsT")()
            for key, value in values.items():
                setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return operator.outputs[0]

    def conv(
        self, source, filters, size=3, stride=1, activation="NONE", *, weights=None, bias=None
    ):
        channels = self.shape(source)[3]
        if weights is None:
            weights = self.random.normal(0, (2 / (size * size * channels)) ** 0.5,
                                         (filters, size, size, channels))  # fmt: skip
        if bias is None:
            bias = self.random.normal(0, 0.2, filters)
        return self.convolve("CONV_2D", "Conv2D", source, weights, bias, filters, stride,
                              activation)  # fmt: skip

    def depthwise(self, source, size=3, stride=1, activation="NONE"):
        channels = self.shape(source)[3]
        weights = self.random.normal(0, 1 / size, (1, size, size, channels))
        bias = self.random.normal(0, 0.2, channels)
        return self.convolve("DEPTHWISE_CONV_2D", "DepthwiseConv2D", source, weights, bias,
                              channels, stride, activation, depthMultiplier=1)  # fmt: skip

    def convolve(self, kind, options, source, weights, bias, filters, stride, activation, **more):
        _, height, width, _ = self.shape(source)
        constants = [
            self.tensor("weights", np.shape(weights), np.asarray(weights, np.float32)),
            self.tensor("bias", (filters,), np.asarray(bias, np.float32)),
        ]
        shape = (1, -(-height // stride), -(-width // stride), filters)
        return self.add(kind, [source, *constants], shape, options, strideH=stride, strideW=stride,
                        padding=schema.Padding.SAME, dilationHFactor=1, dilationWFactor=1,
                        fusedActivationFunction=_FUSED[activation], **more)  # fmt: skip

    def leaky(self, source, alpha=0.1):
        return self.add("LEAKY_RELU", [source], self.shape(source), "LeakyRelu", alpha=alpha)

    def pool(self, source):
        _, height, width, channels = self.shape(source)
        return self.add("MAX_POOL_2D", [source], (1, height // 2, width // 2, channels), "Pool2D",
                        padding=schema.Padding.SAME, strideH=2, strideW=2, filterHeight=2,
                        filterWidth=2)  # fmt: skip

    def sum(self, first, second):
        return self.add("ADD", [first, second], self.shape(first), "Add")

    def product(self, first, second):
        return self.add("MUL", [first, second], self.shape(first), "Mul")

    def integers(self, kind, inputs, shape, options=None, **values):
        """As `add`, for an operator that gives int32."""
        made = self.add(kind, inputs, shape, options, **values)
        self.graph.tensors[made].type = schema.TensorType.INT32
        return made

    def join(self, first, second):
        shape = list(self.shape(first))
        shape[3] += self.shape(second)[3]
        return self.add("CONCATENATION", [first, second], shape, "Concatenation", axis=3)

    def logistic(self, source):
        return self.add("LOGISTIC", [source], self.shape(source))

    def exponential(self, source):
        return self.add("EXP", [source], self.shape(source), "Exp")

    def to_bytes(self, **outputs):
        """The file, with these outputs."""
        for name, index in outputs.items():
            self.graph.tensors[index].name = name
        return self.with_outputs(*outputs.values())

    def with_outputs(self, *outputs):
        """The file, with these outputs under the names that they have."""
        self.graph.inputs, self.graph.outputs = [self.image], list(outputs)
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [self.graph], self.buffers
        model.operatorCodes = []
        for kind in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def relu6_network(seed=1):
    """Inverted residuals as in MobileNet v2; channels differ in size by up to a hundred."""
    net = SmallNetwork(seed)
    start = net.conv(net.image, 8, stride=2, activation="RELU6")
    narrow = net.conv(net.depthwise(start, activation="RELU6"), 8, size=1)
    sizes = 10.0 ** net.random.uniform(-2, 0, (24, 1, 1, 1))
    weights = sizes * net.random.normal(0, 0.5, (24, 1, 1, 8))
    wide = net.conv(narrow, 24, size=1, activation="RELU6", weights=weights, bias=np.zeros(24))
    deep = net.depthwise(wide, activation="RELU6")
    back = net.random.normal(0, 0.3, (8, 1, 1, 24)) / sizes.reshape(24)
    total = net.sum(net.conv(deep, 8, size=1, weights=back), narrow)
    return net.to_bytes(boxes=net.conv(total, 4, size=1), scores=net.conv(total, 2, size=1))


def leaky_network(seed=1):
    """Convolutions, leaky ReLUs, a pool behind one of them and a joint, as in YOLO."""
    net = SmallNetwork(seed)
    first = net.pool(net.leaky(net.conv(net.image, 8)))
    second = net.leaky(net.conv(first, 16))
    both = net.join(second, net.leaky(net.conv(first, 8, size=1)))
    third = net.leaky(net.conv(both, 16, size=1))
    return net.to_bytes(boxes=net.conv(third, 4, size=1), scores=net.conv(third, 2, size=1))


def small_pictures(count=4, seed=1):
    """Pictures with areas of many sizes, (1, SIZE, SIZE, 3) uint8 each."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        image = np.zeros((SIZE, SIZE, 3), np.uint8)
        for size in (1, 4, 8):
            noise = random.integers(0, 86, (SIZE // size, SIZE // size, 3), np.uint8)
            image += np.kron(noise, np.ones((size, size, 1), np.uint8))
        pictures.append(image[np.newaxis])
    return pictures
