"""Is every part of a TFLite file where the file says it is?

A TFLite model is a FlatBuffer: tables that point at tables, lists and strings by offsets. LiteRT
checks them before it follows them. tflite-runtime follows them unseen, and a file that was cut
off during a download ends the whole process there; so they are checked here, for both.

Reference:
    The FlatBuffers project, "FlatBuffers Internals" (layout of tables, vtables and vectors), and
    TensorFlow's schema.fbs, version 3 (numbers of the fields).
"""

import struct
from collections.abc import Mapping

__all__ = ["check_structure"]

_OFFSET_BYTES = 4
_TABLE = "a table of unknown fields"

# What the fields of a table point at, by their number: a list or a string by the bytes of one of
# its elements, a table by its name, a list of tables by its name in brackets. Fields with plain
# numbers are not named.
_POINTERS: Mapping[str, Mapping[int, int | str]] = {
    "Model": {
        1: "[OperatorCode]",
        2: "[SubGraph]",
        3: 1,
        4: "[Buffer]",
        5: 4,
        6: "[Metadata]",
        7: "[SignatureDef]",
    },
    "OperatorCode": {1: 1},
    "SubGraph": {0: "[Tensor]", 1: 4, 2: 4, 3: "[Operator]", 4: 1},
    "Tensor": {0: 4, 3: 1, 4: "Quantization", 6: _TABLE, 7: 4},
    "Quantization": {0: 4, 1: 4, 2: 4, 3: 8, 5: _TABLE},
    "Operator": {1: 4, 2: 4, 4: _TABLE, 5: 1, 7: 1, 8: 4},
    "Buffer": {0: 1},
    "Metadata": {0: 1},
    "SignatureDef": {0: "[TensorMap]", 1: "[TensorMap]", 2: 1},
    "TensorMap": {0: 1},
    _TABLE: {},
}


def check_structure(content: bytes) -> None:
    """Check that everything that a TFLite file points at lies within it.

    Raises:
        ValueError: Something does not: the file was cut off or damaged.
    """
    try:
        (root,) = struct.unpack_from("<I", content)
        _check_table(content, root, "Model")
    except struct.error as error:
        raise ValueError("it points at something beyond its end") from error


def _check_table(content: bytes, at: int, name: str) -> None:
    (to_vtable,) = struct.unpack_from("<i", content, at)
    vtable = at - to_vtable
    if vtable < 0:
        raise ValueError("it points at something before its beginning")
    vtable_bytes, table_bytes = struct.unpack_from("<HH", content, vtable)
    _check_within(content, at, table_bytes)
    # The two lengths come before the fields' places.
    places = struct.unpack_from(f"<{max(0, vtable_bytes // 2 - 2)}H", content, vtable + 4)
    for field, pointed in _POINTERS[name].items():
        if field < len(places) and places[field]:
            place = at + places[field]
            target = place + struct.unpack_from("<I", content, place)[0]
            if isinstance(pointed, int):
                _check_list(content, target, pointed)
            elif pointed.startswith("["):
                _check_tables(content, target, pointed.strip("[]"))
            else:
                _check_table(content, target, pointed)


def _check_tables(content: bytes, at: int, name: str) -> None:
    count = _check_list(content, at, _OFFSET_BYTES)
    first = at + _OFFSET_BYTES
    offsets = struct.unpack_from(f"<{count}I", content, first)
    for index, offset in enumerate(offsets):
        _check_table(content, first + index * _OFFSET_BYTES + offset, name)


def _check_list(content: bytes, at: int, element_bytes: int) -> int:
    count: int = struct.unpack_from("<I", content, at)[0]
    _check_within(content, at + _OFFSET_BYTES, count * element_bytes)
    return count


def _check_within(content: bytes, at: int, count: int) -> None:
    if at + count > len(content):
        raise ValueError(f"{at + count - len(content)} bytes or more of it are missing")
