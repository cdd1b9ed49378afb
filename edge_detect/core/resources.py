"""Where the files lie that come with the package, and those that a user adds."""

import os
from pathlib import Path

__all__ = ["bundled_path", "user_models_path"]


def bundled_path(name: str) -> Path:
    """The file or folder that ships with the package: `models_tflite` or `demo`.

    In a wheel these lie inside the package; in a checkout, beside it.
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.exists() else package.parent / name


def user_models_path() -> Path:
    """The folder that `models pull` writes to; `EDGE_DETECT_MODELS` overrides it."""
    override = os.environ.get("EDGE_DETECT_MODELS")
    if override:
        return Path(override)
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data_home) / "edge-detect" / "models"
