"""`edge-detect models inspect`: what a model file says, what is guessed, and what photos tell."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_detect.core import Image, ModelError
from edge_detect.core.resources import bundled_path
from edge_detect.models.accelerator import Accelerator
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.file.foreign import check_is_tflite
from edge_detect.models.file.graph import FileGraph, FileTensor, read_graph
from edge_detect.models.infer.completion import infer_again
from edge_detect.models.infer.inference import Finding, Inference
from edge_detect.models.infer.manifest import guess_comments, manifest_of
from edge_detect.models.infer.probe import settle
from edge_detect.models.infer.trial import Trial, try_choices
from edge_detect.models.opening import open_entry
from edge_detect.models.options import LoadOptions, find_with_options, split_options
from edge_detect.tools.convert.write_manifest import write_manifest

__all__ = ["inspect"]

_OPERATORS = 8
_SHOWN_LABELS = 8
_SHOWN_ATTEMPTS = 10
# Said in the first lines already.
_NOT_IN_TABLE = ("family", "name", "file", "description")


def inspect(arguments: argparse.Namespace) -> int:
    """Print what is known about a model file; with `--write`, make its manifest."""
    photos: list[Image] = []
    try:
        entry, options = find_with_options(arguments.file, LoadOptions())
        entry.check_present()
        if arguments.photos:
            photos = _read_photos(arguments.photos)
        if arguments.write and arguments.force:
            entry = _without_manifest(entry)
        entry = settle(entry, options.runtime)
    except ModelError:
        if not arguments.json:
            _print_unknown(arguments.file)
        raise
    graph = read_graph(entry.path, entry.path.read_bytes())
    trial = None
    if photos and entry.inferred is not None:
        trial = try_choices(entry, photos, _opener(options))
    inferred = trial.inference if trial else entry.inferred
    written = _write(entry, inferred, force=arguments.force) if arguments.write else None
    if arguments.json:
        print(json.dumps(_as_object(entry, graph, inferred, trial, written)))
        return 0
    _print(entry, graph, inferred)
    if trial is not None:
        _print_trial(trial)
    elif photos:
        print("\nnothing to try: the manifest is complete", file=sys.stderr)
    if written is not None:
        print(f"\nwritten: {written}")
    return 0


def _opener(options: LoadOptions) -> Any:
    on_cpu = options.or_else(LoadOptions(accelerator=Accelerator("cpu")))
    return lambda entry: open_entry(entry, on_cpu)


def _read_photos(patterns: Sequence[str]) -> list[Image]:
    # OpenCV takes a quarter of a second to import: only for photos.
    from edge_detect.sources.images import list_images, read_image

    return [read_image(path) for pattern in patterns for path in list_images(pattern)]


def _without_manifest(entry: CatalogueEntry) -> CatalogueEntry:
    """A model of the user with a complete manifest, inferred from its file again."""
    beside = entry.manifest == entry.path.with_suffix(".toml")
    if entry.inferred is not None or not beside or _comes_with_the_package(entry):
        return entry
    inferred = infer_again(entry.manifest, entry.path, entry.overrides)
    return replace(entry, spec=inferred.spec, inferred=inferred)


def _comes_with_the_package(entry: CatalogueEntry) -> bool:
    return entry.manifest.resolve().parent == bundled_path("models_tflite").resolve()


def _write(entry: CatalogueEntry, inferred: Inference | None, *, force: bool) -> Path:
    manifest = entry.path.with_suffix(".toml")
    if inferred is None and _comes_with_the_package(entry):
        raise ModelError(
            f"{entry.manifest} comes with the package", "copy the model elsewhere first"
        )
    if inferred is None:
        raise ModelError(
            f"{manifest} is complete",
            "change it by hand, or replace it by what the file tells with --force",
        )
    if manifest.exists() and not force:
        raise ModelError(f"{manifest} exists", "replace it with --force")
    try:
        write_manifest(manifest, manifest_of(inferred), guess_comments(inferred))
    except OSError as error:
        raise ModelError(
            f"cannot write {manifest}: {error.strerror}", "copy the model elsewhere first"
        ) from error
    return manifest


def _print_unknown(said: str) -> None:
    """What a file holds whose family or anchors are not known; nothing for other files."""
    path = Path(split_options(said, LoadOptions())[0])
    try:
        check_is_tflite(path)
        graph = read_graph(path, path.read_bytes())
    except (ModelError, OSError):
        return
    _print_graph(path, path, graph)


def _print_graph(path: Path, manifest: Path, graph: FileGraph) -> None:
    megabytes = len(graph.content) / 1e6
    print(f"file       {path}  {megabytes:.1f} MB")
    if manifest != path:
        print(f"manifest   {manifest}")
    for title, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in tensors:
            print(f"{title:<11}{_tensor(tensor)}")
    counted = graph.count_operators().most_common()
    shown = ", ".join(f"{count} {name}" for name, count in counted[:_OPERATORS])
    print(f"operators  {shown}{', …' if len(counted) > _OPERATORS else ''}")
    if graph.metadata:
        print(f"entries    {', '.join(graph.metadata)}")


def _print(entry: CatalogueEntry, graph: FileGraph, inferred: Inference | None) -> None:
    _print_graph(entry.path, entry.manifest, graph)
    if inferred is None:
        print(f"family     {entry.family}, all from its manifest")
        return
    print(f"family     {entry.family}: {inferred.summary()}")
    for remark in inferred.remarks:
        print(f"note       {remark}")
    _print_findings(inferred)


def _tensor(tensor: FileTensor) -> str:
    text = f"{tensor.name}  {tensor}"
    return f"{text}  scale {tensor.scale:.6g}, zero {tensor.zero_point}" if tensor.scale else text


def _print_findings(inferred: Inference) -> None:
    rows = [
        (each.key, _short(each), each.source + ("" if each.certain else ", guess"), each.why)
        for each in inferred.findings
        if each.key not in _NOT_IN_TABLE
    ]
    head = ("key", "value", "from", "why")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(3)]
    print()
    for row in (head, *rows):
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        print(f"{cells}  {row[3]}".rstrip())


def _short(finding: Finding) -> str:
    value = finding.value
    if finding.key == "labels":
        names = ", ".join(value[:_SHOWN_LABELS])
        return f"{names}, … ({len(value)})" if len(value) > _SHOWN_LABELS else names
    text = json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _print_trial(trial: Trial) -> None:
    on = f"{trial.photos} photo{'s' if trial.photos > 1 else ''}"
    print(f"\ntried {len(trial.attempts)} combinations on {on}; score: what is found again")
    print("in the mirrored photo (sum of score x IoU, per photo)")
    for attempt in trial.attempts[:_SHOWN_ATTEMPTS]:
        words = ", ".join(attempt.words.values()) or "as the file says"
        mark = "  (chosen by rule)" if attempt.ruled else ""
        print(f"{attempt.score:8.3f}  {attempt.detections:4} found  {words}{mark}")
    best = trial.attempts[0]
    if trial.changed:
        words = ", ".join(best.words.values())
        print(f"{words}: better than what the rules chose by {trial.lead:.0%}: taken")
    elif best.ruled:
        print(f"what the rules chose is best, by {trial.lead:.0%}")
    else:
        needed = f"less than the {trial.needed:.0%} that {on} must show"
        print(f"the best is better than what the rules chose by {trial.lead:.0%}, {needed}: kept")


def _as_object(
    entry: CatalogueEntry,
    graph: FileGraph,
    inferred: Inference | None,
    trial: Trial | None,
    written: Path | None,
) -> dict[str, Any]:
    attempts = [
        {"values": each.values, "score": round(each.score, 4), "detections": each.detections}
        for each in (trial.attempts if trial else ())
    ]
    return {
        "file": str(entry.path),
        "manifest": None if entry.manifest == entry.path else str(entry.manifest),
        "family": entry.family,
        "kind": None if inferred is None else getattr(inferred.find("kind"), "value", None),
        "inputs": [_tensor_object(each) for each in graph.inputs],
        "outputs": [_tensor_object(each) for each in graph.outputs],
        "operators": dict(graph.count_operators()),
        "findings": [
            {
                "key": each.key,
                "value": each.value,
                "source": each.source,
                "certain": each.certain,
                "why": each.why,
            }
            for each in (inferred.findings if inferred else ())
        ],
        "notes": list(inferred.remarks) if inferred else [],
        "trial": attempts,
        "written": None if written is None else str(written),
    }


def _tensor_object(tensor: FileTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "type": tensor.dtype,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }
