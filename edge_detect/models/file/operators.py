"""Names of the operators of a TFLite file, and the options of custom ones.

Reference:
    TensorFlow's schema.fbs, version 3 (`BuiltinOperator`); the FlatBuffers project, "FlexBuffers"
    (layout of maps).
"""

import struct
from typing import Any

__all__ = ["builtin_name", "read_options"]

# By number; what is not named here is shown by number.
_NAMES = """
0 ADD, 1 AVERAGE_POOL_2D, 2 CONCATENATION, 3 CONV_2D, 4 DEPTHWISE_CONV_2D, 5 DEPTH_TO_SPACE,
6 DEQUANTIZE, 9 FULLY_CONNECTED, 11 L2_NORMALIZATION, 14 LOGISTIC, 16 LSTM, 17 MAX_POOL_2D, 18 MUL,
19 RELU, 21 RELU6, 22 RESHAPE, 23 RESIZE_BILINEAR, 24 RNN, 25 SOFTMAX, 26 SPACE_TO_DEPTH, 27 SVDF,
28 TANH, 32 CUSTOM, 34 PAD, 35 UNIDIRECTIONAL_SEQUENCE_RNN, 36 GATHER, 39 TRANSPOSE, 40 MEAN,
41 SUB, 42 DIV, 43 SQUEEZE, 44 UNIDIRECTIONAL_SEQUENCE_LSTM, 45 STRIDED_SLICE, 47 EXP, 48 TOPK_V2,
49 SPLIT, 52 BIDIRECTIONAL_SEQUENCE_LSTM, 53 CAST, 54 PRELU, 55 MAXIMUM, 56 ARG_MAX, 57 MINIMUM,
58 LESS, 60 PADV2, 61 GREATER, 62 GREATER_EQUAL, 65 SLICE, 67 TRANSPOSE_CONV, 69 TILE,
70 EXPAND_DIMS, 71 EQUAL, 73 LOG, 74 SUM, 75 SQRT, 76 RSQRT, 77 SHAPE, 78 POW, 82 REDUCE_MAX,
83 PACK, 86 LOGICAL_AND, 88 UNPACK, 90 FLOOR_DIV, 94 FILL, 95 FLOOR_MOD, 96 RANGE,
97 RESIZE_NEAREST_NEIGHBOR, 98 LEAKY_RELU, 100 MIRROR_PAD, 102 SPLIT_V, 106 ADD_N, 107 GATHER_ND,
109 WHERE, 114 QUANTIZE, 117 HARD_SWISH, 118 IF, 119 WHILE, 120 NON_MAX_SUPPRESSION_V4,
121 NON_MAX_SUPPRESSION_V5, 123 SELECT_V2, 126 BATCH_MATMUL, 129 CALL_ONCE, 130 BROADCAST_TO,
142 VAR_HANDLE, 143 READ_VARIABLE, 144 ASSIGN_VARIABLE, 150 GELU
"""
_BY_NUMBER = {int(number): name for number, name in (item.split() for item in _NAMES.split(","))}

_MAP = 9
_FORMATS = {
    1: {1: "b", 2: "h", 4: "i", 8: "q"},
    2: {1: "B", 2: "H", 4: "I", 8: "Q"},
    3: {4: "f", 8: "d"},
    26: {1: "B", 2: "H", 4: "I", 8: "Q"},
}
_MOST_KEYS = 256


def builtin_name(number: int) -> str:
    """Name of a built-in operator as the schema has it."""
    return _BY_NUMBER.get(number, f"operator {number}")


def read_options(content: bytes) -> dict[str, float]:
    """The numbers in a FlexBuffer that is a map, as custom operators have their options.

    Values that are no numbers are left out.

    Raises:
        ValueError: It is no map, or damaged.
    """
    if len(content) < 3:
        raise ValueError("too short for a map")
    width, kind = content[-1], content[-2]
    if width not in (1, 2, 4, 8) or kind >> 2 != _MAP:
        raise ValueError("no map")
    values = _follow(content, len(content) - 2 - width, width)
    width = 1 << (kind & 3)
    count = _unsigned(content, values - width, width)
    key_width = _unsigned(content, values - 2 * width, width)
    keys = _follow(content, values - 3 * width, width)
    if count > _MOST_KEYS or key_width not in (1, 2, 4, 8):
        raise ValueError("no map of a few options")
    types = values + count * width
    found = {}
    for index in range(count):
        name_at = _follow(content, keys + index * key_width, key_width)
        name = content[name_at : content.index(b"\0", name_at)].decode("utf-8", "replace")
        if types + index >= len(content):
            raise ValueError("cut off")
        form = _FORMATS.get(content[types + index] >> 2, {}).get(width)
        if form:
            found[name] = _read(content, values + index * width, form)
    return found


def _follow(content: bytes, at: int, width: int) -> int:
    target = at - _unsigned(content, at, width)
    if target < 0:
        raise ValueError("points before its beginning")
    return target


def _unsigned(content: bytes, at: int, width: int) -> int:
    return int(_read(content, at, {1: "B", 2: "H", 4: "I", 8: "Q"}[width]))


def _read(content: bytes, at: int, form: str) -> Any:
    if at < 0 or at + struct.calcsize(form) > len(content):
        raise ValueError("points beyond its end")
    return struct.unpack_from(f"<{form}", content, at)[0]
