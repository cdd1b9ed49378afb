"""Write manifests as TOML that people read and compare."""

import json
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_detect.core import ModelError
from edge_detect.models.spec import ModelSpec, validate_manifest

__all__ = ["checked_manifest", "manifest_text", "replace_files", "write_manifest"]

_WIDTH = 100


def write_manifest(
    path: Path, manifest: dict[str, Any], comments: Mapping[str, str] | None = None
) -> ModelSpec:
    """Write a manifest that has passed the same validation as every user's.

    Args:
        path: `NAME.toml`.
        manifest: Sections and values as `ModelSpec` has them.
        comments: As in `manifest_text`.

    Raises:
        ModelError: A key is unknown or a value impossible; nothing was written.
        OSError: The file cannot be written.
    """
    text = manifest_text(manifest, comments)
    spec = checked_manifest(path, text)
    replace_files({path: text.encode()})
    return spec


def checked_manifest(path: Path, text: str) -> ModelSpec:
    """Validate a manifest before it is written.

    Args:
        path: Where it will be, for errors.
        text: TOML.

    Raises:
        ModelError: A key is unknown, missing or impossible.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path} would not be valid TOML: {error}") from error
    return validate_manifest(path, data)


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Write files under other names beside their places, then rename them all.

    Raises:
        OSError: One cannot be written; nothing is left of the others.
    """
    parts = {path: path.with_name(f".{path.name}.part") for path in contents}
    try:
        for path, content in contents.items():
            parts[path].write_bytes(content)
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def manifest_text(manifest: dict[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """A manifest as TOML.

    Args:
        manifest: Sections and values as `ModelSpec` has them.
        comments: For lines above keys, by dotted key, such as `input.color`.
    """
    lines: list[str] = []
    _write_table(lines, "", manifest, comments or {})
    return "\n".join(lines).strip() + "\n"


def _write_table(
    lines: list[str], prefix: str, table: dict[str, Any], comments: Mapping[str, str]
) -> None:
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    arrays = {key: value for key, value in table.items() if _is_table_array(value)}
    for key, value in table.items():
        if key not in tables and key not in arrays:
            if f"{prefix}{key}" in comments:
                lines.append(f"# {comments[f'{prefix}{key}']}")
            lines.append(_assignment(key, value))
    for key, value in tables.items():
        lines += ["", f"[{prefix}{_key(key)}]"]
        _write_table(lines, f"{prefix}{_key(key)}.", value, comments)
    for key, rows in arrays.items():
        if f"{prefix}{key}" in comments:
            lines += ["", f"# {comments[f'{prefix}{key}']}"]
        for row in rows:
            lines += ["", f"[[{prefix}{_key(key)}]]"]
            _write_table(lines, f"{prefix}{_key(key)}.", row, comments)


def _is_table_array(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(key: str) -> str:
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key)


def _assignment(key: str, value: Any) -> str:
    line = f"{_key(key)} = {_value(value)}"
    if not isinstance(value, list) or len(line) <= _WIDTH:
        return line
    rows, row = [], "   "
    for item in value:
        word = f" {_value(item)},"
        if len(row) + len(word) > _WIDTH and row.strip():
            rows.append(row)
            row = "   "
        row += word
    return "\n".join([f"{_key(key)} = [", *rows, row, "]"])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for the one control character above.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"a manifest cannot hold a {type(value).__name__}")
