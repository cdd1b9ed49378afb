"""`edge-detect config`: check, show and write configuration files."""

import argparse
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from edge_detect.core import ConfigError
from edge_detect.service.config.dump import dump_settings, public_settings
from edge_detect.service.config.load import read_settings
from edge_detect.service.config.places import show_path
from edge_detect.service.config.problems import ConfigFileError, Problem, show_url
from edge_detect.service.config.schema import json_schema
from edge_detect.service.config.settings import Settings

__all__ = ["check", "init", "schema", "show"]


def check(arguments: argparse.Namespace) -> int:
    """Tell everything that is wrong with a file; 0 if nothing is, else 78.

    Raises:
        ConfigError: Something is wrong, and not to be told as JSON.
    """
    path: Path = arguments.file
    if arguments.json:
        return _check_as_json(path)
    loaded = read_settings(path)
    _warn(path, loaded.warnings)
    print(f"ok: {_summary(loaded.settings)}")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print all settings of a file, defaults included and secrets masked.

    Raises:
        ConfigError: Something is wrong with the file.
    """
    path: Path = arguments.file
    loaded = read_settings(path)
    _warn(path, loaded.warnings)
    if arguments.json:
        print(_json(public_settings(loaded.settings)))
    else:
        print(dump_settings(loaded.settings), end="")
    return 0


def init(arguments: argparse.Namespace) -> int:
    """Write the sample, to a new file or to standard output.

    Raises:
        ConfigError: The file is there already, or cannot be written.
    """
    path: Path = arguments.file
    sample = resources.files("edge_detect.service.config").joinpath("sample.toml").read_text()
    if str(path) == "-":
        print(sample, end="")
        return 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(sample)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already, and is left as it is",
            "see the sample with: edge-detect config init -",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", "name another file, or use sudo"
        ) from error
    print(f"wrote {path}; check it with: edge-detect config check {path}")
    return 0


def schema(_arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of the file."""
    print(_json(json_schema()))
    return 0


def _check_as_json(path: Path) -> int:
    errors: list[dict[str, Any]] = []
    warnings: list[dict[str, Any]] = []
    cameras: list[str] = []
    try:
        loaded = read_settings(path)
        warnings = [_as_data(warning) for warning in loaded.warnings]
        cameras = list(loaded.settings.cameras)
    except ConfigFileError as error:
        errors = [_as_data(problem) for problem in error.problems]
    except ConfigError as error:
        errors = [_as_data(Problem((), error.message, error.hint))]
    print(
        _json(
            {
                "file": str(path),
                "ok": not errors,
                "errors": errors,
                "warnings": warnings,
                "cameras": cameras,
            }
        )
    )
    return ConfigError.exit_code if errors else 0


def _as_data(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        "column": problem.column,
        "key": show_path(problem.path),
        "message": problem.fact,
        "hint": problem.hint,
    }


def _summary(settings: Settings) -> str:
    models = {camera.model or camera.detector for camera in settings.cameras.values()}
    said = [_count(len(settings.cameras), "camera"), _count(len(models), "model")]
    said += [
        show_url(sink)
        for camera in settings.cameras.values()
        for sink in camera.sinks
        if sink.startswith(("rtsp:", "http:"))
    ]
    if settings.web is not None:
        said.append(f"page at {settings.web.listen}")
    if settings.metrics is not None:
        said.append(f"metrics at {settings.metrics.listen}")
    if settings.mqtt is not None:
        said.append(f"MQTT to {settings.mqtt.host}")
    return ", ".join(said)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _warn(path: Path, warnings: tuple[Problem, ...]) -> None:
    for warning in warnings:
        print(f"warning: {warning.said_of(path)}", file=sys.stderr)


def _json(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
