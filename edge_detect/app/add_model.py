"""`edge-detect models add`: bring a model file where the catalogue finds it."""

import argparse
import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from edge_detect.core import EdgeDetectError, ModelError, user_models_path
from edge_detect.core.resources import bundled_path
from edge_detect.models.accelerator import Accelerator
from edge_detect.models.catalogue import CatalogueEntry, find_model, model_names
from edge_detect.models.download import fetch
from edge_detect.models.infer.inference import Inference
from edge_detect.models.infer.manifest import guess_comments, manifest_of
from edge_detect.models.infer.probe import settle
from edge_detect.models.names import check_name
from edge_detect.models.opening import open_entry
from edge_detect.models.options import LoadOptions, find_with_options
from edge_detect.tools.convert.write_manifest import write_manifest

__all__ = ["add"]

# Other schemes than http(s) too: the download refuses them by name.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# In characters; of UTF-8 at most four bytes each, of the 255 that a file system takes.
_LONGEST_NAME = 60


def add(arguments: argparse.Namespace) -> int:
    """Copy or fetch a model, check that it loads, and write its manifest."""
    if arguments.name is not None:
        # Before a download.
        check_name(arguments.name)
    if _ADDRESS.match(arguments.file):
        print(_add_fetched(arguments.file, arguments.name, force=arguments.force))
    else:
        print(_add(arguments.file, arguments.name, force=arguments.force))
    return 0


def _add_fetched(said: str, wanted: str | None, *, force: bool) -> Path:
    address, _, query = said.partition("?")
    # Queries of the server itself stay with the address.
    described = query if query and _describes(query) else ""
    with tempfile.TemporaryDirectory() as folder:
        fetched = Path(folder) / "fetched"
        stated = fetch(address if described else said, fetched)
        name = stated or PurePosixPath(unquote(urlsplit(address).path)).name
        file = fetched.rename(Path(folder) / _file_name(name))
        try:
            return _add(f"{file}?{described}" if described else str(file), wanted, said, force)
        except EdgeDetectError as error:
            # The file is gone when the user reads of it.
            message, hint = (
                text.replace(str(file), address).replace(f"{folder}/", "")
                for text in (error.message, error.hint)
            )
            raise type(error)(message, hint, transient=error.transient) from error


def _file_name(name: str) -> str:
    """A name that any file system takes, without what would begin a query."""
    kept = re.sub(r"[?/\x00-\x1f]", "-", name)[-_LONGEST_NAME:]
    return kept.strip(". ") or "model.tflite"


def _describes(query: str) -> bool:
    from edge_detect.models.infer.overrides import OVERRIDES

    return all(part.partition("=")[0] in OVERRIDES for part in query.split("&"))


def _add(said: str, wanted: str | None, url: str = "", force: bool = False) -> Path:  # noqa: FBT001, FBT002
    entry, options = find_with_options(said, LoadOptions())
    name = entry.name if wanted is None else wanted
    _check_free(check_name(name), force=force)
    entry = _checked(entry, options)
    twin = _twin_beside(entry)
    target = _install(entry, name, url, f"{name}_edgetpu" if twin else "")
    if twin is not None:
        _install(twin, f"{name}_edgetpu", "", "", cpu_twin=name)
    # Standard output has the path alone, for scripts.
    print(f"use it with: --model {name}", file=sys.stderr)
    return target


def _check_free(name: str, *, force: bool) -> None:
    """Refuse a name that is taken."""
    if name not in model_names():
        return
    if (bundled_path("models_tflite") / f"{name}.toml").exists():
        raise ModelError(
            f"{name!r} is a model that comes with the package", "give another name with --name"
        )
    if not force:
        raise ModelError(
            f"there is a model {name!r} already", "replace it with --force, or give another --name"
        )


def _checked(entry: CatalogueEntry, options: LoadOptions) -> CatalogueEntry:
    """The model, loaded and run once."""
    if entry.spec.cpu_twin:
        print(f"{entry.path.name} is for an Edge TPU: not tried here", file=sys.stderr)
        return entry
    entry = settle(entry, options.runtime)
    # Where it will run, is another question.
    with open_entry(
        entry, options.or_else(LoadOptions(accelerator=Accelerator("cpu")))
    ) as detector:
        detector.invoke()
    if entry.inferred is not None:
        print(f"{entry.path.name}: {entry.inferred.summary()}", file=sys.stderr)
    return entry


def _twin_beside(entry: CatalogueEntry) -> CatalogueEntry | None:
    if not entry.spec.edgetpu:
        return None
    file = entry.path.with_name(f"{entry.spec.edgetpu}.tflite")
    try:
        return find_model(file, entry.overrides)
    except EdgeDetectError as error:
        print(f"{file.name} is left out: {error.message}", file=sys.stderr)
        return None


def _install(
    entry: CatalogueEntry, name: str, url: str, edgetpu: str, *, cpu_twin: str = ""
) -> Path:
    """Copy the file, and write its manifest; returns where the file is."""
    folder = user_models_path()
    target = folder / f"{name}.tflite"
    spec = entry.spec.model_copy(update={"name": name, "file": target.name})
    inferred = entry.inferred or Inference(spec, ())
    manifest = manifest_of(replace(inferred, spec=spec))
    manifest |= {"name": name, "file": target.name}
    for key, value in (("edgetpu", edgetpu), ("cpu_twin", cpu_twin or entry.spec.cpu_twin)):
        manifest.pop(key, None)
        if value:
            manifest[key] = value
    _say_origin(manifest, url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".adding-") as part:
            copied, written = Path(part) / target.name, Path(part) / f"{name}.toml"
            shutil.copyfile(entry.path, copied)
            write_manifest(written, manifest, guess_comments(inferred))
            copied.replace(target)
            written.replace(folder / written.name)
    except OSError as error:
        raise ModelError(
            f"cannot write to {folder}: {error.strerror}",
            "check the rights, or set EDGE_DETECT_MODELS to a folder that you can write to",
        ) from error
    return target


def _say_origin(manifest: dict[str, Any], url: str) -> None:
    if url:
        origin = manifest.setdefault("origin", {})
        origin.setdefault("notes", [f"added from {url}"])
