"""`edge-detect doctor`: what is well on this computer, what is not, and what to do."""

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable

from edge_detect.app.doctor_config import with_configuration
from edge_detect.tools.doctor.checks import CHECKS
from edge_detect.tools.doctor.finding import Finding, Level
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.runner import examine

__all__ = ["doctor", "print_json", "print_lines"]

_UNWELL = 1
_COLORS = {Level.OK: "\033[32m", Level.WARN: "\033[33m", Level.FAIL: "\033[1;31m"}
_FAINT, _BOLD, _PLAIN = "\033[2m", "\033[1m", "\033[0m"


def doctor(arguments: argparse.Namespace) -> int:
    """Examine this computer, and print a line for everything.

    Returns:
        0 if nothing fails.
    """
    place, check = with_configuration(Place(patience=arguments.patience), arguments.config)
    found = examine([*CHECKS, check], place)
    levels = (print_json if arguments.json else print_lines)(found)
    return _UNWELL if levels[Level.FAIL] else 0


def print_json(found: Iterable[tuple[str, Finding]]) -> Counter[Level]:
    """Print one object when all is known.

    Args:
        found: Sections and findings.

    Returns:
        How many there are of each level.
    """
    rows = [(section, finding) for section, finding in found]
    levels = Counter(finding.level for _, finding in rows)
    counts = {level.value: levels[level] for level in Level}
    checks = [{"section": section} | finding.as_json() for section, finding in rows]
    print(json.dumps(counts | {"checks": checks}, indent=2, ensure_ascii=False))
    return levels


def print_lines(found: Iterable[tuple[str, Finding]]) -> Counter[Level]:
    """Print each finding as soon as it is known; with colours on a terminal.

    Args:
        found: Sections and findings, section by section.

    Returns:
        How many there are of each level.
    """
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
        return f"all {levels[Level.OK]} ok"
    return (
        f"{levels[Level.OK]} ok, {warnings} warning{'' if warnings == 1 else 's'}, "
        f"{failures} failure{'' if failures == 1 else 's'}"
    )


def _takes_colors() -> bool:
    # https://no-color.org
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _paint(text: str, color: str, colored: bool) -> str:  # noqa: FBT001 - ours alone
    return f"{color}{text}{_PLAIN}" if colored and text else text
