"""Lists of labels in all the forms that people keep them in."""

import json
import re
from typing import Any, NamedTuple

__all__ = [
    "PLACEHOLDER",
    "LabelList",
    "is_background",
    "is_placeholder",
    "names_of",
    "parse_labels",
    "read_labels",
]

# What the catalogue calls a class that means nothing.
PLACEHOLDER = "n/a"

_BACKGROUND = ("background", "__background__", "_background_", "bg", "unlabeled", "unlabelled")
_MOST_LABELS = 10_000
_ID_DIGITS = 5
_LEAST_DENSITY = 0.6
_MOST_CHARACTERS = 1_000_000
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_NUMBERED = re.compile(r"^\s*(\d{1,5})(?:\s*[:=,]\s*|\s+)(\S.*?)\s*$")
_COMMENT = re.compile(r"^#+(?:\s|$)")
# Strings in quotes, at most to the end of the line; comments, braces, and what is between them.
_PARTS = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|#[^\n]*|[{}]|[^\"'#{}]+")
_ENTRY = re.compile(r"(\w+)\s*:\s*(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\S+)")
_NAMES_LINE = re.compile(r"^names\s*:\s*(.*)$")
# What YAML has between brackets: comments, separators, strings in quotes, and plain words, which
# end before a separator, a comment or the end of the line.
_YAML_FLOW = re.compile(
    r"(?P<comment>(?<!\S)#[^\n]*)|(?P<mark>[\[\]{},]|:(?=\s))"
    r"|(?P<quoted>(?:\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\n]|'')*')(?P<key>:)?)"
    r"|(?P<plain>[^\s\[\]{},](?:[^\s\[\]{},:]|:(?!\s)|[ \t]+(?![\s\[\]{},#]))*)"
)
_YAML_ITEM = re.compile(r"^\s*(?:-\s+|['\"]?(\d{1,5})['\"]?\s*:\s+)(.+?)\s*$")


class LabelList(NamedTuple):
    """Names by class id.

    Attributes:
        names: Ids that are left out are `n/a`.
        implied: Whether id 0 is left out, so that the list begins with an `n/a` that is not in
            the file.
        note: What was not taken as it is; for people.
    """

    names: tuple[str, ...] = ()
    implied: bool = False
    note: str = ""


def read_labels(content: bytes, name: str = "") -> LabelList:
    """Read a list of labels, by class id.

    One name a line; `0 person` or `0: person` on each line; `item { id: 1 name: "person" }`;
    JSON or YAML with a list of names, a table of names by id or of ids by name, alone or under
    `names`. Before the first name, lines that begin with `#` are comments, after it those that
    begin with `#` and a space.

    Args:
        content: Of the file: UTF-8, UTF-16 with a byte order mark, or Windows-1252.
        name: Of the file; its suffix is a hint.

    Returns:
        Without names where the content is no list of labels.
    """
    text, note = _decode(content)
    found = _parse(text, name)
    names = tuple(_printable(each) for each in found.names)
    return LabelList(names, found.implied, ", ".join(filter(None, (note, found.note))))


def parse_labels(content: bytes, name: str = "") -> list[str]:
    """The names of `read_labels`."""
    return list(read_labels(content, name).names)


def _decode(content: bytes) -> tuple[str, str]:
    """Text, empty where it is none, and what was assumed."""
    encodings = ("utf-16",) if content[:2] in _UTF16_MARKS else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)[:_MOST_CHARACTERS]
        except UnicodeDecodeError:
            continue
        if any(ord(each) < ord(" ") and each not in "\t\n\v\f\r\x1a\x1b" for each in text):
            return "", ""
        return text, "no UTF-8, read as Windows-1252" if encoding == "cp1252" else ""
    return "", ""


def _parse(text: str, name: str) -> LabelList:
    if re.search(r"^\s*item\s*\{", text, re.MULTILINE):
        return _by_id(_parse_pbtxt(text))
    if text.lstrip()[:1] in ("{", "["):
        return _parse_json(text)
    if name.lower().endswith((".yaml", ".yml")) or re.search(r"^names\s*:", text, re.MULTILINE):
        return _parse_yaml(text)
    return _parse_lines(text)


def _by_id(numbered: dict[int, str]) -> LabelList:
    return LabelList(tuple(_in_order(numbered)), bool(numbered) and 0 not in numbered)


def names_of(said: Any) -> list[str]:
    """Labels from a list, or from a table by id; empty where it is neither."""
    if isinstance(said, list | tuple):
        names = [str(each).strip() for each in said[:_MOST_LABELS] if isinstance(each, str | int)]
        return [_printable(name) for name in names]
    return _in_order(_numbered(said))


def _numbered(said: Any) -> dict[int, str]:
    """Names by id, of a table by id or of ids by name; empty where it is neither."""
    if not isinstance(said, dict):
        return {}
    ids = [each for each in said.values() if isinstance(each, int) and not isinstance(each, bool)]
    if len(ids) == len(said) > 1 and sorted(ids) in (
        list(range(len(ids))),
        list(range(1, len(ids) + 1)),
    ):
        return {number: _printable(str(name).strip()) for name, number in said.items()}
    numbered = {}
    for key, value in said.items():
        if not _is_id(str(key)) or not isinstance(value, str):
            return {}
        numbered[int(key)] = _printable(value.strip())
    return numbered


def _is_id(text: str) -> bool:
    """Whether text is a class number; Python refuses numbers of thousands of digits."""
    return text.isdecimal() and len(text) <= _ID_DIGITS and int(text) < _MOST_LABELS


def is_placeholder(label: str) -> bool:
    """Whether a label names a class that means nothing: `???`, `n/a`, for example."""
    return label.strip().lower() in ("", "???", "?", "n/a", "na", "unused", "-")


def is_background(label: str) -> bool:
    """Whether a label names what is no object."""
    return is_placeholder(label) or label.strip().lower() in _BACKGROUND


def _parse_lines(text: str) -> LabelList:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    lines, note = _without_comments(lines)
    lines = lines[:_MOST_LABELS]
    matches = [_NUMBERED.match(line) for line in lines if line]
    if len(matches) > 1 and all(matches):
        numbered = {int(match[1]): match[2] for match in matches if match}
        # Numbers that begin at 0 or 1 and mostly go on by one: not names such as `20 cent`.
        first, last = min(numbered), max(numbered)
        dense = len(numbered) >= _LEAST_DENSITY * (last - first + 1)
        if len(numbered) == len(matches) and first <= 1 and dense:
            return _by_id(numbered)._replace(note=note)
    names = tuple(PLACEHOLDER if is_placeholder(line) else line for line in lines)
    return LabelList(names, note=note)


def _without_comments(lines: list[str]) -> tuple[list[str], str]:
    """The lines that are names, and what was skipped."""
    begin = next((index for index, each in enumerate(lines) if each and each[0] != "#"), 0)
    if not any(each.startswith("#") for each in lines[:begin]):
        begin = 0
    names = [each for each in lines[begin:] if not _COMMENT.match(each)]
    skipped = sum(each.startswith("#") for each in lines) - sum(
        each.startswith("#") for each in names
    )
    if not skipped:
        return names, ""
    return names, f"{skipped} line{'s' * (skipped > 1)} beginning with # skipped"


def _parse_pbtxt(text: str) -> dict[int, str]:
    """A label map of the Object Detection API; id 0 is left out there."""
    numbered: dict[int, str] = {}
    for item in _items(text)[:_MOST_LABELS]:
        entries = {key: _unescaped(value) for key, value in _ENTRY.findall(item)}
        number = entries.get("id", "")
        if _is_id(number):
            name = entries.get("display_name") or entries.get("name") or PLACEHOLDER
            numbered[int(number)] = name
    return numbered


def _items(text: str) -> list[str]:
    """What stands in the outermost braces, without what stands in inner ones."""
    found: list[list[str]] = []
    depth = 0
    for part in _PARTS.findall(text):
        if part == "{":
            depth += 1
            if depth == 1:
                found.append([])
        elif part == "}":
            depth = max(0, depth - 1)
        elif depth == 1 and not part.startswith("#"):
            found[-1].append(part)
    return ["".join(parts) for parts in found]


def _unescaped(value: str) -> str:
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _parse_json(text: str) -> LabelList:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return LabelList()
    if isinstance(said, list) and said and all(isinstance(each, dict) for each in said):
        # COCO's categories.
        said = {str(each.get("id")): each.get("name") for each in said}
    if isinstance(said, dict):
        for key in ("names", "labels", "classes", "classNames", "categories"):
            if names_of(said.get(key)):
                return _from_json(said[key])
    return _from_json(said)


def _from_json(said: Any) -> LabelList:
    return _by_id(_numbered(said)) if isinstance(said, dict) else LabelList(tuple(names_of(said)))


def _parse_yaml(text: str) -> LabelList:
    """The part of YAML that data sets use: `names` with a list or a table by id, in any form."""
    lines = text.splitlines()
    begin = next((index for index, line in enumerate(lines) if _NAMES_LINE.match(line)), -1)
    if begin >= 0:
        match = _NAMES_LINE.match(lines[begin])
        lines = [match[1] if match else "", *lines[begin + 1 :]]
        while lines and (not lines[0].strip() or lines[0].lstrip().startswith("#")):
            del lines[0]
        if lines and lines[0].lstrip()[:1] in ("[", "{"):
            return _parse_flow("\n".join(lines))
    numbered: dict[int, str] = {}
    for line in lines:
        match = _YAML_ITEM.match(line)
        if match is None:
            # Without `names`, what is before the first item is passed over.
            if line.strip() and not line.lstrip().startswith("#") and (numbered or begin >= 0):
                break
            continue
        number = int(match[1]) if match[1] else len(numbered)
        if number < _MOST_LABELS:
            numbered[number] = _unquoted(match[2].partition(" #")[0])
    return _by_id(numbered)


def _parse_flow(text: str) -> LabelList:
    """`[a, b]` or `{0: a, 1: b}` at the beginning of a text; nothing where the end is missing."""
    opening = text.lstrip()[0]
    rows: list[list[list[str]]] = [[[]]]
    for part in _YAML_FLOW.finditer(text.lstrip()[1:]):
        mark = part["mark"]
        if mark in ("]", "}"):
            break
        if mark == ",":
            rows.append([[]])
        elif mark == ":":
            rows[-1].append([])
        elif mark is None and part["comment"] is None:
            word = part["quoted"] or part["plain"]
            rows[-1][-1].append(_unquoted(word.removesuffix(":") if part["key"] else word))
            if part["key"]:
                rows[-1].append([])
    else:
        return LabelList()
    entries = [[" ".join(words) for words in row] for row in rows if row != [[]]][:_MOST_LABELS]
    if opening == "[":
        return LabelList(tuple(": ".join(entry) for entry in entries))
    said = {entry[0]: ": ".join(entry[1:]) for entry in entries}
    if not all(_is_id(key) for key in said):
        # Ids by name.
        by_name = {key: int(value) for key, value in said.items() if _is_id(value)}
        return _by_id(_numbered(by_name)) if len(by_name) == len(said) else LabelList()
    return _by_id(_numbered(said))


def _printable(name: str) -> str:
    """A name that does nothing to a terminal or a line of a log."""
    return "".join(each if each.isprintable() else " " for each in name).strip()


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'")


def _in_order(numbered: dict[int, str]) -> list[str]:
    if not numbered:
        return []
    return [numbered.get(index, PLACEHOLDER) for index in range(max(numbered) + 1)]
