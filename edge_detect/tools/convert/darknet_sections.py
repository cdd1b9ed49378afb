"""Darknet's cfg files as sections of options that remember their line numbers."""

import re
from dataclasses import dataclass
from pathlib import Path

from edge_detect.core import ModelError

__all__ = ["Section", "read_sections"]


@dataclass(frozen=True, slots=True)
class Section:
    """One `[kind]` of a cfg and the options below it.

    Attributes:
        source: Name of the file, for messages.
        kind: The word between the brackets.
        line: Line number of the bracket, from 1.
        options: Value and line number by key.
    """

    source: str
    kind: str
    line: int
    options: dict[str, tuple[str, int]]

    def error(self, fact: str, hint: str = "", *, key: str = "") -> ModelError:
        """Make the error for this section, or for one option of it.

        Args:
            fact: What is wrong, as the end of a sentence that begins with the section.
            hint: What can be done.
            key: The option to point at instead of the section.
        """
        line = self.options[key][1] if key in self.options else self.line
        return ModelError(f"{self.source}: [{self.kind}] at line {line} {fact}", hint)

    def text(self, key: str, default: str) -> str:
        """The value of an option as it stands."""
        return self.options[key][0] if key in self.options else default

    def integer(self, key: str, default: int | None = None, *, least: int | None = None) -> int:
        """The value of an option as an integer.

        Args:
            key: Name of the option.
            default: Taken where the option is missing; without one it is required.
            least: Smallest value that makes sense.

        Raises:
            ModelError: The option is missing, not an integer, or too small.
        """
        if key not in self.options:
            if default is None:
                raise self.error(f"needs {key}=…")
            return default
        value = self._parse(key, self.options[key][0])
        if least is not None and value < least:
            raise self.error(f"says {key}={value}, which must be at least {least}", key=key)
        return value

    def flag(self, key: str) -> bool:
        """Whether an option is given and not 0."""
        return self.integer(key, 0) != 0

    def number(self, key: str, default: float) -> float:
        """The value of an option as a number.

        Raises:
            ModelError: It is not a number.
        """
        text = self.text(key, str(default))
        try:
            return float(text)
        except ValueError:
            raise self.error(f"says {key}={text}, which is not a number", key=key) from None

    def integers(self, key: str) -> tuple[int, ...]:
        """The value of an option as a list of integers, none where the option is missing.

        Raises:
            ModelError: One is not an integer.
        """
        return tuple(self._parse(key, part) for part in self._parts(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """The value of an option as a list of numbers, none where the option is missing.

        Raises:
            ModelError: One is not a number.
        """
        try:
            return tuple(float(part) for part in self._parts(key))
        except ValueError:
            text = self.text(key, "")
            raise self.error(f"says {key}={text}, which are not numbers", key=key) from None

    def _parts(self, key: str) -> list[str]:
        # The lists in circulation end in a comma now and then.
        return [part.strip() for part in self.text(key, "").split(",") if part.strip()]

    def _parse(self, key: str, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise self.error(f"says {key}={text}, which is not an integer", key=key) from None


def read_sections(path: Path) -> list[Section]:
    """Read a cfg file without judging what it says.

    Raises:
        ModelError: The file cannot be read, or a line is neither a section, an option nor
            a comment.
    """
    lines = _read_lines(path)
    sections: list[Section] = []
    for number, raw in enumerate(lines, start=1):
        # Darknet itself takes a comment only at the beginning of a line; a trailing one
        # survives there because atoi() stops at it, and must not become part of a value here.
        line = raw.partition("#")[0].strip()
        if not line or line.startswith(";"):
            continue
        where = f"{path.name}: line {number}"
        if line.startswith("["):
            if not line.endswith("]"):
                raise ModelError(f"{where} opens a section and does not close it: {line}")
            sections.append(Section(path.name, line[1:-1].strip().lower(), number, {}))
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise ModelError(f"{where} is neither [section] nor key=value: {line}")
        if not sections:
            raise ModelError(f"{where} stands before the first section: {line}")
        # Of a key that is set again, Darknet takes the first value.
        sections[-1].options.setdefault(key, (value, number))
    return sections


def _read_lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if b"\0" in content:
        raise ModelError(
            f"{path} is not a text file: byte {content.index(0)} is zero",
            "give the network's cfg here, and its weights as weights",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Only comments are not ASCII, and Darknet reads bytes.
        text = content.decode("latin-1")
    return re.split(r"\r\n|\n|\r", text)
