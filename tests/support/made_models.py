"""Small TFLite files for tests, of any shapes, names, types and metadata.

What a tensor holds is given as numbers, or it is the model's input in another shape:

    path = write_made(
        tmp_path / "best.tflite",
        [tensor("images", (1, 64, 64, 3), "float32")],
        [tensor("output", (1, 6, 84), "float32", values=boxes)],
        files={"metadata.json": '{"task": "detect"}'},
    )

Needs no library: files can also be written that none would write.
"""

import io
import struct
import zipfile
from dataclasses import dataclass, field

import numpy as np

from support.flatbuffer_writer import Scalar, Vector, flatbuffer

__all__ = [
    "FROM_INPUT",
    "Op",
    "Tensor",
    "associated_file",
    "flexbuffer_map",
    "made_model",
    "model_metadata",
    "postprocess",
    "tensor",
    "tensor_metadata",
    "with_files",
    "write_made",
]

FROM_INPUT = "from input"
_TYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
}
_RESHAPE, _CUSTOM = 22, 32
_RESHAPE_OPTIONS = 17


@dataclass
class Tensor:
    """One tensor; `values` are real numbers, quantized with scale and zero point.

    `signature` is the shape with -1 where it is dynamic.
    """

    name: str
    shape: tuple
    dtype: str = "float32"
    scale: float = 0.0
    zero_point: int = 0
    values: object = None
    signature: tuple | None = None
    variable: bool = False


tensor = Tensor


@dataclass
class Op:
    """One operator: a number of the schema's BuiltinOperator, or the name of a custom one.

    Tensors are named by `inputs` and `outputs`.
    """

    code: int | str
    inputs: list
    outputs: list
    options_type: int = 0
    options: dict | None = None
    custom_options: bytes = b""
    version: int = 1


@dataclass
class _Graph:
    tensors: list = field(default_factory=list)
    buffers: list = field(default_factory=lambda: [{}])
    names: list = field(default_factory=list)

    def add(self, made, data=None):
        self.names.append(made.name)
        quantization = None
        if made.scale:
            quantization = {
                2: Vector("f", [made.scale]),
                3: Vector("q", [made.zero_point], alignment=8),
            }
        if data is not None:
            self.buffers.append({0: data})
        self.tensors.append(
            {
                0: Vector("i", made.shape),
                1: Scalar("b", _TYPES[made.dtype]),
                2: Scalar("I", len(self.buffers) - 1 if data is not None else 0),
                3: made.name,
                4: quantization,
                5: Scalar("B", 1) if made.variable else None,
                7: Vector("i", made.signature) if made.signature else None,
            }
        )

    def numbers(self, names):
        return Vector("i", [self.names.index(name) if name else -1 for name in names])


def made_model(
    inputs,
    outputs,
    *,
    operators=(),
    constants=(),
    metadata=None,
    signature=None,
    description="made by a test",
):
    """The bytes of a model.

    Args:
        inputs: Its inputs.
        outputs: Its outputs: those with `values` are constant, those with `FROM_INPUT` the
            first input in another shape; the others come from `operators`.
        operators: In order.
        constants: Tensors with values that operators take; those without are what other
            operators write.
        metadata: Entries by name, e.g. `{"TFLITE_METADATA": model_metadata(…)}`.
        signature: (key, {name: input tensor}, {name: output tensor}).
        description: Of the model.
    """
    graph, steps = _Graph(), list(operators)
    for each in inputs:
        graph.add(each)
    for each in constants:
        graph.add(each, None if each.values is None else _packed(each))
    for each in outputs:
        graph.add(each)
        if each.values is None:
            continue
        source = inputs[0].name if each.values is FROM_INPUT else f"{each.name}/values"
        if each.values is not FROM_INPUT:
            same = Tensor(source, each.shape, each.dtype, each.scale, each.zero_point)
            graph.add(same, _packed(each))
        reshape = {0: Vector("i", each.shape)}
        steps.append(Op(_RESHAPE, [source], [each.name], _RESHAPE_OPTIONS, reshape))
    entries = []
    for name, data in (metadata or {}).items():
        graph.buffers.append({0: data})
        entries.append({0: name, 1: Scalar("I", len(graph.buffers) - 1)})
    codes, packed = _pack_operators(graph, steps)
    subgraph = {
        0: graph.tensors,
        1: graph.numbers([each.name for each in inputs]),
        2: graph.numbers([each.name for each in outputs]),
        3: packed,
        4: "main",
    }
    model = {
        0: Scalar("I", 3),
        1: codes,
        2: [subgraph],
        3: description,
        4: graph.buffers,
        6: entries or None,
        7: [_signature(graph, *signature)] if signature else None,
    }
    return flatbuffer(model, b"TFL3")


def write_made(path, inputs, outputs, *, files=None, **others):
    """Write a model with files in a zip behind it; returns its path."""
    path.write_bytes(with_files(made_model(inputs, outputs, **others), files or {}))
    return path


def with_files(model, files):
    """A model with a zip of files behind it, as TFLite's metadata and Ultralytics have it."""
    if not files:
        return model
    archive = io.BytesIO(model)
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()


def postprocess(
    size=(300, 300),
    *,
    classes=90,
    rows=10,
    anchors=20,
    dtype="uint8",
    scale=0.0078125,
    zero_point=128,
    names=("boxes", "classes", "scores", "count"),
    output_order=(0, 1, 2, 3),
    boxes=None,
    scores=None,
    options=None,
):
    """Inputs, outputs, and the rest for `made_model`, of an SSD with its suppression inside.

    Args:
        size: Width and height of the input.
        classes: Without the background.
        rows: Detections at most.
        anchors: How many there are.
        dtype: Of the input; so are `scale` and `zero_point`.
        scale: Of the input.
        zero_point: Of the input.
        names: Of the operator's four outputs, in its own order.
        output_order: In which order the model has them.
        boxes: (anchors, 4) offsets; zeros by default: then the anchors are the boxes.
        scores: (anchors, classes + 1).
        options: Replaces some of the operator's.
    """
    width, height = size
    image = Tensor("image", (1, height, width, 3), dtype, scale, zero_point)
    shapes = [(1, rows, 4), (1, rows), (1, rows), (1,)]
    made = [Tensor(name, shape) for name, shape in zip(names, shapes, strict=True)]
    places = np.linspace(0.1, 0.9, anchors)
    boxes = np.zeros((anchors, 4)) if boxes is None else np.asarray(boxes)
    scores = np.zeros((anchors, classes + 1)) if scores is None else np.asarray(scores)
    constants = [
        Tensor("raw_boxes", (1, anchors, 4), values=boxes),
        Tensor("raw_scores", (1, anchors, classes + 1), values=scores),
        Tensor(
            "anchors", (anchors, 4), values=np.stack([places, places, *[places * 0 + 0.2] * 2]).T
        ),
    ]
    said = {
        "max_detections": rows,
        "max_classes_per_detection": 1,
        "detections_per_class": 100,
        "use_regular_nms": 0,
        "nms_score_threshold": 0.0,
        "nms_iou_threshold": 0.6,
        "num_classes": classes,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
        **(options or {}),
    }
    operator = Op(
        "TFLite_Detection_PostProcess",
        ["raw_boxes", "raw_scores", "anchors"],
        list(names),
        custom_options=flexbuffer_map(said),
    )
    return {
        "inputs": [image],
        "outputs": [made[number] for number in output_order],
        "constants": constants,
        "operators": [operator],
    }


def tensor_metadata(
    name="",
    *,
    description="",
    normalization=None,
    threshold=None,
    files=(),
    color=None,
    box=None,
):
    """A TensorMetadata for `model_metadata`.

    Args:
        name: Of the tensor.
        description: Of the tensor.
        normalization: Mean and std, each a list.
        threshold: Global score threshold.
        files: From `associated_file`.
        color: 1 for RGB, 2 for greyscale.
        box: Type (1: corners, 2: upper left, 3: centre), unit (0: ratio, 1: pixels), index.
    """
    units = []
    if normalization:
        mean, std = normalization
        units.append({0: Scalar("B", 1), 1: {0: Vector("f", mean), 1: Vector("f", std)}})
    if threshold is not None:
        units.append({0: Scalar("B", 3), 1: {0: Scalar("f", threshold)}})
    content = None
    if color is not None:
        content = {0: Scalar("B", 2), 1: {0: Scalar("b", color)}}
    if box is not None:
        kind, unit, index = box
        said = {0: Vector("I", index), 1: Scalar("b", kind), 2: Scalar("b", unit)}
        content = {0: Scalar("B", 3), 1: said}
    return {
        0: name or None,
        1: description or None,
        3: content,
        4: units or None,
        6: list(files) or None,
    }


def associated_file(name, kind=2):
    """An AssociatedFile; kind 2: labels of an axis, 3: labels of values."""
    return {0: name, 2: Scalar("b", kind)}


def model_metadata(
    inputs=(), outputs=(), *, name="", description="", files=(), groups=(), custom=None
):
    """The content of the entry TFLITE_METADATA.

    Args:
        inputs: From `tensor_metadata`.
        outputs: From `tensor_metadata`.
        name: Of the model.
        description: Of the model.
        files: From `associated_file`, of the whole model.
        groups: (name, names of tensors) of outputs that belong together.
        custom: Bytes by name.
    """
    graph = {
        2: list(inputs) or None,
        3: list(outputs) or None,
        8: [{0: title, 1: list(names)} for title, names in groups] or None,
        9: [{0: title, 1: data} for title, data in (custom or {}).items()] or None,
    }
    whole = {0: name or None, 1: description or None, 3: [graph], 6: list(files) or None}
    return flatbuffer(whole, b"M001")


def flexbuffer_map(values):
    """A FlexBuffer that is a map of numbers, as options of custom operators are.

    All elements are 4 bytes wide.
    """
    keys = sorted(values)
    out, places = bytearray(), []
    for key in keys:
        places.append(len(out))
        out += key.encode() + b"\0"
    while len(out) % 4:
        out.append(0)
    out += struct.pack("<I", len(keys))
    key_vector = len(out)
    for place in places:
        out += struct.pack("<I", len(out) - place)
    out += struct.pack("<I", len(out) - key_vector) + struct.pack("<II", 4, len(keys))
    begin, types = len(out), bytearray()
    for key in keys:
        whole = isinstance(values[key], int)
        out += struct.pack("<i" if whole else "<f", values[key])
        # Kind (1: integer, 3: float) and width (2: four bytes).
        types.append((1 if whole else 3) << 2 | 2)
    out += types
    while len(out) % 4:
        out.append(0)
    root = len(out)
    out += struct.pack("<I", root - begin)
    return bytes(out) + bytes([9 << 2 | 2, 4])


def _packed(made):
    real = np.broadcast_to(np.asarray(made.values, np.float64), made.shape)
    if not made.scale:
        return real.astype(made.dtype).tobytes()
    limits = np.iinfo(made.dtype)
    steps = np.rint(real / made.scale) + made.zero_point
    return np.clip(steps, limits.min, limits.max).astype(made.dtype).tobytes()


def _pack_operators(graph, steps):
    codes, packed = [], []
    for number, step in enumerate(steps):
        custom = isinstance(step.code, str)
        builtin = _CUSTOM if custom else step.code
        codes.append(
            {
                0: Scalar("b", min(builtin, 127)),
                1: step.code if custom else None,
                2: Scalar("i", step.version),
                3: Scalar("i", builtin),
            }
        )
        packed.append(
            {
                0: Scalar("I", number),
                1: graph.numbers(step.inputs),
                2: graph.numbers(step.outputs),
                3: Scalar("B", step.options_type) if step.options else None,
                4: step.options,
                5: step.custom_options or None,
            }
        )
    return codes, packed


def _signature(graph, key, inputs, outputs):
    def places(named):
        return [
            {0: name, 1: Scalar("I", graph.names.index(tensor_name))}
            for name, tensor_name in named.items()
        ]

    return {0: places(inputs), 1: places(outputs), 2: key}
