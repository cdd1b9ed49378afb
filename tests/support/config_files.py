"""Configuration files, and what is wrong with them."""

from pathlib import Path

import pytest

from edge_detect.service.config.load import load_settings
from edge_detect.service.config.problems import ConfigFileError

__all__ = ["CAMERA", "only", "problems_of", "write_file"]

# As short as a file can be: three lines.
CAMERA = '[cameras.door]\nsource = "camera://"\nmodel = "yolov3-tiny-coco"\n'

Found = tuple[int, str, str, str]


def write_file(
    folder: Path, text: str | bytes, name: str = "config.toml", mode: int = 0o600
) -> Path:
    """Write a file that nobody else may read, unless `mode` says so."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def problems_of(path: Path, environment: dict[str, str] | None = None) -> list[Found]:
    """Line, key, fact and hint of everything that is wrong with a file."""
    with pytest.raises(ConfigFileError) as caught:
        load_settings(path, environment or {})
    return [
        (problem.line, ".".join(map(str, problem.path)), problem.fact, problem.hint)
        for problem in caught.value.problems
    ]


def only(found: list[Found]) -> Found:
    """The one thing that is wrong."""
    assert len(found) == 1, found
    return found[0]
