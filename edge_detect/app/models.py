"""`edge-detect models`: list, show, verify and pull."""

import argparse
import json
import shlex
import sys

from tqdm import tqdm

from edge_detect.core import EdgeDetectError
from edge_detect.models.catalogue import (
    CatalogueEntry,
    Verification,
    list_models,
    verify,
)
from edge_detect.models.download import pull
from edge_detect.models.options import LoadOptions, find_with_options

__all__ = ["list_all", "pull_models", "show", "verify_models"]

_WRONG = 65


def list_all(arguments: argparse.Namespace) -> int:
    """Print a line for every model of the catalogue."""
    rows = [_row(entry) for entry in list_models()]
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
        return 0
    width = max(len(str(row["name"])) for row in rows) + 2
    print(f"{'name':<{width}}{'family':<8}{'size':<10}{'classes':>7}  {'here':<6}licence")
    for row in rows:
        here = "yes" if row["present"] else "no"
        print(
            f"{row['name']:<{width}}{row['family']:<8}{row['size']:<10}{row['classes']:>7}"
            f"  {here:<6}{row['licence'] or 'unstated'}"
        )
    if not all(row["present"] for row in rows):
        print("\nfetch one that is not here with: edge-detect models pull NAME", file=sys.stderr)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print a manifest, with the file's place and state."""
    entry, options = find_with_options(arguments.name, LoadOptions())
    if entry.inferred is not None:
        # Reading a manifest takes no runtime.
        from edge_detect.models.infer.probe import settle

        entry = settle(entry, options.runtime)
    print(f"file      {entry.path}{'' if entry.present else '  (not here)'}")
    if entry.inferred is not None:
        from edge_detect.models.infer.manifest import guess_comments, manifest_of
        from edge_detect.tools.convert.write_manifest import manifest_text

        print(f"inferred  {entry.inferred.summary()}")
        print(f"\nmore: edge-detect models inspect {shlex.quote(arguments.name)}\n")
        print(manifest_text(manifest_of(entry.inferred), guess_comments(entry.inferred)).rstrip())
        return 0
    print(f"manifest  {entry.manifest}\n")
    print(entry.manifest.read_text(encoding="utf-8").rstrip())
    return 0


def verify_models(arguments: argparse.Namespace) -> int:
    """Check files against their manifests.

    Returns:
        0 if all are as they should be.
    """
    names = arguments.names or [entry.name for entry in list_models() if entry.present]
    exit_code = 0
    for name in names:
        verdict, reason = verify(name)
        print(f"{name}: {verdict.value}{f' ({reason})' if reason else ''}")
        if verdict is not Verification.GOOD:
            exit_code = _WRONG
    return exit_code


def pull_models(arguments: argparse.Namespace) -> int:
    """Download models; one that fails does not stop the others.

    Returns:
        0, or the exit status of the first that failed.
    """
    exit_code = 0
    for name in arguments.names:
        try:
            path = _pull(name, arguments.url)
        except EdgeDetectError as error:
            exit_code = exit_code or error.exit_code
            print(f"edge-detect: {error}", file=sys.stderr)
        else:
            print(path)
    return exit_code


def _pull(name: str, url: str | None) -> str:
    with tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return str(pull(name, url=url, progress=progress))


def _row(entry: CatalogueEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "family": entry.family,
        "size": str(entry.size),
        "classes": entry.classes,
        "licence": entry.licence,
        "present": entry.present,
        "path": str(entry.path),
        "description": entry.spec.description,
    }
