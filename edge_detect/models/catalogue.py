"""Which models there are, and where their files lie.

A model of the catalogue is a manifest, `NAME.toml`, in one of the folders of `models_paths`: the
one that comes with the package, the computer's and the user's own. Its file lies beside the
manifest or, when it was pulled, in one of the other two. A model file without a manifest, or with
one that is not complete, tells the rest itself: see `edge_detect.models.infer`.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from edge_detect.core import ModelError, Size, bundled_path, user_models_path
from edge_detect.core.resources import models_paths
from edge_detect.models.checksum import content_mismatch
from edge_detect.models.infer.overrides import Overrides
from edge_detect.models.names import is_name_of, name_from
from edge_detect.models.spec import (
    IncompleteManifestError,
    ModelSpec,
    load_manifest,
    validate_manifest,
)

if TYPE_CHECKING:
    from edge_detect.models.infer.inference import Inference

__all__ = [
    "CatalogueEntry",
    "Verification",
    "bundled_models",
    "find_model",
    "list_models",
    "model_names",
    "verify",
]

_log = logging.getLogger(__name__)

_NOTHING = Overrides()
_GUESSES = 3


@dataclass(slots=True, frozen=True)
class CatalogueEntry:
    """One model that is known, whether or not its file is here.

    Attributes:
        spec: The manifest.
        manifest: Where the manifest lies; the model file itself where there is none.
        path: Where the model file lies, or will lie once it is pulled.
        present: Whether it is there.
        inferred: What the model file itself told; None where the manifest is complete.
        overrides: What the user said instead.
    """

    spec: ModelSpec
    manifest: Path
    path: Path
    present: bool
    inferred: "Inference | None" = None
    overrides: Overrides = _NOTHING

    @property
    def name(self) -> str:
        """What users call it."""
        return self.spec.name

    @property
    def family(self) -> str:
        """Of the manifest, such as `ssd` or `yolo`."""
        return self.spec.family

    @property
    def title(self) -> str:
        """What the line at start calls it: the file where that alone is known."""
        return self.path.name if self.manifest == self.path else self.spec.name

    @property
    def size(self) -> Size:
        """Width and height of the model's input."""
        return self.spec.input.frame_size

    @property
    def classes(self) -> int:
        """How many classes it can tell apart; ids that mean nothing are not counted."""
        return sum(label != "n/a" for label in self.spec.labels)

    @property
    def licence(self) -> str:
        """As stated by its origin."""
        return self.spec.origin.licence

    def check_present(self) -> None:
        """Refuse a model whose file is not here.

        Raises:
            ModelError: It has not been pulled, or its manifest lies alone.
        """
        if self.path.exists():
            return
        hint = (
            f"fetch it with: edge-detect models pull {self.name}"
            if self.spec.origin.url
            else f"put the file beside its manifest {self.manifest}"
        )
        raise ModelError(f"the file of model {self.name!r} is not here: {self.path}", hint)


class Verification(Enum):
    """What `verify` says about a model file."""

    GOOD = "good"
    MISSING = "missing"
    WRONG = "wrong"


def find_model(name_or_path: str | Path, overrides: Overrides = _NOTHING) -> CatalogueEntry:
    """Find a model by name or by path.

    Args:
        name_or_path: A name of the catalogue, or the path of a model file or of its manifest.
            What its manifest does not say, or all where there is none, the file tells.
        overrides: What is known better.

    Raises:
        ModelError: There is no such model, its manifest is not valid, or its file does not tell
            enough.
        ConfigError: An override does not go with the model.
    """
    try:
        return _find(name_or_path, overrides)
    except OSError as error:
        # Such as a directory that the service may not look into.
        raise ModelError(
            f"cannot read model {name_or_path}: {error.strerror}",
            "check its path and permissions; a service sees no home directories",
        ) from error


def _find(name_or_path: str | Path, overrides: Overrides) -> CatalogueEntry:
    text = str(name_or_path)
    if re.match(r"https?://", text):
        raise ModelError(
            f"{text} is an address, not a file", "fetch it with: edge-detect models add URL"
        )
    text = text.removeprefix("file://")
    path = Path(text)
    if isinstance(name_or_path, Path) or "/" in text or path.suffix in (".tflite", ".toml"):
        return _entry_beside(path, overrides)
    for name in filter(None, dict.fromkeys((text, name_from(text)))):
        for folder in models_paths():
            for suffix in (".toml", ".tflite"):
                file = folder / f"{name}{suffix}"
                if file.is_file():
                    return _entry_beside(file, overrides)
    if path.exists():
        # No name of the catalogue, but a file here: `model.lite`, `model.pt`, a SavedModel.
        return _entry_beside(path, overrides)
    raise ModelError(
        f"no model is called {text!r}",
        f"{_guess(text, model_names())}`edge-detect models list` shows all; a path to a .tflite"
        " file works too",
    )


def _guess(text: str, names: list[str]) -> str:
    """The names that may be meant, as a question; empty where none is like it."""
    close = get_close_matches(text, names, n=1) or [
        name for name in names if text and text.lower() in name.lower()
    ]
    return f"did you mean {' or '.join(map(repr, close[:_GUESSES]))}? " if close else ""


def _missing(path: Path) -> ModelError:
    """The error for a model file that does not exist."""
    beside = sorted(each.name for each in path.parent.glob("*.tflite"))
    where = "" if path.is_absolute() else f" from {Path.cwd()}"
    return ModelError(
        f"there is no model file {path}",
        f"{_guess(path.name, beside)}check the path{where}; `edge-detect models list` shows the"
        " models that have a name",
    )


def list_models() -> list[CatalogueEntry]:
    """All models of the catalogue, by name; files without a manifest that are none are left out.

    Raises:
        ModelError: A manifest is not valid.
    """
    return list(_entries())


def _entries() -> Iterator[CatalogueEntry]:
    described = _described_names()
    for name in model_names():
        try:
            yield find_model(name)
        except ModelError as error:
            if name in described:
                raise
            _log.warning("%s", error.said_of(name))


def bundled_models() -> list[CatalogueEntry]:
    """The models that came with the package, by name; without twins for accelerators.

    Raises:
        ModelError: A manifest is not valid.
    """
    folder = bundled_path("models_tflite")
    here = [each for each in list_models() if each.present and each.manifest.parent == folder]
    twins = {each.spec.float_twin.removesuffix(".tflite") for each in here}
    return [each for each in here if not each.spec.cpu_twin and each.name not in twins]


def model_names() -> list[str]:
    """The names of all models of the catalogue, in alphabetical order."""
    bare = {path.stem for folder in models_paths() for path in folder.glob("*.tflite")}
    return sorted(_described_names() | bare)


def _described_names() -> set[str]:
    """The names of models that have a manifest."""
    return {path.stem for folder in models_paths() for path in folder.glob("*.toml")}


def verify(name_or_path: str | Path) -> tuple[Verification, str]:
    """Check a model file against the checksums of its manifest.

    Returns:
        The verdict, and for a wrong file what is wrong with it.

    Raises:
        ModelError: There is no such model, its manifest is not valid, or it cannot be read.
    """
    entry = find_model(name_or_path)
    if not entry.present:
        return Verification.MISSING, f"{entry.path} does not exist"
    try:
        mismatch = content_mismatch(entry.path, entry.spec)
    except OSError as error:
        raise ModelError(f"cannot read model {entry.path}: {error.strerror}") from error
    return (Verification.WRONG if mismatch else Verification.GOOD), mismatch


def _entry_beside(path: Path, overrides: Overrides) -> CatalogueEntry:
    if path.suffix == ".toml":
        return _entry(path, overrides)
    if not path.exists():
        if path.suffix not in (".tflite", ".lite"):
            raise ModelError(f"{path} is neither a .tflite file nor a manifest (.toml)")
        raise _missing(path)
    if path.is_dir() or not path.with_suffix(".toml").exists():
        # Reading a file takes NumPy and more; listing models does not need it.
        from edge_detect.models.infer.choose import infer

        inferred = infer(path, overrides)
        return CatalogueEntry(
            inferred.spec, path, path, present=True, inferred=inferred, overrides=overrides
        )
    manifest = path.with_suffix(".toml")
    entry = _entry(manifest, overrides, path)
    if path.name != entry.spec.file:
        raise ModelError(
            f"{manifest}: file: it is {entry.spec.file!r}, not {path.name!r}",
            "name the manifest like the model file, and say so in its key `file`",
        )
    return entry


def _entry(manifest: Path, overrides: Overrides, path: Path | None = None) -> CatalogueEntry:
    """The model that a manifest describes.

    Args:
        manifest: Its path.
        overrides: What is known better.
        path: Of the model file, where the manifest was found through it.
    """
    if not manifest.exists():
        raise ModelError(f"there is no manifest {manifest}")
    data = load_manifest(manifest)
    if not is_name_of(str(data.get("name", manifest.stem)), manifest.stem):
        raise ModelError(f"{manifest}: name: it is {data['name']!r}, not {manifest.stem!r}")
    inferred = None
    try:
        spec = validate_manifest(manifest, data)
    except IncompleteManifestError as error:
        # Reading a file takes NumPy and more; listing complete manifests does not need it.
        from edge_detect.models.infer.completion import complete

        file = path or manifest.with_name(str(data.get("file", f"{manifest.stem}.tflite")))
        inferred = complete(manifest, data, file, overrides, error)
        spec = inferred.spec
    else:
        if overrides:
            from edge_detect.models.infer.completion import overridden

            spec = overridden(manifest, data, overrides)
    path = manifest.with_name(spec.file)
    if not path.exists() and spec.origin.url:
        pulled = [folder / spec.file for folder in models_paths()]
        path = next((each for each in pulled if each.exists()), user_models_path() / spec.file)
    if overrides and inferred is None:
        from edge_detect.models.infer.completion import warn_of_useless

        warn_of_useless(path, spec, overrides)
    return CatalogueEntry(spec, manifest, path, path.exists(), inferred, overrides)
