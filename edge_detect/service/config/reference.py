"""docs/configuration.md: every key, made from the schema."""

import inspect
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as limits
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from edge_detect.service.config.schema import plain
from edge_detect.service.config.settings import Section, Settings

__all__ = ["reference"]

_INTRODUCTION = """\
# Configuration

<!-- Made by `python -m edge_detect.service.config.reference`; a test holds it equal. -->

`edge-detect run --config FILE` and the service read one TOML file, by default
`/etc/edge-detect/config.toml`.

```sh
edge-detect config init    # write a commented sample that works as it is
edge-detect config check   # tell everything that is wrong, with file, line and key
edge-detect config show    # all settings with their defaults, passwords masked
edge-detect config schema  # JSON Schema
```

`config check` exits with 0 or 78, `--json` prints the same for programs. For an editor that
completes and checks while one types (taplo, VS Code's *Even Better TOML*):

```sh
edge-detect config schema > edge-detect.schema.json
```

and `#:schema ./edge-detect.schema.json` as the first line of the file.

## What stands elsewhere

Any text may hold `${NAME}`: a variable of the environment, or else a systemd credential of that
name (`LoadCredential=NAME:/path`). Within a URL what is filled in is percent-encoded, so a
password may hold any character. `$${` stands for `${` itself. Logins are never shown; nor is, in
a URL, what comes from a credential or from a variable called like a secret (`STREAM_KEY`).

Every key that holds a secret has a twin that ends in `_file` and names a file with it. A
relative path is looked for among the credentials, then beside the configuration file. One
line feed at the end is not part of the secret. Files that every user may read are warned of.

```toml
[cameras.yard]
source = "rtsp://192.168.1.20/stream1"
source_user = "me"
source_password_file = "yard.password"
model = "ssdlite-mobilenet-v2-coco"
sinks = ["rtsp://me:${STREAM_PASSWORD}@0.0.0.0:8554/yard"]
```

## Keys

Tables and keys without a default may be left out, unless they are required.
"""

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true, false"}
_LISTS = {str: "list of texts", int: "list of whole numbers"}
_TABLES = {
    "cameras": "cameras.NAME",
    "detectors": "detectors.NAME",
    "zones": "zones.NAME",
    "masks": "masks.NAME",
    "sizes": "sizes.CLASS",
}


def reference() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_INTRODUCTION, *_describe(Settings, "")])


def _describe(section: type[Section], name: str) -> Iterator[str]:
    rows: list[str] = []
    tables: list[tuple[str, type[Section]]] = []
    for key, field in section.model_fields.items():
        inner = _table_in(field.annotation)
        if inner is None:
            rows += _rows(key, field)
        else:
            prefix = f"{name}." if name else ""
            tables.append((prefix + _TABLES.get(key, key), inner))
    if name:
        yield f"### `[{name}]`\n"
        yield f"{inspect.getdoc(section)}\n"
    if rows:
        yield "| key | value | default | |\n| --- | --- | --- | --- |"
        yield "\n".join(rows) + "\n"
    for title, inner in tables:
        if title.endswith(".masks.NAME"):
            yield f"### `[{title}]`\n\nAs `zones`.\n"
        else:
            yield from _describe(inner, title)


def _rows(key: str, field: FieldInfo) -> Iterator[str]:
    text = (field.description or "").replace("|", "\\|")
    yield f"| `{key}` | {_kind(field)} | {_default(field)} | {text} |"
    if plain(field.annotation) is SecretStr:
        yield f"| `{key}_file` | text |  | path of a file with it |"


def _kind(field: FieldInfo) -> str:
    kind = plain(field.annotation)
    if get_origin(kind) is Literal:
        return ", ".join(f'`"{choice}"`' for choice in get_args(kind))
    if get_origin(kind) is tuple:
        inner = plain(get_args(kind)[0])
        words = _LISTS.get(inner, "list of `[x, y]`")
    else:
        words = "secret text" if kind is SecretStr else _WORDS[kind]
    return words + _bounds([*field.metadata, *_metadata(field.annotation)], kind)


def _bounds(metadata: list[Any], kind: Any) -> str:
    least = most = ""
    for each in metadata:
        if isinstance(each, limits.Ge):
            least = f" from {each.ge:g}" if isinstance(each.ge, (int, float)) else ""
        elif isinstance(each, limits.Gt):
            least = f" above {each.gt:g}" if isinstance(each.gt, (int, float)) else ""
        elif isinstance(each, limits.Le):
            most = f" to {_number(each.le)}"
        elif isinstance(each, limits.MinLen) and get_origin(kind) is tuple:
            least = f", {each.min_length}"
        elif isinstance(each, limits.MaxLen):
            most = f" to {each.max_length}"
    return least + most


def _number(value: Any) -> str:
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:g}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", ()) or isinstance(value, SecretStr):
        return ""
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _table_in(annotation: Any) -> type[Section] | None:
    kind = plain(annotation)
    if get_origin(kind) is dict:
        kind = plain(get_args(kind)[1])
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _metadata(annotation: Any) -> list[Any]:
    """What `Annotated` and `Field` say within an annotation such as `Share | None`."""
    if get_origin(annotation) is Annotated:
        found: list[Any] = []
        for each in get_args(annotation)[1:]:
            found += each.metadata if isinstance(each, FieldInfo) else [each]
        return found
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for kind in get_args(annotation) for each in _metadata(kind)]
    return []


if __name__ == "__main__":
    import sys

    sys.stdout.write(reference())
