"""From a TOML file to `Settings`, or to all that is wrong with it."""

import logging
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_detect.core import ConfigError
from edge_detect.service.config.checks import find_oddities, find_problems
from edge_detect.service.config.places import KeyPath, Lines, find_lines
from edge_detect.service.config.problems import ConfigFileError, Problem, show_url
from edge_detect.service.config.schema import is_secret
from edge_detect.service.config.secrets import Secrets
from edge_detect.service.config.settings import Settings
from edge_detect.service.config.validate import related, validate

__all__ = ["Loaded", "load_settings", "read_settings"]

_log = logging.getLogger(__name__)

_MOST_BYTES = 1_000_000
_AT = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


@dataclass(slots=True, frozen=True)
class Loaded:
    """A configuration that can be used.

    Attributes:
        settings: All of it.
        warnings: What works, but should not stay as it is.
    """

    settings: Settings
    warnings: tuple[Problem, ...]


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read a configuration file; warnings go to the log.

    Args:
        path: The file.
        environment: Where `${NAME}` and `CREDENTIALS_DIRECTORY` are looked up; None takes
            that of the process.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; a `ConfigFileError`
            with all problems in the second case.
    """
    loaded = read_settings(path, environment)
    for warning in loaded.warnings:
        _log.warning("%s", warning.said_of(path).replace("\n    ", ": "))
    return loaded.settings


def read_settings(path: Path, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read a configuration file.

    Args:
        path: The file.
        environment: As for `load_settings`.

    Raises:
        ConfigError: As for `load_settings`.
    """
    data, lines = _parse(path, _read_text(path))
    secrets = Secrets(path.parent, os.environ if environment is None else environment)
    filled = secrets.fill(data)
    missing = [problem.path for problem in secrets.problems]
    checked = validate(filled, data, missing)
    problems = [*secrets.problems, *checked.problems]
    warnings = list(secrets.warnings)
    if checked.settings is not None:
        detectors = data.get("detectors")
        names = detectors.keys() if isinstance(detectors, dict) else ()
        found = find_problems(checked.settings, names)
        # What is known to be wrong or missing needs no second complaint.
        problems += [each for each in found if not related(each.path, checked.left_out)]
        warnings += find_oddities(checked.settings)
    if problems:
        raise ConfigFileError(path, _finish(problems, lines, secrets))
    settings = checked.settings
    if settings is None:
        raise ValueError("validation must give settings or problems")
    warnings += _open_to_all(path, data)
    return Loaded(settings, tuple(_finish(warnings, lines, secrets)))


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "no file"
            raise ConfigError(f"{path} is {kind}", "name the configuration file itself")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no configuration file {path}",
            f"write one with: edge-detect config init {path}",
        ) from error
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(
            f"cannot read the configuration {path}: {reason}", "check its path and permissions"
        ) from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{path} is too large for a configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem((), "this is not UTF-8", "save the file as UTF-8", line)
        raise ConfigFileError(path, [problem]) from error


def _parse(path: Path, text: str) -> tuple[dict[str, Any], Lines]:
    try:
        return tomllib.loads(text), find_lines(text)
    except RecursionError as error:
        raise ConfigFileError(path, [Problem((), "brackets are nested too deeply")]) from error
    except ValueError as error:
        # Also integers with thousands of digits, which is not a TOMLDecodeError.
        match = _AT.fullmatch(str(error))
        fact, line, column = match.groups() if match else (str(error), None, None)
        last = text.count("\n") + 1
        problem = Problem(
            (),
            f"this is not TOML: {fact[:1].lower()}{fact[1:]}",
            _explain(text, int(line or last)),
            int(line or last),
            int(column or 0),
        )
        raise ConfigFileError(path, [problem]) from error


def _explain(text: str, line: int) -> str:
    """A hint for mistakes that are made often."""
    lines = text.split("\n")
    wrong = lines[line - 1] if line <= len(lines) else ""
    if re.fullmatch(r"\s*[\w.-]+\s*=\s*[A-Za-z/~$][^\"'\[{]*", wrong) and "=" in wrong:
        return "put text in quotes"
    if re.match(r"\s*[\w-]+\s*:", wrong):
        return "write key = value"
    return ""


def _finish(problems: Iterable[Problem], lines: Lines, secrets: Secrets) -> list[Problem]:
    """Add lines, and take secrets out."""
    return [
        replace(
            problem,
            fact=secrets.hide(problem.fact),
            hint=secrets.hide(problem.hint),
            line=_line_of(problem.path, lines),
        )
        for problem in problems
    ]


def _line_of(path: KeyPath, lines: Lines) -> int:
    """The line of a key; of the table that it is missing from, where it is not there."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


def _open_to_all(path: Path, data: dict[str, Any]) -> list[Problem]:
    """A warning if everybody may read a file with secrets in it."""
    try:
        open_to_all = bool(path.stat().st_mode & 0o004)
    except OSError:
        return []
    if not open_to_all or not _has_secrets(data, ()):
        return []
    hint = f"chmod o-r {path}, or put them elsewhere: password_file, or ${{NAME}}"
    return [Problem((), "every user may read the passwords in this file", hint)]


def _has_secrets(value: Any, path: KeyPath) -> bool:
    if isinstance(value, dict):
        return any(_has_secrets(each, (*path, key)) for key, each in value.items())
    if isinstance(value, list):
        return any(_has_secrets(each, (*path, index)) for index, each in enumerate(value))
    if not isinstance(value, str) or not value or "${" in value:
        return False
    return is_secret(path) or ("://" in value and "***" in show_url(value))
