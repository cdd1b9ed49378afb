"""Where the files lie that come with the package, and those that a user adds."""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = [
    "bundled_path",
    "cache_directory",
    "models_paths",
    "state_directory",
    "tuning_path",
    "tuning_paths",
    "user_models_path",
]

# The one folder that every unit and every user can read: the service's state is its own alone.
_FOR_ALL = Path("/etc/edge-detect")
_TUNED_FOR_ALL = _FOR_ALL / "tuned.json"


def bundled_path(name: str) -> Path:
    """The file or folder that ships with the package: `models_tflite` or `demo`.

    In a wheel these lie inside the package; in a checkout, beside it.
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.exists() else package.parent / name


def user_models_path() -> Path:
    """The folder that `models pull` writes to; `EDGE_DETECT_MODELS` overrides it.

    What root fetches is for all users and services of this computer.
    """
    override = os.environ.get("EDGE_DETECT_MODELS")
    if override:
        return Path(override)
    data_home = os.environ.get("XDG_DATA_HOME")
    if os.geteuid() == 0 and not data_home:
        return _FOR_ALL / "models"
    return Path(data_home or Path.home() / ".local" / "share") / "edge-detect" / "models"


def models_paths() -> tuple[Path, ...]:
    """The folders in which a model is looked for, first things first.

    The user's own come last, so that nothing there can quietly replace a bundled model.
    """
    folders = (bundled_path("models_tflite"), _FOR_ALL / "models", user_models_path())
    return tuple(dict.fromkeys(folders))


def state_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Where files belong that outlive the process; it need not exist yet.

    Under systemd, the first directory of `StateDirectory=`; else the user's own, as the XDG
    base directory specification has it.

    Args:
        environment: None takes that of the process.

    Raises:
        RuntimeError: This user has no home.
    """
    variables = os.environ if environment is None else environment
    granted = variables.get("STATE_DIRECTORY", "").partition(":")[0]
    if granted:
        return Path(granted)
    home = variables.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "edge-detect"


def cache_directory() -> Path:
    """Where files belong that can be made again at any time; it need not exist yet.

    Under systemd, the first directory of `CacheDirectory=`; else the user's own, as the XDG
    base directory specification has it.

    Raises:
        RuntimeError: This user has no home.
    """
    granted = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if granted:
        return Path(granted)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "edge-detect"


def tuning_path() -> Path:
    """The file that `edge-detect tune` writes; `EDGE_DETECT_TUNED` overrides it.

    What root measures is for all users and services of this computer.

    Raises:
        RuntimeError: This user has no home.
    """
    override = os.environ.get("EDGE_DETECT_TUNED")
    if override:
        return Path(override)
    if os.geteuid() == 0 and not os.environ.get("STATE_DIRECTORY"):
        return _TUNED_FOR_ALL
    return state_directory() / _TUNED_FOR_ALL.name


def tuning_paths() -> tuple[Path, ...]:
    """The files in which a tuning is looked for, best first; none of them need exist."""
    override = os.environ.get("EDGE_DETECT_TUNED")
    if override:
        return (Path(override),)
    try:
        own = state_directory() / _TUNED_FOR_ALL.name
    except RuntimeError:
        return (_TUNED_FOR_ALL,)
    return own, _TUNED_FOR_ALL
