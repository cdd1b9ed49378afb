"""The configuration file, as `edge-detect doctor` looks at it."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_detect.core.url import parse_url
from edge_detect.service.config.endpoint import Endpoint
from edge_detect.service.config.load import Loaded, read_settings
from edge_detect.service.config.problems import ConfigFileError
from edge_detect.service.config.settings import Settings
from edge_detect.service.paths import DEFAULT_CONFIG
from edge_detect.tools.doctor.finding import Check, Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place

__all__ = ["with_configuration"]

_PORTS = {"rtsp": 8554, "http": 8080}
_CONFIG_S = 20.0


def with_configuration(place: Place, path: Path | None) -> tuple[Place, Check]:
    """Look at a computer as a configuration file has it.

    Args:
        place: The computer.
        path: The file; None takes the service's own, if it is there.

    Returns:
        The place with the file's ports and folders, and the check of the file itself.
    """
    chosen = path or DEFAULT_CONFIG
    loaded: Loaded | Exception | None = None
    if path is not None or os.path.lexists(chosen):
        try:
            loaded = read_settings(chosen)
        except Exception as error:  # noqa: BLE001 - the check raises it again, as one of its lines
            loaded = error
    check = Check("Service", "configuration", partial(_judge_config, chosen, loaded), _CONFIG_S)
    if isinstance(loaded, Loaded):
        ports, folders = _needs(loaded.settings)
        place = replace(place, ports=ports, folders=folders)
    return place, check


def _judge_config(
    path: Path, loaded: Loaded | Exception | None, _place: Place
) -> Iterator[Finding]:
    if loaded is None:
        yield ok("configuration", f"no {path}; only the service needs it")
    elif isinstance(loaded, Loaded):
        cameras = len(loaded.settings.cameras)
        yield ok("configuration", f"{path}, {cameras} camera{'s' if cameras > 1 else ''}")
        for warning in loaded.warnings:
            text, _, hint = warning.said_of(path).partition("\n    ")
            yield warn("configuration", text, hint)
    elif os.path.isfile(path) and not os.access(path, os.R_OK):  # noqa: PTH113 - never raises
        yield warn(
            "configuration", f"{path} may not be read by this user", "sudo edge-detect doctor"
        )
    elif isinstance(loaded, ConfigFileError):
        first = loaded.problems[0].said_of(path).partition("\n")[0]
        more = len(loaded.problems) - 1
        yield fail(
            "configuration",
            first + (f", and {more} more" if more else ""),
            f"edge-detect config check {path}",
        )
    else:
        raise loaded


def _needs(settings: Settings) -> tuple[dict[int, str], tuple[Path, ...]]:
    """The ports that a configuration serves, and the folders that it records to."""
    ports: dict[int, str] = {}
    folders: list[Path] = []
    for camera in settings.cameras.values():
        for sink in camera.sinks:
            url = parse_url(sink)
            if url.scheme in _PORTS:
                ports.setdefault(url.authority(_PORTS[url.scheme]).port, url.scheme.upper())
            elif url.scheme == "mp4":
                folders.append(Path(url.location))
    if settings.web is not None:
        ports[Endpoint.parse(settings.web.listen).port] = "page"
    if settings.metrics is not None:
        ports[Endpoint.parse(settings.metrics.listen).port] = "metrics"
    return ports, tuple(folders)
