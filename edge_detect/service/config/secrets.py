"""Secrets and other values that stand outside the file: `${NAME}` and keys that end in `_file`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge_detect.core.url import conceal, is_secret_key
from edge_detect.service.config.places import KeyPath
from edge_detect.service.config.problems import Problem
from edge_detect.service.config.schema import secret_keys, section_at

__all__ = ["Secrets"]

# `$${` stands for `${`; anything else that begins with `${` and has no name is a mistake.
_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_.-]*)\})?", re.ASCII)
_MOST_BYTES = 65_536
# Shorter ones are no secrets, and would be found everywhere in a message.
_SHORTEST = 4


class Secrets:
    """Fills in what a configuration file leaves to its surroundings.

    Args:
        folder: Of the configuration file.
        environment: Variables; `CREDENTIALS_DIRECTORY` among them is systemd's.

    Attributes:
        problems: What could not be found; their lines are not known here.
        warnings: Files that others may read.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        credentials = environment.get("CREDENTIALS_DIRECTORY", "")
        self._credentials = Path(credentials) if credentials else None
        self._found: set[str] = set()
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def fill(self, data: dict[str, Any]) -> dict[str, Any]:
        """A copy of the file's content with everything filled in.

        What could not be found is left out, and reported among the problems.
        """
        return self._fill_table(data, ())

    def hide(self, text: str) -> str:
        """A text without any secret that was filled in."""
        for secret in sorted(self._found, key=len, reverse=True):
            text = re.sub("".join(map(_spellings, secret)), "***", text)
        return text

    def _fill_table(self, table: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        section = section_at(path)
        twins = {} if section is None else {f"{key}_file": key for key in secret_keys(section)}
        filled = {}
        for key, value in table.items():
            here = (*path, key)
            wanted = twins.get(key, key)
            if wanted != key and wanted in table:
                self._complain(here, f"stands beside {wanted!r}", "give one of the two")
                continue
            given = self._fill(value, here)
            if wanted != key and given is not None:
                given = self._read_named(given, here)
            if given is not None:
                filled[wanted] = given
        return filled

    def _fill(self, value: Any, path: KeyPath) -> Any:
        """A value with its references replaced; None where one could not be found."""
        if isinstance(value, dict):
            return self._fill_table(value, path)
        if isinstance(value, list):
            items = [self._fill(item, (*path, index)) for index, item in enumerate(value)]
            return None if None in items else items
        return self._fill_text(value, path) if isinstance(value, str) else value

    def _fill_text(self, text: str, path: KeyPath) -> str | None:
        filled, end = "", 0
        for match in _REFERENCE.finditer(text):
            filled += text[end : match.start()]
            end = match.end()
            if match[0] == "$${":
                filled += "${"
                continue
            value = self._look_up(match[1], path)
            if value is None:
                return None
            _, within_url, before = text[: match.start()].partition("://")
            # A '/' or '@' in a password would end it.
            filled += quote(value, safe="") if within_url else value
            # Logins are never shown; further on, only the name tells what is secret.
            if re.search("[/?]", before) and len(value) >= _SHORTEST and self._is_secret(match[1]):
                conceal(value)
        return filled + text[end:]

    def _look_up(self, name: str | None, path: KeyPath) -> str | None:
        if name is None:
            self._complain(path, "has '${' without a name", "write ${NAME}, or $${ for the text ${")
            return None
        if name in self._environment:
            return self._keep(self._environment[name])
        credential = self._credentials / name if self._credentials else None
        if credential is not None and _exists(credential):
            return self._read(credential, path)
        self._complain(
            path,
            f"there is neither a variable nor a credential {name!r}",
            f"in the unit: Environment={name}=… or LoadCredential={name}:/path/to/file;"
            " for the text itself write $${",
        )
        return None

    def _is_secret(self, name: str) -> bool:
        """Whether it is a credential, or a variable that is called like one."""
        words = re.split("[_.-]", name)
        return name not in self._environment or any(map(is_secret_key, (name, *words)))

    def _read_named(self, name: Any, path: KeyPath) -> str | None:
        """What is in the file that a `_file` key names."""
        if not isinstance(name, str) or not name or "\0" in name:
            self._complain(path, "must be the path of a file")
            return None
        given = Path(name)
        if self._credentials is not None and _exists(self._credentials / given):
            return self._read(self._credentials / given, path)
        return self._read(self._folder / given, path)

    def _read(self, file: Path, path: KeyPath) -> str | None:
        try:
            if not file.is_file():
                self._complain(path, f"there is no file {str(file)!r}")
                return None
            with file.open("rb") as opened:
                data = opened.read(_MOST_BYTES + 1)
            open_to_all = bool(file.stat().st_mode & 0o004)
            text = data.decode().removesuffix("\n").removesuffix("\r")
        except OSError as error:
            self._complain(path, f"cannot read {str(file)!r}: {error.strerror}")
            return None
        except UnicodeDecodeError:
            self._complain(path, f"{str(file)!r} holds no text in UTF-8")
            return None
        if not text or len(data) > _MOST_BYTES:
            self._complain(path, f"{str(file)!r} is {'too large' if text else 'empty'}")
            return None
        if open_to_all:
            self.warnings.append(
                Problem(path, f"every user may read {str(file)!r}", f"chmod o-r {file}")
            )
        return self._keep(text)

    def _keep(self, secret: str) -> str:
        if len(secret) >= _SHORTEST:
            self._found.add(secret)
        return secret

    def _complain(self, path: KeyPath, fact: str, hint: str = "") -> None:
        self.problems.append(Problem(path, fact, hint))


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        # Too long a name, for instance.
        return False


def _spellings(character: str) -> str:
    """A pattern for a character as it is, as `repr` writes it, and percent-encoded or not."""
    encoded = "".join(f"%{byte:02X}" for byte in character.encode())
    spellings = [character, repr(character)[1:-1], f"\\{character}", encoded, encoded.lower()]
    if character == " ":
        spellings.append("+")
    return f"(?:{'|'.join(map(re.escape, spellings))})"
