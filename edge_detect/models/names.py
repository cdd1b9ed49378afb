"""Names of models for the catalogue, made from names of files."""

import re

from edge_detect.core import ConfigError

__all__ = ["check_name", "name_from"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)


def name_from(text: str) -> str:
    """A name for the catalogue: small letters, digits, `.`, `_` and `-`.

    Args:
        text: A file's name without its suffix, such as `best (1)`.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return name or "model"


def check_name(name: str) -> str:
    """A name that a manifest can have, as it is.

    Raises:
        ConfigError: It cannot; the hint is one that can.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a model",
            f"use small letters, digits, '.', '_' and '-', such as {name_from(name)}",
        )
    return name
