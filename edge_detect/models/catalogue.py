"""Which models there are, and where their files lie.

A model is a manifest, `NAME.toml`, in one of the folders of `models_paths`: the one that comes
with the package, the computer's and the user's own. Its file lies beside the manifest or, when it
was pulled, in one of the other two.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path

from edge_detect.core import ModelError, Size, bundled_path, user_models_path
from edge_detect.core.resources import models_paths
from edge_detect.models.checksum import content_mismatch
from edge_detect.models.spec import ModelSpec, read_manifest

__all__ = [
    "CatalogueEntry",
    "Verification",
    "bundled_models",
    "find_model",
    "list_models",
    "model_names",
    "verify",
]


@dataclass(slots=True, frozen=True)
class CatalogueEntry:
    """One model that is known, whether or not its file is here.

    Attributes:
        spec: The manifest.
        manifest: Where the manifest lies.
        path: Where the model file lies, or will lie once it is pulled.
        present: Whether it is there.
    """

    spec: ModelSpec
    manifest: Path
    path: Path
    present: bool

    @property
    def name(self) -> str:
        """What users call it."""
        return self.spec.name

    @property
    def family(self) -> str:
        """`ssd` or `yolo`."""
        return self.spec.family

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


class Verification(Enum):
    """What `verify` says about a model file."""

    GOOD = "good"
    MISSING = "missing"
    WRONG = "wrong"


def find_model(name_or_path: str | Path) -> CatalogueEntry:
    """Find a model by name or by path.

    Args:
        name_or_path: A name of the catalogue, or the path of a `.tflite` file with its
            `.toml` beside it, or of that `.toml`.

    Raises:
        ModelError: There is no such model, or its manifest is not valid.
    """
    try:
        return _find(name_or_path)
    except OSError as error:
        # Such as a directory that the service may not look into.
        raise ModelError(
            f"cannot read model {name_or_path}: {error.strerror}",
            "check its path and permissions; a service sees no home directories",
        ) from error


def _find(name_or_path: str | Path) -> CatalogueEntry:
    text = str(name_or_path)
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix in (".tflite", ".toml") or "/" in text:
        return _entry_beside(path)
    for folder in models_paths():
        manifest = folder / f"{text}.toml"
        if manifest.is_file():
            return _entry(manifest)
    names = model_names()
    close = get_close_matches(text, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise ModelError(
        f"no model is called {text!r}",
        f"{guess}there are {', '.join(names) or 'none'}; a path to a .tflite file works too",
    )


def list_models() -> list[CatalogueEntry]:
    """All models of the catalogue, by name.

    Raises:
        ModelError: A manifest is not valid.
    """
    return [find_model(name) for name in model_names()]


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
    return sorted({path.stem for folder in models_paths() for path in folder.glob("*.toml")})


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


def _entry_beside(path: Path) -> CatalogueEntry:
    if path.suffix not in (".tflite", ".toml"):
        raise ModelError(f"{path} is neither a .tflite file nor a manifest (.toml)")
    manifest = path.with_suffix(".toml")
    if path.suffix == ".tflite" and not path.exists():
        raise ModelError(f"there is no model file {path}")
    if not manifest.exists():
        raise ModelError(
            f"there is no manifest {manifest}",
            "a model needs one beside it; the docs say what it holds",
        )
    entry = _entry(manifest)
    if path.suffix == ".tflite" and path.name != entry.spec.file:
        raise ModelError(
            f"{manifest}: file: it is {entry.spec.file!r}, not {path.name!r}",
            "name the manifest like the model file, and say so in its key `file`",
        )
    return entry


def _entry(manifest: Path) -> CatalogueEntry:
    spec = read_manifest(manifest)
    if spec.name != manifest.stem:
        raise ModelError(f"{manifest}: name: it is {spec.name!r}, not {manifest.stem!r}")
    path = manifest.with_name(spec.file)
    if not path.exists() and spec.origin.url:
        pulled = [folder / spec.file for folder in models_paths()]
        path = next((each for each in pulled if each.exists()), user_models_path() / spec.file)
    return CatalogueEntry(spec, manifest, path, path.exists())
