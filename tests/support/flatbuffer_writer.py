"""Write FlatBuffers without a schema: tables are dictionaries from field number to value."""

import struct

__all__ = ["Scalar", "Vector", "flatbuffer"]


class Scalar:
    """A number in a table: `Scalar("i", 3)`, with a format of the module `struct`."""

    def __init__(self, form, value):
        self.form, self.value = form, value


class Vector:
    """A list of numbers; `alignment` is that of its first element, in bytes."""

    def __init__(self, form, values, alignment=4):
        self.data = struct.pack(f"<{len(values)}{form}", *values)
        self.count, self.alignment = len(values), alignment

    @classmethod
    def of_bytes(cls, data, alignment=16):
        made = cls("B", b"", alignment)
        made.data, made.count = bytes(data), len(data)
        return made


def flatbuffer(table, identifier=b""):
    """The bytes of a FlatBuffer whose root is a table.

    A field's value is a `Scalar`, a `Vector`, a string, bytes, a table (dict), or a list of
    tables or strings. None leaves the field out.
    """
    out = bytearray(4) + identifier
    _patch(out, 0, _table(out, table))
    _pad(out, 16)
    return bytes(out)


def _table(out, fields):
    fields = {number: value for number, value in fields.items() if value is not None}
    count = max(fields, default=-1) + 1
    _pad(out, 4)
    vtable = len(out)
    out += bytes(4 + 2 * count)
    _pad(out, 8)
    at = len(out)
    out += struct.pack("<i", at - vtable)
    pointers = []
    for number, value in fields.items():
        form = value.form if isinstance(value, Scalar) else "I"
        # Aligned from the table's begin, which is itself aligned to the largest.
        _pad(out, struct.calcsize(form))
        struct.pack_into("<H", out, vtable + 4 + 2 * number, len(out) - at)
        if isinstance(value, Scalar):
            out += struct.pack(f"<{form}", value.value)
        else:
            pointers.append((len(out), value))
            out += bytes(4)
    struct.pack_into("<HH", out, vtable, 4 + 2 * count, len(out) - at)
    for place, value in pointers:
        _patch(out, place, _child(out, value))
    return at


def _child(out, value):
    if isinstance(value, dict):
        return _table(out, value)
    if isinstance(value, str):
        value = value.encode()
        _pad(out, 4)
        at = len(out)
        out += struct.pack("<I", len(value)) + value + b"\0"
        return at
    if isinstance(value, bytes):
        value = Vector.of_bytes(value)
    if isinstance(value, Vector):
        while (len(out) + 4) % value.alignment or len(out) % 4:
            out.append(0)
        at = len(out)
        out += struct.pack("<I", value.count) + value.data
        return at
    _pad(out, 4)
    at = len(out)
    out += struct.pack("<I", len(value)) + bytes(4 * len(value))
    for index, each in enumerate(value):
        place = at + 4 + 4 * index
        _patch(out, place, _child(out, each))
    return at


def _patch(out, place, target):
    struct.pack_into("<I", out, place, target - place)


def _pad(out, alignment):
    while len(out) % alignment:
        out.append(0)
