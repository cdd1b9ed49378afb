"""Write the two files that make a model: NAME.tflite and NAME.toml."""

import hashlib
from pathlib import Path
from typing import Any

from edge_detect.core import SinkError
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.write_manifest import checked_manifest, manifest_text, replace_files

__all__ = ["save_model"]


def save_model(out: Path, content: bytes, manifest: dict[str, Any]) -> ModelSpec:
    """Write a model file and the manifest that names it and its checksum.

    Args:
        out: `NAME.tflite`.
        content: The model file.
        manifest: Everything but `name`, `file` and `sha256`.

    Raises:
        ModelError: A key is unknown, missing or impossible; nothing was written.
        SinkError: The files cannot be written.
    """
    description = manifest.get("description", out.stem)
    graph = Graph(content)
    graph.describe(out.stem, description)
    content = graph.to_bytes()
    head = {
        "name": out.stem,
        "description": description,
        "file": out.name,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = manifest_text({**head, **_without(manifest, head)})
    beside = out.with_suffix(".toml")
    spec = checked_manifest(beside, text)
    try:
        # A running detector has the old file mapped: it keeps that one instead of crashing.
        replace_files({out: content, beside: text.encode()})
    except OSError as error:
        raise SinkError(
            f"cannot write {out}: {error.strerror or error}",
            "check the free space and the permissions of its folder, or give another: --out; for "
            "temporary files TMPDIR",
        ) from error
    return spec


def _without(manifest: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key not in head}
