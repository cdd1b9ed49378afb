"""Manifests that leave out what the model file itself tells."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_detect.core import ConfigError, ModelError
from edge_detect.models.file.graph import read_graph
from edge_detect.models.infer.choose import infer
from edge_detect.models.infer.common import counted, is_background, reaching
from edge_detect.models.infer.evidence import asked_labels
from edge_detect.models.infer.inference import Finding, Inference, put_values
from edge_detect.models.infer.overrides import Overrides, places, useless
from edge_detect.models.spec import (
    FAMILIES,
    IncompleteManifestError,
    ModelSpec,
    load_manifest,
    validate_manifest,
)

__all__ = ["complete", "infer_again", "overridden", "warn_of_useless"]

# What no model file tells of itself.
_KEPT = ("name", "description", "edgetpu", "cpu_twin", "float_twin", "origin")

_log = logging.getLogger(__name__)


def complete(
    manifest: Path,
    data: dict[str, Any],
    file: Path,
    overrides: Overrides,
    lacking: IncompleteManifestError,
) -> Inference:
    """Fill a manifest up with what its model file tells.

    Args:
        manifest: Its path.
        data: What it says.
        file: The model file.
        overrides: What is known better still.
        lacking: What is missing.

    Raises:
        ModelError: The file is not here or does not tell, or both together are wrong.
    """
    if not file.exists():
        raise lacking
    named = str(data.get("file", file.name))
    if named != file.name:
        raise ModelError(
            f"{manifest}: file: it is {named!r}, not {file.name!r}",
            "name the manifest like the model file, or leave out its key `file`",
        )
    try:
        inferred = infer(file, _with_manifest(overrides, data))
    except ModelError as error:
        raise ModelError(
            f"{lacking.message}; and the file does not tell: {error.message}", error.hint
        ) from error
    base = _dump(inferred.spec)
    family = data.get("family", inferred.spec.family)
    if family != inferred.spec.family:
        base = {key: value for key, value in base.items() if key not in (*FAMILIES, "head")}
    merged = _merge(base, data)
    _apply(merged, overrides)
    if overrides.labels:
        merged["labels"] = base["labels"]
    merged["file"] = file.name
    spec = validate_manifest(manifest, merged)
    return _with_said(inferred, spec, manifest, data, overrides)


def infer_again(manifest: Path, file: Path, overrides: Overrides) -> Inference:
    """Find out what a model file with a complete manifest is.

    Of the manifest, what no file tells is kept: labels, names, twins and origin; and the size,
    where the file leaves it open.

    Args:
        manifest: Its path.
        file: The model file.
        overrides: What is known better still.

    Raises:
        ModelError: The file does not tell enough.
    """
    data = load_manifest(manifest)
    inferred = infer(file, _with_manifest(overrides, data))
    kept = {key: data[key] for key in _KEPT if key in data}
    spec = validate_manifest(manifest, _merge(_dump(inferred.spec), kept))
    return _with_said(inferred, spec, manifest, kept, overrides)


def _with_said(
    inferred: Inference,
    spec: ModelSpec,
    manifest: Path,
    data: dict[str, Any],
    overrides: Overrides,
) -> Inference:
    """What was found out, with the values that a manifest states marked as its own."""
    if spec.family != inferred.spec.family:
        inferred = _of_family(inferred, spec.family, manifest)
    said = [
        Finding(key, value, "manifest", certain=True, why=manifest.name, shown=_shown(key, value))
        for key, value in _flat(data)
        if (known := inferred.find(key)) is None
        or known.source != "query"
        # The manifest's own size, which was handed on.
        or (key == "input.size" and overrides.size is None)
    ]
    # What a query says may change nothing with what the manifest says, and the other way round.
    before, now = (
        useless(overrides, each, float_input=inferred.float_input) for each in (inferred.spec, spec)
    )
    remarks = (*now, *(each for each in inferred.remarks if each not in before))
    return replace(inferred.with_findings(spec, said), remarks=remarks)


def _of_family(inferred: Inference, family: str, manifest: Path) -> Inference:
    """The inference without the values and questions of other families."""
    others = tuple(f"{each}." for each in FAMILIES if each != family)
    kept = [each for each in inferred.findings if not each.key.startswith(others)]
    questions = tuple(key for key in inferred.questions if not key.startswith(others))
    kind = Finding("kind", family, "manifest", certain=True, why=manifest.name, shown=family)
    found = replace(inferred, findings=tuple(kept), questions=questions)
    return found.with_findings(inferred.spec, [kind])


def overridden(manifest: Path, data: dict[str, Any], overrides: Overrides) -> ModelSpec:
    """A manifest that is complete, with what the user says in its place.

    Raises:
        ConfigError: A key goes with model files without a manifest only.
        ModelError: A value does not fit.
    """
    for key in ("family", "anchors"):
        if overrides.get(key):
            raise ConfigError(
                f"{key} cannot be given for a model with a manifest", f"change it in {manifest}"
            )
    merged = _merge({}, data)
    _apply(merged, overrides)
    if overrides.labels:
        merged["labels"] = _asked(manifest, overrides.labels, merged.get("labels"))
    return validate_manifest(manifest, merged)


def warn_of_useless(file: Path, spec: ModelSpec, overrides: Overrides) -> None:
    """Log what was said that changes nothing, for a model whose manifest is complete.

    Args:
        file: The model file, which may be missing.
        spec: The manifest, with what was said.
        overrides: What was said.
    """
    for said in useless(overrides, spec, float_input=_takes_float(file)):
        _log.warning("%s: %s", file.name, said)


def _takes_float(file: Path) -> bool | None:
    """Whether a model takes floating point; None where it cannot be read: loading it says why."""
    try:
        return read_graph(file, file.read_bytes()).inputs[0].dtype == "float32"
    except (OSError, ModelError, IndexError):
        return None


def _asked(manifest: Path, wanted: str, known: Any) -> list[str]:
    """The list that the user names, with as many entries as that of the manifest.

    A background before the first object is added or left out, as the manifest has it; classes
    that the list does not reach get numbers. A longer list is refused later, or does no harm.
    """
    labels = asked_labels(manifest, wanted)
    names = labels.names
    if not isinstance(known, list) or not known:
        return list(names)
    begins = len(known) > 1 and is_background(str(known[0]))
    objects = len(known) - begins
    if begins and not is_background(names[0]):
        names = (str(known[0]), *names)
    elif not begins and is_background(names[0]) and (labels.implied or len(names) > objects):
        names = names[1:]
    count = len(names) - begins
    if count != objects:
        said = f"{wanted}: {counted(count)} for {objects} classes of {manifest.name}"
        _log.warning(said)
    return list(reaching(names, len(known)))


def _with_manifest(overrides: Overrides, data: dict[str, Any]) -> Overrides:
    """What the manifest says that helps to find out the rest."""
    known: dict[str, Any] = {}
    labels, given = data.get("labels"), data.get("input")
    if isinstance(labels, list) and labels:
        known["names"] = tuple(map(str, labels))
    size = given.get("size") if isinstance(given, dict) else None
    if isinstance(size, list) and len(size) == 2 and all(isinstance(each, int) for each in size):
        known["size"] = (size[0], size[1])
    return overrides.over(known)


def _dump(spec: ModelSpec) -> dict[str, Any]:
    return spec.model_dump(exclude_none=True, exclude_unset=True)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        table = isinstance(value, dict)
        merged[key] = _merge(below if isinstance(below, dict) else {}, value) if table else value
    return merged


def _apply(manifest: dict[str, Any], overrides: Overrides) -> None:
    put_values(manifest, places(overrides, manifest["family"]))


def _flat(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows = []
    for key, value in table.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _shown(key: str, value: Any) -> str:
    return counted(len(value)) if key == "labels" and isinstance(value, list) else ""
