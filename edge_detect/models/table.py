"""Tables of a FlatBuffer, whose fields are read by number.

Reference:
    The FlatBuffers project, "FlatBuffers Internals" (layout of tables, vtables and vectors).
"""

import struct
from collections.abc import Iterator

__all__ = ["Table", "root_of"]


class Table:
    """One table of a FlatBuffer; a field that it does not have is empty or 0.

    Every method raises `struct.error` where something lies beyond the content's end.

    Args:
        content: The whole FlatBuffer, after `check_structure`.
        at: Where the table begins in it.
    """

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at
        vtable = at - struct.unpack_from("<i", content, at)[0]
        length = struct.unpack_from("<H", content, vtable)[0]
        self._places = struct.unpack_from(f"<{max(0, length // 2 - 2)}H", content, vtable + 4)

    def scalar(self, field: int, form: str) -> int:
        """A number; 0 where it is left out."""
        place = self._place(field)
        return int(struct.unpack_from(f"<{form}", self._content, place)[0]) if place else 0

    def has(self, field: int) -> bool:
        """Whether a field is there."""
        return self._place(field) > 0

    def count(self, field: int) -> int:
        """The length of a list; 0 where it is left out."""
        return self._list(field)[1]

    def numbers(self, field: int, form: str) -> tuple[int, ...]:
        """A list of numbers; empty where it is left out."""
        at, count = self._list(field)
        return struct.unpack_from(f"<{count}{form}", self._content, at)

    def tables(self, field: int) -> Iterator["Table"]:
        """A list of tables."""
        at, count = self._list(field)
        for place in range(at, at + 4 * count, 4):
            yield Table(self._content, place + struct.unpack_from("<I", self._content, place)[0])

    def table(self, field: int) -> "Table | None":
        """A table; None where it is left out."""
        place = self._place(field)
        if not place:
            return None
        return Table(self._content, place + struct.unpack_from("<I", self._content, place)[0])

    def text(self, field: int) -> str:
        """A string."""
        at, count = self._list(field)
        return self._content[at : at + count].decode("utf-8", "replace")

    def _place(self, field: int) -> int:
        offset = self._places[field] if field < len(self._places) else 0
        return self._at + offset if offset else 0

    def _list(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if not place:
            return 0, 0
        at = place + struct.unpack_from("<I", self._content, place)[0]
        return at + 4, struct.unpack_from("<I", self._content, at)[0]


def root_of(content: bytes) -> Table:
    """The table that a FlatBuffer begins with."""
    return Table(content, struct.unpack_from("<I", content)[0])
