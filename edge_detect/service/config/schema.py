"""The schema of the file, as questions to the classes in `settings`, and as JSON Schema."""

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import SecretStr

from edge_detect.service.config.places import KeyPath
from edge_detect.service.config.settings import Section, Settings

__all__ = ["is_secret", "json_schema", "keys_of", "plain", "secret_keys", "section_at"]

_URL = "https://json-schema.org/draft/2020-12/schema"
_FILE_OF = "path of a file that holds {}"


def section_at(path: KeyPath) -> type[Section] | None:
    """The class of the table at a path; None where no table belongs."""
    kind: Any = Settings
    for part in path:
        kind = _inside(kind, part)
    return kind if _is_section(kind) else None


def is_secret(path: KeyPath) -> bool:
    """Whether what stands at a path is never to be shown."""
    section = section_at(path[:-1]) if path else None
    return section is not None and path[-1] in secret_keys(section)


def secret_keys(section: type[Section]) -> list[str]:
    """The keys of a table that hold secrets; each has a twin that ends in `_file`."""
    return [
        key for key, field in section.model_fields.items() if plain(field.annotation) is SecretStr
    ]


def keys_of(section: type[Section]) -> list[str]:
    """All keys that may stand in a table."""
    return [*section.model_fields, *(f"{key}_file" for key in secret_keys(section))]


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors."""
    schema = Settings.model_json_schema()
    for section in _sections():
        part = schema if section is Settings else schema["$defs"][section.__name__]
        for value in part["properties"].values():
            if "patternProperties" in value:
                value["additionalProperties"] = False
        for key in secret_keys(section):
            part["properties"][f"{key}_file"] = {
                "title": part["properties"][key]["title"] + " File",
                "description": _FILE_OF.format(key),
                "type": "string",
            }
    return {"$schema": _URL, **schema, "title": "Configuration of edge-detect"}


def plain(annotation: Any) -> Any:
    """An annotation without what pydantic adds, and without `| None`."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return plain(next(kind for kind in get_args(annotation) if kind is not type(None)))
    return annotation


def _sections(section: type[Section] = Settings) -> list[type[Section]]:
    found = [section]
    for field in section.model_fields.values():
        kind = plain(field.annotation)
        inner = plain(get_args(kind)[1]) if get_origin(kind) is dict else kind
        if _is_section(inner):
            found += _sections(inner)
    return found


def _inside(kind: Any, part: str | int) -> Any:
    if _is_section(kind):
        field = kind.model_fields.get(part)
        return None if field is None else plain(field.annotation)
    if get_origin(kind) is dict:
        return plain(get_args(kind)[1])
    return None


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
