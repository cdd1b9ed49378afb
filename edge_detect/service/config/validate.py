"""What pydantic says about a file, in the words of this program."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge_detect.service.config.places import KeyPath
from edge_detect.service.config.problems import Problem, show_value
from edge_detect.service.config.schema import is_secret, keys_of, section_at
from edge_detect.service.config.settings import Settings

__all__ = ["Validated", "related", "validate"]

_NAMES = "use up to 32 letters, digits, '-' and '_', and begin with a letter or digit"
# pydantic's types of errors → what must be there.
_KINDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "finite_number": "must be a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a number of a reasonable size",
    "int_type": "must be a whole number",
    "model_type": "must be a table",
    "string_type": "must be text, in quotes",
    "tuple_type": "must be a list, in [ ]",
}
_WORDS = (
    ("Input should", "must"),
    ("String should", "must"),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("greater than", "more than"),
)


@dataclass(slots=True, frozen=True)
class Validated:
    """What came of a file.

    Attributes:
        settings: Without the keys that have errors; None if nothing can be made of the rest.
        problems: All errors; their lines are not known here.
        left_out: The paths of the keys and tables that `settings` lacks because of errors.
    """

    settings: Settings | None
    problems: tuple[Problem, ...]
    left_out: tuple[KeyPath, ...]


def validate(
    filled: dict[str, Any], written: dict[str, Any], missing: Iterable[KeyPath]
) -> Validated:
    """Check a file against the schema.

    So that all errors can be told at once, what has some is left out, and the rest is checked
    again: `settings` are there for further checks even when there are problems.

    Args:
        filled: What the file says, with secrets filled in.
        written: What stands in the file: the values to show.
        missing: Paths of keys that could not be filled in.
    """
    left_out = list(missing)
    blank: set[KeyPath] = set()
    problems: list[Problem] = []
    data: Any = filled
    while True:
        try:
            return Validated(Settings.model_validate(data), tuple(problems), tuple(left_out))
        except ValidationError as error:
            details = error.errors(include_url=False)
        # Also what is wrong only because something else was left out is not told.
        new = [each for each in details if not related(_path_of(each), left_out)]
        problems += [_tell(each, written) for each in new if not _follows(each, details)]
        # What a table cannot do without is left blank first, for the sake of its other keys.
        blanks = {path for each in details if (path := _blank_for(each)) and path not in blank}
        removed = {_removable(each) for each in details if _blank_for(each) not in blanks}
        if () in removed:
            return Validated(None, tuple(problems), tuple(left_out))
        blank |= blanks
        left_out += removed | blanks
        data = _changed(data, removed, blanks)


def related(path: KeyPath, others: Iterable[KeyPath]) -> bool:
    """Whether a path leads to, or through, one of some others."""
    return any(path[: len(other)] == other or other[: len(path)] == path for other in others)


def _path_of(detail: ErrorDetails) -> KeyPath:
    return tuple(part for part in detail["loc"] if part != "[key]")


def _removable(detail: ErrorDetails) -> KeyPath:
    """The smallest thing that can be left out to be rid of an error."""
    path = _path_of(detail)
    if detail["type"] == "missing":
        path = path[:-1]
    for index, part in enumerate(path):
        # Within a list everything hangs together.
        if isinstance(part, int):
            return path[:index]
    return path


def _blank_for(detail: ErrorDetails) -> KeyPath:
    """The path of a key that is missing from a table."""
    path = _path_of(detail)
    return path if detail["type"] == "missing" and isinstance(path[-1], str) else ()


def _changed(
    data: Any, removed: Collection[KeyPath], blanks: Collection[KeyPath], path: KeyPath = ()
) -> Any:
    """A copy without some keys, and with an empty text for some others."""
    if not isinstance(data, dict):
        return data
    kept = {
        key: _changed(value, removed, blanks, (*path, key))
        for key, value in data.items()
        if (*path, key) not in removed
    }
    return kept | {blank[-1]: "" for blank in blanks if blank[:-1] == path}


def _tell(detail: ErrorDetails, written: dict[str, Any]) -> Problem:
    """One error in our words."""
    path, kind, context = _path_of(detail), detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _tell_unknown(path)
    if kind == "missing":
        if isinstance(path[-1], int):
            return Problem(path[:-1], "must be two numbers [x, y]")
        hint = "give the file a [cameras.NAME]" if path == ("cameras",) else ""
        return Problem(path, "is missing", hint)
    if detail["loc"][-1] == "[key]":
        return Problem(path, "is no name that can be used", _NAMES)
    value = _value_at(written, path)
    got = "" if value is None or is_secret(path) else f", got {show_value(value)}"
    if kind == "impossible":
        got = "" if isinstance(value, (dict, list)) else got
        return Problem(path, f"{context['fact']}{got}", context["hint"])
    if kind in ("too_short", "too_long"):
        return Problem(path, _tell_length(path, context))
    return Problem(path, f"{_KINDS.get(kind) or _reword(detail['msg'])}{got}")


def _follows(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Whether a list only seems too short, because some of its items have errors."""
    path = _path_of(detail)
    return detail["type"] == "too_short" and any(
        len(_path_of(each)) > len(path) and related(path, [_path_of(each)]) for each in details
    )


def _reword(message: str) -> str:
    for theirs, ours in _WORDS:
        message = message.replace(theirs, ours)
    return message


def _tell_unknown(path: KeyPath) -> Problem:
    section = section_at(path[:-1])
    keys = keys_of(section) if section is not None else []
    close = get_close_matches(str(path[-1]), keys, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(keys)}"
    return Problem(path, "unknown key", hint)


def _tell_length(path: KeyPath, context: dict[str, Any]) -> str:
    if path == ("cameras",):
        return "names no camera"
    if "max_length" in context:
        if context["max_length"] == 2:
            return "must be two numbers [x, y]"
        return f"has {context['actual_length']} items, at most {context['max_length']} are allowed"
    return f"has {context['actual_length']} of at least {context['min_length']} items"


def _value_at(data: Any, path: KeyPath) -> Any:
    """What stands at a path; None if nothing does, as for what has another spelling there."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data
