"""Names of models for the catalogue, made from names of files."""

import re

__all__ = ["name_from"]


def name_from(text: str) -> str:
    """A name for the catalogue: small letters, digits, `.`, `_` and `-`.

    Args:
        text: A file's name without its suffix, such as `best (1)`.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return name or "model"
