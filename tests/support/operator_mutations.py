"""What `mutations` changes of the operators of a model: their tensors, order, codes and options.

Each function takes a `ModelT` and a `random.Random`, changes one thing, and returns what it was in
a few words; empty where the model has nothing of the kind.
"""

import numpy as np

from support.mutation_draws import EXTREMES, number_near, pick, pick_graph, replace_number

__all__ = [
    "change_code",
    "change_operator_code",
    "change_operator_length",
    "change_operator_order",
    "change_operator_tensor",
    "change_option",
    "remove_options",
    "tie_cycle",
    "write_to_constant",
]

_BUILTINS = 210


def change_operator_tensor(model, random):
    """An input or output of an operator becomes another tensor, or none that there is."""
    graph = pick_graph(model, random)
    operator, at = pick(graph.operators, random)
    if operator is None:
        return ""
    field = random.choice(("inputs", "outputs"))
    old, index = pick(getattr(operator, field), random)
    if old is None:
        return ""
    value = number_near(random, len(graph.tensors), int(old))
    replace_number(operator, field, index, value)
    return f"operator {at}: {field}[{index}] {value}"


def change_operator_length(model, random):
    operator, at = pick(pick_graph(model, random).operators, random)
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


def write_to_constant(model, random):
    graph = pick_graph(model, random)
    operator, at = pick(graph.operators, random)
    constants = [
        index
        for index, tensor in enumerate(graph.tensors)
        if tensor.buffer < len(model.buffers) and model.buffers[tensor.buffer].data is not None
    ]
    if operator is None or not constants or not len(operator.outputs):
        return ""
    value = random.choice(constants)
    replace_number(operator, "outputs", 0, value)
    return f"operator {at}: output is the constant {value}"


def tie_cycle(model, random):
    operator, at = pick(pick_graph(model, random).operators, random)
    if operator is None or not len(operator.inputs) or not len(operator.outputs):
        return ""
    if random.random() < 0.5:
        replace_number(operator, "inputs", 0, int(operator.outputs[0]))
        return f"operator {at}: takes its own output"
    replace_number(operator, "outputs", 0, int(operator.inputs[0]))
    return f"operator {at}: writes its own input"


def change_operator_order(model, random):
    operators = pick_graph(model, random).operators
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


def change_operator_code(model, random):
    operator, at = pick(pick_graph(model, random).operators, random)
    if operator is None:
        return ""
    operator.opcodeIndex = number_near(random, len(model.operatorCodes), operator.opcodeIndex)
    operator.opcodeIndex &= 0xFFFFFFFF
    return f"operator {at}: code {operator.opcodeIndex}"


def change_code(model, random):
    code, at = pick(model.operatorCodes, random)
    if code is None:
        return ""
    if random.random() < 0.3:
        code.version = random.choice((0, 1, 2, 3, 5, 99, -1))
        return f"code {at}: version {code.version}"
    code.builtinCode = random.choice((*range(_BUILTINS), -1, 2**31 - 1))
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    return f"code {at}: builtin {code.builtinCode}"


def change_option(model, random):
    """One number of an operator's options."""
    operator, at = pick(pick_graph(model, random).operators, random)
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
        setattr(options, field, random.choice(near + EXTREMES))
    else:
        return ""
    return f"operator {at}: {field} {getattr(options, field)}"


def remove_options(model, random):
    operator, at = pick(pick_graph(model, random).operators, random)
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
