"""On which line of a TOML document each key stands.

`tomllib` reads the document, and has checked it before this module sees it; where things
were, it does not tell. So this is a scanner and no parser: of values it only knows where they
end.
"""

import re
import tomllib
from collections.abc import Iterator

__all__ = ["KeyPath", "Lines", "find_lines", "show_path"]

KeyPath = tuple[str | int, ...]
Lines = dict[KeyPath, int]

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'",
    re.DOTALL,
)
# Numbers, dates and so on: up to what can follow a value.
_OTHER = re.compile(r"[^,\]}#\r\n]*")


def find_lines(text: str) -> Lines:
    """The line of every key, table and array element, from 1.

    Args:
        text: A document that `tomllib` reads without complaint.

    Returns:
        By path, as in what `tomllib.loads` returns: `("cameras", "door", "sinks", 0)`. Tables
        have the line of their header, or of the first key that makes them.
    """
    return _Scanner(text).scan()


def show_path(path: KeyPath) -> str:
    """A path as one would write it: `cameras.door.sinks[0]`."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
            continue
        name = part if _BARE.fullmatch(part) else repr(part)
        shown += f".{name}" if shown else name
    return shown


class _Scanner:
    def __init__(self, text: str) -> None:
        # As tomllib does it; it also keeps carriage returns out of the patterns.
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._lines: Lines = {}
        # How many elements each array of tables has so far.
        self._counts: dict[KeyPath, int] = {}

    def scan(self) -> Lines:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._open_element()
            elif self._text[self._at] == "[":
                self._take("[")
                table = self._note(self._resolve(self._read_key()))
                self._take("]")
            else:
                self._read_pair(table)
            self._skip(_BLANK)
        return self._lines

    def _open_element(self) -> KeyPath:
        """Read `[[a.b]]`."""
        self._take("[[")
        path = self._read_key()
        line = self._line
        array = (*self._resolve(path[:-1]), path[-1])
        index = self._counts.get(array, 0)
        self._counts[array] = index + 1
        self._note(array, line)
        self._take("]]")
        return self._note((*array, index), line)

    def _resolve(self, path: KeyPath) -> KeyPath:
        """Within arrays of tables, a header means the last element."""
        resolved: KeyPath = ()
        for part in path:
            resolved = (*resolved, part)
            if resolved in self._counts:
                resolved = (*resolved, self._counts[resolved] - 1)
        return resolved

    def _read_pair(self, table: KeyPath) -> None:
        path = self._note((*table, *self._read_key()))
        self._take("=")
        self._read_value(path)

    def _read_key(self) -> KeyPath:
        return tuple(self._read_key_parts())

    def _read_key_parts(self) -> Iterator[str]:
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                quoted = self._skip(_STRING)
                yield tomllib.loads(f"key = {quoted}")["key"]
            else:
                yield self._skip(_BARE)
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return
            self._at += 1

    def _read_value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        character = self._text[self._at]
        if character in "\"'":
            self._skip(_STRING)
        elif character == "[":
            self._read_array(path)
        elif character == "{":
            self._read_inline_table(path)
        else:
            self._skip(_OTHER)

    def _read_array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while not self._ends("]"):
            self._read_value(self._note((*path, index)))
            index += 1

    def _read_inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while not self._ends("}"):
            self._read_pair(path)

    def _ends(self, bracket: str) -> bool:
        """Go past a comma to the next item, or past the closing bracket."""
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _note(self, path: KeyPath, line: int = 0) -> KeyPath:
        """Remember where a path, and whatever leads to it, came up first."""
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line or self._line)
        return path

    def _take(self, expected: str) -> None:
        self._skip(_SPACE)
        if not self._text.startswith(expected, self._at):
            raise ValueError(f"line {self._line} must go on with {expected!r}")
        self._at += len(expected)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"line {self._line} does not go on as TOML does")
        self._at = match.end()
        self._line += match[0].count("\n")
        return match[0]
