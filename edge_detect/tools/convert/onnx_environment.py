"""The environment of its own in which ONNX becomes TFLite: made once, then kept.

The converter pins exact versions of its packages, which must not touch the user's. From Python
3.12 on it needs no TensorFlow; its last version for older Pythons brings TensorFlow along.
"""

import fcntl
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_detect.core import DependencyError
from edge_detect.core.resources import cache_directory
from edge_detect.tools.convert.logged import run_logged

__all__ = ["OnnxEnvironment", "Recipe", "choose_recipe", "find_pythons", "make_environment"]

Say = Callable[[str], None]

_INSTALL_TIMEOUT_S = 3600
_PROBE_TIMEOUT_S = 20
_DONE = "complete"
# Of pip's log.
_OFFLINE = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeout",
    "ProxyError",
    "Network is unreachable",
    "SSLError",
)
_FULL = "No space left"
_ELSEWHERE = "convert on a PC (x86-64) with Python 3.12 or 3.13"


@dataclass(frozen=True)
class Recipe:
    """What is installed for an interpreter.

    Attributes:
        python: Path of the interpreter.
        version: Its major and minor version.
        package: With its version.
        size: Of the environment, for people.
        note: What comes along, for people.
    """

    python: str
    version: tuple[int, int]
    package: str
    size: str
    note: str

    @property
    def folder(self) -> str:
        """Name of the environment."""
        major, minor = self.version
        return f"{self.package.replace('==', '-')}-python{major}.{minor}"


@dataclass(frozen=True)
class OnnxEnvironment:
    """An environment that is complete.

    Attributes:
        python: Its interpreter.
        package: What is in it.
    """

    python: Path
    package: str


def _recipe(python: str, version: tuple[int, int]) -> Recipe | None:
    if (3, 12) <= version <= (3, 13):
        return Recipe(python, version, "onnx2tf==2.6.9", "660 MB", "without TensorFlow")
    if version in ((3, 10), (3, 11)):
        return Recipe(python, version, "onnx2tf==1.29.24", "2.6 GB", "with TensorFlow 2.19")
    return None


def choose_recipe(pythons: Sequence[tuple[str, tuple[int, int]]]) -> Recipe:
    """Choose the interpreter that needs least: one without TensorFlow, if there is one.

    Args:
        pythons: Interpreters with their versions, in the order of preference.

    Raises:
        DependencyError: None is suitable.
    """
    recipes = [found for each in pythons if (found := _recipe(*each)) is not None]
    if not recipes:
        versions = ", ".join(f"{major}.{minor}" for _, (major, minor) in pythons) or "none"
        raise DependencyError(
            f"converting ONNX needs Python 3.10 to 3.13; found here: {versions}",
            "install python3.13 with its venv module, or convert elsewhere with: onnx2tf -i FILE, "
            "then: edge-detect models convert tflite FILE --calibration PATH",
        )
    return next((each for each in recipes if each.version >= (3, 12)), recipes[0])


def find_pythons() -> list[tuple[str, tuple[int, int]]]:
    """This interpreter, and those of other versions on the PATH that can make environments."""
    own = (sys.version_info.major, sys.version_info.minor)
    # Debian's Python lacks ensurepip until python3-venv is installed.
    found = [(sys.executable, own)] if find_spec("ensurepip") else []
    for minor in (13, 12, 11, 10):
        path = shutil.which(f"python3.{minor}")
        if path and (3, minor) != own and _makes_environments(path):
            found.append((path, (3, minor)))
    return found


def _makes_environments(python: str) -> bool:
    try:
        probe = [python, "-c", "import ensurepip"]
        return run_logged(probe, Path(os.devnull), _PROBE_TIMEOUT_S) == 0
    except OSError:
        return False


def make_environment(
    say: Say,
    pythons: Sequence[tuple[str, tuple[int, int]]] | None = None,
    machine: str | None = None,
) -> OnnxEnvironment:
    """The environment, made if it is not here yet.

    Args:
        say: Called with lines for the user.
        pythons: As in `choose_recipe`; None looks for those that are here.
        machine: Architecture; None asks the system.

    Raises:
        DependencyError: It cannot be made; names the file with what the installer wrote.
    """
    recipe = choose_recipe(find_pythons() if pythons is None else pythons)
    try:
        base = cache_directory()
    except RuntimeError as error:
        raise DependencyError(
            "this user has no home directory",
            "set XDG_CACHE_HOME to a folder with room that you can write to",
        ) from error
    folder = base / recipe.folder
    try:
        base.mkdir(parents=True, exist_ok=True)
        with _locked(base / f"{recipe.folder}.lock", say):
            if not _is_complete(folder):
                _check_machine(recipe, machine or platform.machine())
                _install(recipe, folder, say)
    except OSError as error:
        raise DependencyError(
            f"cannot make an environment in {base}: {error.strerror}",
            "set XDG_CACHE_HOME to a folder with room that you can write to",
        ) from error
    return OnnxEnvironment(folder / "bin" / "python", recipe.package)


def _is_complete(folder: Path) -> bool:
    """Whether all was installed, and its interpreter, which is a link, is still there."""
    return (folder / _DONE).exists() and (folder / "bin" / "python").exists()


def _check_machine(recipe: Recipe, machine: str) -> None:
    if machine in ("aarch64", "arm64"):
        raise DependencyError(
            f"{recipe.package} cannot be installed: one of its packages has no wheel for {machine}",
            _ELSEWHERE,
        )


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting: another process is installing the same environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(recipe: Recipe, folder: Path, say: Say) -> None:
    """Make an environment; one that is half done is removed."""
    log = folder.with_name(f"{folder.name}.log")
    say(
        f"downloading {recipe.package} ({recipe.note}) from PyPI into {folder}, once: about "
        f"{recipe.size}; details in {log}"
    )
    shutil.rmtree(folder, ignore_errors=True)
    venv = [recipe.python, "-m", "venv", str(folder)]
    pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--progress-bar", "off"]
    try:
        log.write_text("", encoding="utf-8")
        for command in (venv, [*pip, recipe.package]):
            if run_logged(command, log, _INSTALL_TIMEOUT_S, append=True) != 0:
                fact, way_out = _reason(log, recipe)
                raise DependencyError(
                    f"{recipe.package} cannot be installed: {fact}", f"{way_out}; see {log}"
                )
        (folder / _DONE).touch()
    finally:
        if not (folder / _DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _reason(log: Path, recipe: Recipe) -> tuple[str, str]:
    """Why an installation failed, and the way out."""
    text = log.read_text(encoding="utf-8", errors="replace")
    if _FULL in text:
        return (
            "no space left on the device",
            f"free about {recipe.size}, or set XDG_CACHE_HOME to a folder with room",
        )
    if any(word in text for word in _OFFLINE):
        return (
            "the package index (PyPI) cannot be reached",
            "connect this computer to it, then repeat the command",
        )
    lines = text.splitlines()
    said = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    fact = said[0].removeprefix("ERROR: ") if said else "the installer printed nothing"
    return fact, _ELSEWHERE
