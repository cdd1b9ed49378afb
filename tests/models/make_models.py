"""Write the tiny models of the runtime tests: `python tests/models/make_models.py`.

Each graph only reshapes its input, (1, 8, 8, 3), into the joined head of a YOLO with one
grid, two anchors and one class, (1, 4, 4, 12): what a test puts in is what comes out, so
the way of every pixel can be followed. Two more hold a custom operator, one an operator of
a version that no runtime has yet.
"""

from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

HERE = Path(__file__).parent
INPUT_SHAPE = [1, 8, 8, 3]
OUTPUT_SHAPE = [1, 4, 4, 12]
TYPES = {
    "uint8": (schema.TensorType.UINT8, 1 / 255, 0),
    "int8": (schema.TensorType.INT8, 1 / 255, -128),
    "float32": (schema.TensorType.FLOAT32, 0.0, 0),
}


def make_tensor(name, shape, dtype, buffer):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, shape, buffer
    tensor.type, scale, zero_point = TYPES[dtype]
    if scale:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [scale]
        tensor.quantization.zeroPoint = [zero_point]
    return tensor


def make_reshape(version=1):
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version = version
    operator = schema.OperatorT()
    operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    operator.builtinOptions = schema.ReshapeOptionsT()
    operator.builtinOptions.newShape = OUTPUT_SHAPE
    return code, operator


def make_custom(name):
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = name, 1
    return code, schema.OperatorT()


def write_model(file, dtype, code, operator):
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph = schema.SubGraphT()
    graph.name = "main"
    graph.tensors = [
        make_tensor("image", INPUT_SHAPE, dtype, 1),
        make_tensor("head", OUTPUT_SHAPE, dtype, 2),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model = schema.ModelT()
    model.version, model.description = 3, "test model of edge-detect"
    model.operatorCodes, model.subgraphs = [code], [graph]
    model.buffers = [schema.BufferT() for _ in range(3)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    (HERE / file).write_bytes(bytes(builder.Output()))


def main():
    for dtype in TYPES:
        write_model(f"echo-{dtype}.tflite", dtype, *make_reshape())
    write_model("newer-op.tflite", "uint8", *make_reshape(version=99))
    for name in ("edgetpu-custom-op", "made-up-op"):
        write_model(f"{name}.tflite", "uint8", *make_custom(name))


if __name__ == "__main__":
    main()
