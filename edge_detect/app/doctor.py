"""`edge-detect doctor`: what is well on this computer, what is not, and what to do."""

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_detect.core.url import parse_url
from edge_detect.service.config.endpoint import Endpoint
from edge_detect.service.config.load import Loaded, read_settings
from edge_detect.service.config.problems import ConfigFileError
from edge_detect.service.config.settings import Settings
from edge_detect.service.paths import DEFAULT_CONFIG
from edge_detect.tools.doctor.checks import CHECKS
from edge_detect.tools.doctor.finding import Check, Finding, Level, fail, ok, warn
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.runner import examine

__all__ = ["doctor"]

_UNWELL = 1
_COLORS = {Level.OK: "\033[32m", Level.WARN: "\033[33m", Level.FAIL: "\033[1;31m"}
_FAINT, _BOLD, _PLAIN = "\033[2m", "\033[1m", "\033[0m"
_PORTS = {"rtsp": 8554, "http": 8080}
_CONFIG_S = 20.0


def doctor(arguments: argparse.Namespace) -> int:
    """Examine this computer, and print a line for everything.

    Returns:
        0 if nothing fails.
    """
    place, check = _with_config(Place(), arguments.config)
    found = examine([*CHECKS, check], place)
    levels = (_print_json if arguments.json else _print_lines)(found)
    return _UNWELL if levels[Level.FAIL] else 0


def _with_config(place: Place, path: Path | None) -> tuple[Place, Check]:
    """The place with ports and folders of a configuration file, and the check of that file."""
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
    elif path.is_file() and not os.access(path, os.R_OK):
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


def _print_json(found: Iterable[tuple[str, Finding]]) -> Counter[Level]:
    rows = [(section, finding) for section, finding in found]
    levels = Counter(finding.level for _, finding in rows)
    counts = {level.value: levels[level] for level in Level}
    checks = [{"section": section} | finding.as_json() for section, finding in rows]
    print(json.dumps(counts | {"checks": checks}, indent=2, ensure_ascii=False))
    return levels


def _print_lines(found: Iterable[tuple[str, Finding]]) -> Counter[Level]:
    """Print each section as soon as it is known."""
    colored = _takes_colors()
    levels: Counter[Level] = Counter()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    title = ""
    for section, finding in found:
        if section != title:
            print(f"{'' if not title else chr(10)}{_paint(section, _BOLD, colored)}")
            title = section
        levels[finding.level] += 1
        print(_line(finding, width, colored), flush=True)
    print(f"\n{_summary(levels)}")
    return levels


def _line(finding: Finding, width: int | None, colored: bool) -> str:  # noqa: FBT001 - ours alone
    """`warn  time: not synchronized — what to do`; wrapped on a terminal, where it is too long."""
    level = _paint(f"{finding.level.value:<4}", _COLORS[finding.level], colored)
    text = f"{finding.what}: {finding.value}"
    advice = f" — {finding.advice}" if finding.advice else ""
    if width is None or len(text + advice) + 8 <= width:
        return f"  {level}  {text}{_paint(advice, _FAINT, colored)}"
    room = max(40, width - 8)
    lines = textwrap.wrap(text, room, subsequent_indent="  ", break_on_hyphens=False)
    more = textwrap.wrap(advice.strip(), room, subsequent_indent="  ", break_on_hyphens=False)
    lines += [_paint(line, _FAINT, colored) for line in more]
    return f"  {level}  " + "\n        ".join(lines)


def _summary(levels: Counter[Level]) -> str:
    warnings, failures = levels[Level.WARN], levels[Level.FAIL]
    if not warnings and not failures:
        return f"all {levels[Level.OK]} are well"
    return (
        f"{levels[Level.OK]} are well, {warnings} warning{'' if warnings == 1 else 's'}, "
        f"{failures} failure{'' if failures == 1 else 's'}"
    )


def _takes_colors() -> bool:
    # https://no-color.org
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _paint(text: str, color: str, colored: bool) -> str:  # noqa: FBT001 - ours alone
    return f"{color}{text}{_PLAIN}" if colored and text else text
