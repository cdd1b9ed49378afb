"""The system, the board and the Python that runs this."""

import os
import platform
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from edge_detect.board.files import read_text
from edge_detect.tools.doctor.finding import Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place

__all__ = ["look_at_board", "look_at_interpreter", "look_at_system"]

_NEWEST_PYTHON = (3, 13)
_OLDEST_PYTHON = (3, 11)
_AGAIN = "make it again: /usr/bin/python3 -m venv --system-site-packages DIR"


def look_at_system(place: Place) -> Iterator[Finding]:
    """Name, version and architecture of the operating system."""
    release = read_text(place.path("/etc/os-release")) or ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.MULTILINE)
    name = match[1] if match else platform.system()
    text = f"{name}, {platform.machine()}, Linux {platform.release()}"
    if struct.calcsize("P") == 8:
        yield ok("system", text)
    else:
        yield fail(
            "system",
            f"{text}: 32 bit, for which there are no packages",
            "install the 64-bit Raspberry Pi OS",
        )


def look_at_board(place: Place) -> Iterator[Finding]:
    """What the board is called, and its processor."""
    cores = os.cpu_count() or 1
    yield ok("board", f"{place.board or 'unknown'}, {cores} core{'s' if cores > 1 else ''}")


def look_at_interpreter(place: Place) -> Iterator[Finding]:
    """Version of Python, and whether it can see the system's packages."""
    version = platform.python_version()
    if _OLDEST_PYTHON <= sys.version_info[:2] <= _NEWEST_PYTHON:
        yield ok("Python", version)
    else:
        yield fail(
            "Python", f"{version}, for which the packages are not made", "use 3.11, 3.12 or 3.13"
        )
    if place.prefix == place.base_prefix:
        yield ok("environment", f"none, {place.prefix}")
    elif place.base_prefix != Path("/usr"):
        yield warn(
            "environment",
            f"{place.prefix}, made with the interpreter in {place.base_prefix}: GStreamer and "
            "picamera2 work with the system's alone",
            _AGAIN,
        )
    elif not _sees_system(place.prefix):
        yield warn(
            "environment",
            f"{place.prefix} hides the system's packages: no GStreamer, no picamera2",
            _AGAIN,
        )
    else:
        yield ok("environment", f"{place.prefix}, sees the system's packages")


def _sees_system(prefix: Path) -> bool:
    config = read_text(prefix / "pyvenv.cfg") or ""
    return bool(re.search(r"(?im)^include-system-site-packages\s*=\s*true\s*$", config))
