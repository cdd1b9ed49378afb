"""Lists of labels in all the forms that people keep them in."""

import json
import re
from typing import Any

__all__ = ["PLACEHOLDER", "is_background", "is_placeholder", "names_of", "parse_labels"]

# What the catalogue calls a class that means nothing.
PLACEHOLDER = "n/a"

_BACKGROUND = ("background", "__background__", "_background_", "bg", "unlabeled", "unlabelled")
_MOST_LABELS = 10_000
_LEAST_DENSITY = 0.6
_MOST_CHARACTERS = 1_000_000
_NUMBERED = re.compile(r"^\s*(\d{1,5})(?:\s*[:=,]\s*|\s+)(\S.*?)\s*$")
_ITEM = re.compile(r"item\s*\{([^{}]*)\}")
_ENTRY = re.compile(r"(\w+)\s*:\s*(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\S+)")
_NAMES_LINE = re.compile(r"^names\s*:\s*(.*)$")
_YAML_ITEM = re.compile(r"^\s*(?:-\s+|['\"]?(\d{1,5})['\"]?\s*:\s+)(.+?)\s*$")


def parse_labels(content: bytes, name: str = "") -> list[str]:
    """Read a list of labels, by class id.

    One name a line; `0 person` or `0: person` on each line; `item { id: 1 name: "person" }`;
    JSON or YAML with a list or a table of names, alone or under `names`.

    Args:
        content: Of the file.
        name: Of the file; its suffix is a hint.

    Returns:
        Ids that are left out are `n/a`. Empty where the content is no list of labels.
    """
    return [_printable(name) for name in _parse(content, name)]


def _parse(content: bytes, name: str) -> list[str]:
    text = content[:_MOST_CHARACTERS].decode("utf-8-sig", "replace")
    if "\0" in text or text.count("\ufffd") > len(text) // 100:
        return []
    if re.search(r"^\s*item\s*\{", text, re.MULTILINE):
        return _parse_pbtxt(text)
    if text.lstrip()[:1] in ("{", "["):
        return _parse_json(text)
    if name.lower().endswith((".yaml", ".yml")) or re.search(r"^names\s*:", text, re.MULTILINE):
        return _parse_yaml(text)
    return _parse_lines(text)


def names_of(said: Any) -> list[str]:
    """Labels from a list, or from a table by id; empty where it is neither."""
    if isinstance(said, list | tuple):
        names = [str(each).strip() for each in said[:_MOST_LABELS] if isinstance(each, str | int)]
        return [_printable(name) for name in names]
    if not isinstance(said, dict):
        return []
    numbered = {}
    for key, value in said.items():
        if not str(key).isdecimal() or not isinstance(value, str) or int(key) >= _MOST_LABELS:
            return []
        numbered[int(key)] = _printable(value.strip())
    return _in_order(numbered)


def is_placeholder(label: str) -> bool:
    """Whether a label names a class that means nothing: `???`, `n/a`, for example."""
    return label.strip().lower() in ("", "???", "?", "n/a", "na", "unused", "-")


def is_background(label: str) -> bool:
    """Whether a label names what is no object."""
    return is_placeholder(label) or label.strip().lower() in _BACKGROUND


def _parse_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    lines = [line for line in lines if not line.startswith("#")][:_MOST_LABELS]
    matches = [_NUMBERED.match(line) for line in lines if line]
    if len(matches) > 1 and all(matches):
        numbered = {int(match[1]): match[2] for match in matches if match}
        # Numbers that begin at 0 or 1 and mostly go on by one: not names such as `20 cent`.
        first, last = min(numbered), max(numbered)
        dense = len(numbered) >= _LEAST_DENSITY * (last - first + 1)
        if len(numbered) == len(matches) and first <= 1 and dense:
            return _in_order(numbered)
    return [PLACEHOLDER if is_placeholder(line) else line for line in lines]


def _parse_pbtxt(text: str) -> list[str]:
    """A label map of the Object Detection API; id 0 is left out there."""
    numbered: dict[int, str] = {}
    for item in _ITEM.findall(text)[:_MOST_LABELS]:
        entries = {key: value.strip("\"'") for key, value in _ENTRY.findall(item)}
        number = entries.get("id", "")
        if number.isdecimal() and int(number) < _MOST_LABELS:
            name = entries.get("display_name") or entries.get("name") or PLACEHOLDER
            numbered[int(number)] = name
    return _in_order(numbered)


def _parse_json(text: str) -> list[str]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if isinstance(said, list) and said and all(isinstance(each, dict) for each in said):
        # COCO's categories.
        said = {each.get("id"): each.get("name") for each in said}
    if isinstance(said, dict):
        for key in ("names", "labels", "classes", "classNames", "categories"):
            if names_of(said.get(key)):
                return names_of(said[key])
    return names_of(said)


def _parse_yaml(text: str) -> list[str]:
    """The part of YAML that data sets use: `names: [a, b]`, a list, or a table by id."""
    lines = text.splitlines()
    begin = next((index for index, line in enumerate(lines) if _NAMES_LINE.match(line)), -1)
    rest = ""
    if begin >= 0:
        match = _NAMES_LINE.match(lines[begin])
        rest = match[1].partition(" #")[0].strip() if match else ""
    if rest.startswith("["):
        joined = " ".join([rest, *lines[begin + 1 :]]).partition("]")[0].lstrip("[")
        return [_unquoted(each) for each in joined.split(",") if each.strip()]
    numbered: dict[int, str] = {}
    for line in lines[begin + 1 :]:
        match = _YAML_ITEM.match(line)
        if match is None:
            if line.strip() and not line.lstrip().startswith("#") and numbered:
                break
            continue
        number = int(match[1]) if match[1] else len(numbered)
        if number < _MOST_LABELS:
            numbered[number] = _unquoted(match[2].partition(" #")[0])
    return _in_order(numbered)


def _printable(name: str) -> str:
    """A name that does nothing to a terminal or a line of a log."""
    return "".join(each if each.isprintable() else " " for each in name).strip()


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'")


def _in_order(numbered: dict[int, str]) -> list[str]:
    if not numbered:
        return []
    return [numbered.get(index, PLACEHOLDER) for index in range(max(numbered) + 1)]
