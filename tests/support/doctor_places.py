"""Made-up computers for the doctor, and what it finds there."""

import stat
import textwrap
from collections.abc import Iterable
from pathlib import Path

from fakes.sysfs import FakeSystem

from edge_detect.tools.doctor.finding import Finding, Level
from edge_detect.tools.doctor.place import Place

__all__ = ["levels", "one", "program", "raspberry_pi"]


def raspberry_pi(folder: Path) -> tuple[FakeSystem, Place]:
    """A healthy Raspberry Pi without any programs of its own."""
    system = FakeSystem(folder / "root")
    system.raspberry_pi_4()
    programs = folder / "bin"
    programs.mkdir()
    return system, Place(root=system.root, environment={"PATH": str(programs)})


def program(place: Place, name: str, script: str) -> None:
    """Install a shell script under the name of a program of the system."""
    path = Path(place.environment["PATH"]) / name
    path.write_text(f"#!/bin/sh\n{textwrap.dedent(script)}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def one(findings: Iterable[Finding], what: str) -> Finding:
    """The only finding about something."""
    found = [finding for finding in findings if finding.what == what]
    assert len(found) == 1, found
    return found[0]


def levels(findings: Iterable[Finding]) -> set[Level]:
    """How well all that was found is."""
    return {finding.level for finding in findings}
