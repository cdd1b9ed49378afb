"""Names of models for the catalogue, made from names of files."""

import re
from pathlib import Path

from edge_detect.core import ConfigError
from edge_detect.models.checksum import sha256_of

__all__ = ["check_name", "is_name_of", "name_from", "name_from_content"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_FROM_CONTENT = re.compile(r"model-[0-9a-f]{8}", re.ASCII)


def name_from(text: str) -> str:
    """A name for the catalogue: small letters, digits, `.`, `_` and `-`.

    Args:
        text: A file's name without its suffix, such as `best (1)`.

    Returns:
        The name; empty where nothing of it can be kept, or digits alone while letters are lost,
        as of `猫 (1)`: other files would get the same name.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    lost = any(character.isalpha() for character in text)
    return "" if lost and not re.search("[a-z]", name) else name


def name_from_content(path: Path) -> str:
    """A name for a model whose file's name gives none: `model-` and 8 digits of its SHA-256.

    Raises:
        OSError: The file cannot be read.
    """
    return f"model-{sha256_of(path)[:8]}"


def is_name_of(name: str, stem: str) -> bool:
    """Whether a manifest `STEM.toml` may have a name."""
    made = name_from(stem)
    return name in (made, stem) if made else name == stem or bool(_FROM_CONTENT.fullmatch(name))


def check_name(name: str) -> str:
    """A name that a manifest can have, as it is.

    Raises:
        ConfigError: It cannot; the hint is one that can.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a model",
            f"use small letters, digits, '.', '_' and '-', such as {name_from(name) or 'my-model'}",
        )
    return name
