"""TFLite files with something wrong in them, made from good ones.

Most mutations take the FlatBuffer apart, change one or a few fields to what no converter would
write, and pack it again: the file is well formed and its graph is not. The others damage bytes.

    content, said = mutate(Path("model.tflite").read_bytes(), seed=7)

The same file and seed give the same mutation.
"""

from random import Random

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from support.mutation_draws import EXTREMES, number_near, pick, pick_graph
from support.operator_mutations import (
    change_code,
    change_operator_code,
    change_operator_length,
    change_operator_order,
    change_operator_tensor,
    change_option,
    remove_options,
    tie_cycle,
    write_to_constant,
)

__all__ = ["mutate"]

_MOST_CHANGES = 3
_TYPES = 21


def mutate(content, seed):
    """Damage a model.

    Args:
        content: The bytes of a TFLite file.
        seed: Chooses the mutation.

    Returns:
        The damaged bytes, and what was done to them in a few words.
    """
    random = Random(seed)
    while True:
        if random.random() < 0.15:
            return _damage_bytes(content, random)
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        changes = random.choice((1, 1, 1, 2, _MOST_CHANGES))
        said = [_change(model, random) for _ in range(changes)]
        try:
            return _pack(model, len(content)), "; ".join(said)
        except (TypeError, ValueError, OverflowError, AttributeError, AssertionError):
            # No FlatBuffer holds such numbers.
            continue


def _pack(model, size):
    builder = flatbuffers.Builder(size + 65_536)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _change(model, random):
    while True:
        said = random.choice(_CHANGES)(model, random)
        if said:
            return said


def _damage_bytes(content, random):
    """Cut, overwrite or swap bytes; mostly where the tables lie, not within the weights."""
    kind = random.choice(("cut", "bits", "words", "hole", "tail"))
    if kind == "cut":
        at = random.randrange(8, len(content))
        return content[:at], f"cut off at {at}"
    if kind == "tail":
        return content + random.randbytes(random.randrange(1, 4096)), "bytes behind its end"
    changed = bytearray(content)
    # Converters put the tables at one of the ends.
    window = min(len(content), 20_000)
    first = random.choice((8, len(content) - window)) if len(content) > window + 8 else 8
    places = [random.randrange(first, len(content) - 4) for _ in range(random.randint(1, 8))]
    for at in places:
        if kind == "bits":
            changed[at] ^= 1 << random.randrange(8)
        elif kind == "words":
            at -= at % 4  # noqa: PLW2901 - offsets and numbers lie on multiples of four
            value = random.choice(EXTREMES)
            changed[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
        else:
            length = random.randint(1, 64)
            changed[at : at + length] = bytes(len(changed[at : at + length]))
    return bytes(changed), f"{kind} at {places}"


def _tensor_shape(model, random):
    tensor, at = pick(pick_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    shape = [] if tensor.shape is None else [int(extent) for extent in tensor.shape]
    kind = random.choice(("extent", "extent", "extent", "drop", "add", "empty", "swap"))
    if kind == "extent" and shape:
        axis = random.randrange(len(shape))
        near = (shape[axis] * 2, shape[axis] // 2, shape[axis] + 1, shape[axis] - 1, 1000)
        shape[axis] = random.choice(near + EXTREMES)
    elif kind == "drop" and shape:
        shape.pop(random.randrange(len(shape)))
    elif kind == "add":
        shape.insert(random.randint(0, len(shape)), random.choice((0, 1, 2, -1)))
    elif kind == "empty":
        shape = []
    else:
        random.shuffle(shape)
    tensor.shape = np.array(shape, np.int32)
    return f"tensor {at}: shape {shape}"


def _tensor_signature(model, random):
    tensor, at = pick(pick_graph(model, random).tensors, random)
    if tensor is None or tensor.shape is None or not len(tensor.shape):
        return ""
    signature = [int(extent) for extent in tensor.shape]
    signature[random.randrange(len(signature))] = random.choice((-1, -2, 0, 3))
    tensor.shapeSignature = np.array(signature, np.int32)
    return f"tensor {at}: signature {signature}"


def _tensor_type(model, random):
    tensor, at = pick(pick_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    tensor.type = random.choice((*range(_TYPES), 50, 127, -1))
    return f"tensor {at}: type {tensor.type}"


def _tensor_buffer(model, random):
    tensor, at = pick(pick_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    tensor.buffer = number_near(random, len(model.buffers), tensor.buffer) & 0xFFFFFFFF
    return f"tensor {at}: buffer {tensor.buffer}"


def _tensor_variable(model, random):
    tensor, at = pick(pick_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    tensor.isVariable = not tensor.isVariable
    return f"tensor {at}: variable {tensor.isVariable}"


def _tensor_quantization(model, random):
    tensor, at = pick(pick_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    quantization = tensor.quantization or schema.QuantizationParametersT()
    kind = random.choice(("none", "scale", "zero point", "length", "axis"))
    if kind == "none":
        tensor.quantization = None
        return f"tensor {at}: no quantization"
    if kind == "axis":
        quantization.quantizedDimension = random.choice((*range(5), *EXTREMES))
    elif kind == "length":
        count = random.choice((0, 1, 2, 7, 300))
        quantization.scale = np.full(count, 0.5, np.float32)
        quantization.zeroPoint = np.zeros(random.choice((count, 0, 1)), np.int64)
    elif kind == "scale":
        count = 1 if quantization.scale is None else max(1, len(quantization.scale))
        value = random.choice((0.0, -1.0, 1e-38, 1e38, float("nan"), float("inf"), 3.0))
        quantization.scale = np.full(count, value, np.float32)
    else:
        count = 1 if quantization.zeroPoint is None else max(1, len(quantization.zeroPoint))
        value = random.choice((-129, 256, 2**31, -(2**63), 2**63 - 1, 5))
        quantization.zeroPoint = np.full(count, value, np.int64)
    tensor.quantization = quantization
    return f"tensor {at}: quantization {kind}"


def _buffer(model, random):
    filled = [
        index
        for index, buffer in enumerate(model.buffers)
        if buffer.data is not None and len(buffer.data)
    ]
    if not filled:
        return ""
    at = random.choice(filled)
    buffer = model.buffers[at]
    kind = random.choice(("short", "empty", "missing", "random", "long", "outside"))
    if kind == "short":
        buffer.data = np.array(buffer.data[: random.randrange(len(buffer.data))])
    elif kind == "empty":
        buffer.data = np.zeros(0, np.uint8)
    elif kind == "missing":
        buffer.data = None
    elif kind == "random":
        buffer.data = np.frombuffer(random.randbytes(len(buffer.data)), np.uint8)
    elif kind == "long":
        buffer.data = np.concatenate([buffer.data, np.zeros(64, np.uint8)])
    else:
        buffer.offset, buffer.size = random.choice(((2**40, 64), (8, 2**40), (16, 64)))
    return f"buffer {at}: {kind}"


def _buffers(model, random):
    kept = random.randrange(len(model.buffers) + 1)
    model.buffers = model.buffers[:kept]
    return f"buffers: the first {kept}"


def _ends(model, random):
    """Inputs or outputs of a graph."""
    graph = pick_graph(model, random)
    field = random.choice(("inputs", "outputs"))
    numbers = [] if getattr(graph, field) is None else [int(n) for n in getattr(graph, field)]
    kind = random.choice(("other", "other", "empty", "double", "drop", "reverse"))
    if kind == "other" and numbers:
        index = random.randrange(len(numbers))
        numbers[index] = number_near(random, len(graph.tensors), numbers[index])
    elif kind == "empty":
        numbers = []
    elif kind == "double":
        numbers += numbers
    elif kind == "drop" and numbers:
        numbers.pop()
    else:
        numbers.reverse()
    setattr(graph, field, np.array(numbers, np.int32))
    return f"graph: {field} {numbers}"


def _subgraphs(model, random):
    kind = random.choice(("double", "bare"))
    if kind == "double":
        model.subgraphs.append(model.subgraphs[0])
    else:
        graph = pick_graph(model, random)
        setattr(graph, random.choice(("tensors", "operators")), [])
    return f"subgraphs: {kind}"


_CHANGES = (
    *(_tensor_shape,) * 3,
    *(_tensor_buffer,) * 2,
    *(_tensor_type,) * 2,
    *(_tensor_quantization,) * 2,
    *(change_operator_tensor,) * 4,
    *(change_operator_length,) * 2,
    *(change_option,) * 3,
    *(_buffer,) * 3,
    *(_ends,) * 2,
    _tensor_signature,
    _tensor_variable,
    write_to_constant,
    tie_cycle,
    change_operator_order,
    change_operator_code,
    change_code,
    remove_options,
    _buffers,
    _subgraphs,
)
