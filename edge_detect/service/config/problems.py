"""What is wrong with a configuration file, all of it at once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_detect.core import ConfigError
from edge_detect.core.url import parse_url
from edge_detect.service.config.places import KeyPath, show_path

__all__ = ["ConfigFileError", "Problem", "show_url", "show_value"]

_LONGEST = 60
_LOGIN = re.compile(r"[^\s:@/]*:[^\s@]*@")


@dataclass(slots=True, frozen=True)
class Problem:
    """One thing that is wrong, or looks wrong.

    Attributes:
        path: The key; empty for the file as a whole.
        fact: What is wrong, in words that follow the key.
        hint: What is allowed, or what to do.
        line: Where, from 1; 0 for the file as a whole.
        column: From 1; 0 where only the line is known.
    """

    path: KeyPath
    fact: str
    hint: str = ""
    line: int = 0
    column: int = 0

    def said_of(self, file: Path) -> str:
        """File, line, key and fact; the hint follows on a line of its own."""
        where = str(file) + (f":{self.line}" if self.line else "")
        where += f":{self.column}" if self.column else ""
        key = f"{show_path(self.path)}: " if self.path else ""
        hint = f"\n    {self.hint}" if self.hint else ""
        return f"{where}: {key}{self.fact}{hint}"


class ConfigFileError(ConfigError):
    """A configuration file with one problem or more.

    Args:
        file: The file.
        problems: At least one.

    Attributes:
        file: The file.
        problems: By line.
    """

    def __init__(self, file: Path, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems: Sequence[Problem] = sorted(problems, key=lambda problem: problem.line)
        said = [problem.said_of(file) for problem in self.problems]
        if len(said) == 1:
            only = self.problems[0]
            super().__init__(said[0].partition("\n")[0], only.hint)
        else:
            super().__init__("\n".join([f"{len(said)} errors in the configuration", *said]))


def show_value(value: object) -> str:
    """A value from the file as an error may show it: short, and without logins in URLs."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = show_url(value)
        return repr(shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…")
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    shown = str(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def show_url(text: str) -> str:
    """A text with logins and tokens replaced by `***`, if it is a URL or looks like one."""
    if "://" not in text:
        return _LOGIN.sub("***@", text)
    url = parse_url(text)
    if url.stray_password or not url.scheme:
        return f"{text.partition('://')[0]}://***"
    host = text.partition("://")[2].partition("/")[0].partition("?")[0]
    shown = url.name.replace("://", "://***@", 1) if "@" in host else url.name
    # What is left of `${NAME}`, which needs no encoding.
    return shown.replace("%24%7B", "${").replace("%7D", "}")
