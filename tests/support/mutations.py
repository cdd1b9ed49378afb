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

__all__ = ["mutate"]

# What fields of 32 bits are set to besides their neighbours.
_EXTREMES = (-(2**31), -2, -1, 0, 1, 2, 255, 65_536, 2**30, 2**31 - 1)
_MOST_CHANGES = 3
_TYPES = 21
_BUILTINS = 210


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
            value = random.choice(_EXTREMES)
            changed[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
        else:
            length = random.randint(1, 64)
            changed[at : at + length] = bytes(len(changed[at : at + length]))
    return bytes(changed), f"{kind} at {places}"


def _graph(model, random):
    return random.choice(model.subgraphs)


def _pick(items, random):
    """One of a list, and its number; the list may be missing or empty."""
    if items is None or not len(items):
        return None, 0
    index = random.randrange(len(items))
    return items[index], index


def _number(random, limit, old):
    """A number for a field that had `old` and should stay below `limit`."""
    near = (limit - 1, limit, limit + 1, old + 1, old - 1)
    within = (random.randrange(max(1, limit)),)
    return int(random.choice(near + within * 4 + _EXTREMES))


def _replace(owner, field, index, value, dtype=np.int32):
    numbers = np.array(getattr(owner, field), np.int64)
    numbers[index] = value
    setattr(owner, field, numbers.astype(dtype))


def _tensor_shape(model, random):
    tensor, at = _pick(_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    shape = [] if tensor.shape is None else [int(extent) for extent in tensor.shape]
    kind = random.choice(("extent", "extent", "extent", "drop", "add", "empty", "swap"))
    if kind == "extent" and shape:
        axis = random.randrange(len(shape))
        near = (shape[axis] * 2, shape[axis] // 2, shape[axis] + 1, shape[axis] - 1, 1000)
        shape[axis] = random.choice(near + _EXTREMES)
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
    tensor, at = _pick(_graph(model, random).tensors, random)
    if tensor is None or tensor.shape is None or not len(tensor.shape):
        return ""
    signature = [int(extent) for extent in tensor.shape]
    signature[random.randrange(len(signature))] = random.choice((-1, -2, 0, 3))
    tensor.shapeSignature = np.array(signature, np.int32)
    return f"tensor {at}: signature {signature}"


def _tensor_type(model, random):
    tensor, at = _pick(_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    tensor.type = random.choice((*range(_TYPES), 50, 127, -1))
    return f"tensor {at}: type {tensor.type}"


def _tensor_buffer(model, random):
    tensor, at = _pick(_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    tensor.buffer = _number(random, len(model.buffers), tensor.buffer) & 0xFFFFFFFF
    return f"tensor {at}: buffer {tensor.buffer}"


def _tensor_variable(model, random):
    tensor, at = _pick(_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    tensor.isVariable = not tensor.isVariable
    return f"tensor {at}: variable {tensor.isVariable}"


def _tensor_quantization(model, random):
    tensor, at = _pick(_graph(model, random).tensors, random)
    if tensor is None:
        return ""
    quantization = tensor.quantization or schema.QuantizationParametersT()
    kind = random.choice(("none", "scale", "zero point", "length", "axis"))
    if kind == "none":
        tensor.quantization = None
        return f"tensor {at}: no quantization"
    if kind == "axis":
        quantization.quantizedDimension = random.choice((*range(5), *_EXTREMES))
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


def _operator_tensor(model, random):
    """An input or output of an operator becomes another tensor, or none that there is."""
    graph = _graph(model, random)
    operator, at = _pick(graph.operators, random)
    if operator is None:
        return ""
    field = random.choice(("inputs", "outputs"))
    old, index = _pick(getattr(operator, field), random)
    if old is None:
        return ""
    value = _number(random, len(graph.tensors), int(old))
    _replace(operator, field, index, value)
    return f"operator {at}: {field}[{index}] {value}"


def _operator_length(model, random):
    operator, at = _pick(_graph(model, random).operators, random)
    if operator is None:
        return ""
    field = random.choice(("inputs", "outputs"))
    numbers = [] if getattr(operator, field) is None else list(getattr(operator, field))
    kind = random.choice(("drop", "double", "empty", "reverse"))
    if kind == "drop" and numbers:
        numbers.pop(random.randrange(len(numbers)))
    elif kind == "double":
        numbers += numbers
    elif kind == "empty":
        numbers = []
    else:
        numbers.reverse()
    setattr(operator, field, np.array(numbers, np.int32))
    return f"operator {at}: {field} {kind}"


def _operator_output_constant(model, random):
    graph = _graph(model, random)
    operator, at = _pick(graph.operators, random)
    constants = [
        index
        for index, tensor in enumerate(graph.tensors)
        if tensor.buffer < len(model.buffers) and model.buffers[tensor.buffer].data is not None
    ]
    if operator is None or not constants or not len(operator.outputs):
        return ""
    value = random.choice(constants)
    _replace(operator, "outputs", 0, value)
    return f"operator {at}: output is the constant {value}"


def _operator_cycle(model, random):
    operator, at = _pick(_graph(model, random).operators, random)
    if operator is None or not len(operator.inputs) or not len(operator.outputs):
        return ""
    if random.random() < 0.5:
        _replace(operator, "inputs", 0, int(operator.outputs[0]))
        return f"operator {at}: takes its own output"
    _replace(operator, "outputs", 0, int(operator.inputs[0]))
    return f"operator {at}: writes its own input"


def _operator_order(model, random):
    operators = _graph(model, random).operators
    if not operators or len(operators) < 2:
        return ""
    kind = random.choice(("swap", "drop", "double"))
    one, other = random.sample(range(len(operators)), 2)
    if kind == "swap":
        operators[one], operators[other] = operators[other], operators[one]
    elif kind == "drop":
        operators.pop(one)
    else:
        operators.insert(other, operators[one])
    return f"operators {one}, {other}: {kind}"


def _operator_code(model, random):
    operator, at = _pick(_graph(model, random).operators, random)
    if operator is None:
        return ""
    operator.opcodeIndex = _number(random, len(model.operatorCodes), operator.opcodeIndex)
    operator.opcodeIndex &= 0xFFFFFFFF
    return f"operator {at}: code {operator.opcodeIndex}"


def _code(model, random):
    code, at = _pick(model.operatorCodes, random)
    if code is None:
        return ""
    if random.random() < 0.3:
        code.version = random.choice((0, 1, 2, 3, 5, 99, -1))
        return f"code {at}: version {code.version}"
    code.builtinCode = random.choice((*range(_BUILTINS), -1, 2**31 - 1))
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    return f"code {at}: builtin {code.builtinCode}"


def _option(model, random):
    """One number of an operator's options."""
    operator, at = _pick(_graph(model, random).operators, random)
    options = None if operator is None else operator.builtinOptions
    if options is None or not vars(options):
        return ""
    field = random.choice(sorted(vars(options)))
    old = getattr(options, field)
    if isinstance(old, np.ndarray):
        values = (np.zeros(0, np.int32), np.full(len(old), -1, np.int32), np.repeat(old, 3))
        setattr(options, field, random.choice(values))
    elif isinstance(old, bool):
        setattr(options, field, not old)
    elif isinstance(old, float):
        setattr(options, field, random.choice((0.0, -1.0, float("nan"), float("inf"), 1e30)))
    elif isinstance(old, int):
        near = (old + 1, old - 1, 0, 1, 2, 3, 100, 127, -1)
        setattr(options, field, random.choice(near + _EXTREMES))
    else:
        return ""
    return f"operator {at}: {field} {getattr(options, field)}"


def _options_gone(model, random):
    operator, at = _pick(_graph(model, random).operators, random)
    if operator is None:
        return ""
    if operator.customOptions is not None and random.random() < 0.8:
        raw = bytes(operator.customOptions)
        operator.customOptions = random.choice(
            (raw[: random.randrange(len(raw) + 1)], raw[::-1], random.randbytes(len(raw)))
        )
        operator.customOptions = np.frombuffer(operator.customOptions, np.uint8)
        return f"operator {at}: custom options"
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    return f"operator {at}: no options"


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
    graph = _graph(model, random)
    field = random.choice(("inputs", "outputs"))
    numbers = [] if getattr(graph, field) is None else [int(n) for n in getattr(graph, field)]
    kind = random.choice(("other", "other", "empty", "double", "drop", "reverse"))
    if kind == "other" and numbers:
        index = random.randrange(len(numbers))
        numbers[index] = _number(random, len(graph.tensors), numbers[index])
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
        graph = _graph(model, random)
        setattr(graph, random.choice(("tensors", "operators")), [])
    return f"subgraphs: {kind}"


_CHANGES = (
    *(_tensor_shape,) * 3,
    *(_tensor_buffer,) * 2,
    *(_tensor_type,) * 2,
    *(_tensor_quantization,) * 2,
    *(_operator_tensor,) * 4,
    *(_operator_length,) * 2,
    *(_option,) * 3,
    *(_buffer,) * 3,
    *(_ends,) * 2,
    _tensor_signature,
    _tensor_variable,
    _operator_output_constant,
    _operator_cycle,
    _operator_order,
    _operator_code,
    _code,
    _options_gone,
    _buffers,
    _subgraphs,
)
