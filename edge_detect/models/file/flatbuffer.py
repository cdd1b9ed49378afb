"""Tables of a FlatBuffer, by field number; nothing is read beyond the content's end.

Reference:
    The FlatBuffers project, "FlatBuffers Internals" (layout of tables, vtables and vectors).
"""

import struct
from dataclasses import dataclass
from typing import Any

__all__ = ["Table", "root_table"]

_BEYOND = "it points at something beyond its end"


@dataclass(slots=True, frozen=True)
class Table:
    """One table.

    Every method raises ValueError where the content is damaged.

    Attributes:
        content: The whole FlatBuffer.
        at: Where the table begins in it.
    """

    content: bytes
    at: int

    def number(self, field: int, form: str, default: Any = 0) -> Any:
        """A number, by its format of the module `struct`."""
        place = self._place(field)
        return default if place is None else _unpack(form, self.content, place)[0]

    def has(self, field: int) -> bool:
        """Whether a field is there."""
        return self._place(field) is not None

    def count(self, field: int) -> int:
        """Length of a vector, whatever it holds; 0 where there is none."""
        return self._vector(field, 0)[1]

    def text(self, field: int) -> str:
        """A string; empty where there is none."""
        return bytes(self.data(field)).decode("utf-8", "replace")

    def data(self, field: int) -> bytes:
        """A vector of bytes; empty where there is none."""
        begin, count = self._vector(field, 1)
        return self.content[begin : begin + count]

    def numbers(self, field: int, form: str) -> tuple[Any, ...]:
        """A vector of numbers; empty where there is none."""
        begin, count = self._vector(field, struct.calcsize(form))
        return _unpack(f"{count}{form}", self.content, begin) if count else ()

    def table(self, field: int) -> "Table | None":
        """A table; None where there is none."""
        place = self._place(field)
        return None if place is None else self._at(self._target(place))

    def tables(self, field: int, limit: int | None = None) -> "list[Table]":
        """A vector of tables, the first `limit` of them; empty where there is none."""
        begin, count = self._vector(field, 4)
        count = count if limit is None else min(count, limit)
        return [self._at(self._target(begin + 4 * index)) for index in range(count)]

    def texts(self, field: int, limit: int) -> list[str]:
        """A vector of strings, the first `limit` of them; empty where there is none."""
        begin, count = self._vector(field, 4)
        found = []
        for index in range(min(count, limit)):
            at = self._target(begin + 4 * index)
            length = _unpack("I", self.content, at)[0]
            self._check(at + 4, length)
            found.append(self.content[at + 4 : at + 4 + length].decode("utf-8", "replace"))
        return found

    def _place(self, field: int) -> int | None:
        """Where a field's value or offset is; None where the table leaves it out."""
        vtable = self.at - _unpack("i", self.content, self.at)[0]
        if vtable < 0:
            raise ValueError("it points at something before its beginning")
        if 6 + 2 * field > _unpack("H", self.content, vtable)[0]:
            return None
        offset = _unpack("H", self.content, vtable + 4 + 2 * field)[0]
        return self.at + offset if offset else None

    def _target(self, place: int) -> int:
        return place + int(_unpack("I", self.content, place)[0])

    def _at(self, at: int) -> "Table":
        self._check(at, 4)
        return Table(self.content, at)

    def _vector(self, field: int, element_bytes: int) -> tuple[int, int]:
        """Begin and length of a vector."""
        place = self._place(field)
        if place is None:
            return 0, 0
        at = self._target(place)
        count = int(_unpack("I", self.content, at)[0])
        self._check(at + 4, count * element_bytes)
        return at + 4, count

    def _check(self, at: int, count: int) -> None:
        if at + count > len(self.content):
            raise ValueError(_BEYOND)


def root_table(content: bytes) -> Table:
    """The table that a FlatBuffer begins with.

    Raises:
        ValueError: It is too short.
    """
    table = Table(content, int(_unpack("I", content, 0)[0]))
    # At least the way to its list of fields.
    _unpack("i", content, table.at)
    return table


def _unpack(form: str, content: bytes, at: int) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(f"<{form}", content, at)
    except struct.error as error:
        raise ValueError(_BEYOND) from error
