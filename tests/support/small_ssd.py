"""A tiny SSD with `TFLite_Detection_PostProcess`, whose boxes and scores are its input.

The picture of 8 x 8 pixels is cut into boxes (16 anchors, 4 values) and scores (16 anchors, 8
columns): what a test puts in is what the heads give.
"""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

ANCHORS, COLUMNS = 16, 8
# Of the quantized heads: real box values lie within 2, logits within 6.4.
SCALES = {"boxes": 1 / 64, "scores": 0.05}
_TYPES = {
    "uint8": (schema.TensorType.UINT8, np.uint8, 128),
    "int8": (schema.TensorType.INT8, np.int8, 0),
    "float32": (schema.TensorType.FLOAT32, np.float32, None),
    "float16": (schema.TensorType.FLOAT16, np.float16, None),
    "int32": (schema.TensorType.INT32, np.int32, None),
}


class _Writer:
    """Collects tensors and operators."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name, shape, dtype, values=None, scale=0.0, zero_point=0):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, shape, _TYPES[dtype][0]
        if scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [scale]
            tensor.quantization.zeroPoint = [zero_point]
        buffer = schema.BufferT()
        if values is not None:
            buffer.data = np.frombuffer(np.asarray(values, _TYPES[dtype][1]).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, kind, inputs, outputs, options=None, custom=None, version=1):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        number = getattr(schema.BuiltinOperator, "CUSTOM" if custom is not None else kind)
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = version
        if custom is not None:
            code.customCode = kind
            operator.customOptions = np.frombuffer(custom, np.uint8)
        if options is not None:
            operator.builtinOptionsType = getattr(
                schema.BuiltinOptions, type(options).__name__[:-1]
            )
            operator.builtinOptions = options
        self.model.operatorCodes.append(code)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        self.graph.operators.append(operator)

    def to_bytes(self):
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def small_ssd(dtype="uint8", *, anchors="uint8", background=True, sigmoid=True, **options):
    """The file.

    Args:
        dtype: Of the heads: uint8, int8 (dequantized for the operator) or float32.
        anchors: Of the anchors: uint8, float32 or float16 (dequantized for the operator).
        background: Whether column 0 is the background.
        sigmoid: Whether the graph turns logits into probabilities.
        options: Replace those of the operator; None leaves one out.
    """
    writer = _Writer()
    zero_point = _TYPES[dtype][2] or 0
    flat = _slices(writer, dtype, zero_point)
    boxes, scores = flat["boxes"], flat["scores"]
    if dtype == "int8":
        boxes = _dequantize(writer, "real boxes", boxes, [1, ANCHORS, 4])
        scores = _dequantize(writer, "real scores", scores, [1, ANCHORS, COLUMNS])
    if sigmoid:
        given = scores
        quantized = {"scale": 1 / 256} if dtype == "uint8" else {}
        kind = "float32" if dtype == "int8" else dtype
        scores = writer.tensor("convert_scores", [1, ANCHORS, COLUMNS], kind, **quantized)
        writer.operator("LOGISTIC", [given], [scores])
    outputs = [writer.tensor(f"result{number}", [], "float32") for number in range(4)]
    given = {
        "max_detections": ANCHORS,
        "max_classes_per_detection": 1,
        "num_classes": COLUMNS - background,
        "nms_score_threshold": 0.0,
        "nms_iou_threshold": 1.0,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    writer.operator(
        "TFLite_Detection_PostProcess",
        [boxes, scores, _anchors(writer, anchors)],
        outputs,
        custom=_flexbuffer({**given, **options}),
    )
    writer.graph.inputs, writer.graph.outputs = [0], outputs
    return writer.to_bytes()


def _slices(writer, dtype, zero_point):
    """The input, reshaped and cut in two."""
    quantized = {"scale": SCALES["boxes"], "zero_point": zero_point} if dtype != "float32" else {}
    image = writer.tensor("image", [1, 8, 8, 3], dtype, **quantized)
    rows = writer.tensor("rows", [1, ANCHORS, 4 + COLUMNS], dtype, **quantized)
    shape = schema.ReshapeOptionsT()
    shape.newShape = [1, ANCHORS, 4 + COLUMNS]
    writer.operator("RESHAPE", [image], [rows], shape)
    found = {}
    for name, start, width in (("boxes", 0, 4), ("scores", 4, COLUMNS)):
        begin = writer.tensor(f"{name} begin", [3], "int32", [0, 0, start])
        size = writer.tensor(f"{name} size", [3], "int32", [1, ANCHORS, width])
        part = writer.tensor(f"{name} part", [1, ANCHORS, width], dtype, **quantized)
        writer.operator("SLICE", [rows, begin, size], [part], schema.SliceOptionsT())
        found[name] = part
    return found


def _dequantize(writer, name, index, shape):
    real = writer.tensor(name, shape, "float32")
    writer.operator("DEQUANTIZE", [index], [real], schema.DequantizeOptionsT(), version=2)
    return real


def _anchors(writer, dtype):
    shape, values = [ANCHORS, 4], small_anchors()
    if dtype == "float32":
        return writer.tensor("anchors", shape, dtype, values)
    if dtype == "float16":
        half = writer.tensor("half anchors", shape, dtype, values)
        return _dequantize(writer, "anchors", half, shape)
    # Steps of 1/128: all of these anchors are multiples.
    return writer.tensor("anchors", shape, dtype, values * 128, scale=1 / 128)


def small_anchors():
    """(16, 4) float32, centre y, centre x, height, width, relative to the input."""
    y, x = np.divmod(np.arange(ANCHORS), 4)
    sizes = np.tile([[0.25, 0.5], [0.5, 0.25]], (ANCHORS // 2, 1))
    centres = np.stack([y, x], 1) / 4 + 1 / 8
    return np.concatenate([centres, sizes], 1).astype(np.float32)


def _flexbuffer(options):
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in options.items():
            if isinstance(value, float):
                builder.Float(key, value)
            elif value is not None:
                builder.Int(key, value)
    return bytes(builder.Finish())


def write_postprocess_manifest(path: Path, labels=COLUMNS):
    """A manifest for a file as it is; returns the path of the file."""
    names = ", ".join(f'"label {number}"' for number in range(labels))
    path.with_suffix(".toml").write_text(
        f'name = "{path.stem}"\nfamily = "ssd"\nhead = "postprocess"\nfile = "{path.name}"\n'
        f"labels = [{names}]\n\n"
        '[input]\nsize = [8, 8]\nresize = "stretch"\nmean = 127.5\nstd = 63.75\n\n'
        '[ssd.outputs]\nboxes = "result0"\nclasses = "result1"\nscores = "result2"\n'
        'count = "result3"\n\n[nms]\niou_threshold = 1.0\nscore_threshold = 0.25\n\n'
        '[origin]\nlicence = "Apache-2.0"\n',
        encoding="utf-8",
    )
    return path
