"""What the doctor finds: one fact, whether it is well, and what to do."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, NamedTuple

from edge_detect.tools.doctor.place import Place

__all__ = ["Check", "Finding", "Level", "fail", "ok", "warn"]


class Level(Enum):
    """How a finding is to be taken."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(slots=True, frozen=True)
class Finding:
    """One line.

    Attributes:
        level: `fail` where the program cannot do what it is for.
        what: The thing, in a word or three.
        value: The fact, in one line.
        advice: What to do; empty where there is nothing to do.
    """

    level: Level
    what: str
    value: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self) | {"level": self.level.value}


def ok(what: str, value: str, advice: str = "") -> Finding:
    """Something that is well."""
    return Finding(Level.OK, what, value, advice)


def warn(what: str, value: str, advice: str) -> Finding:
    """Something that may become a trouble, or is one for some uses."""
    return Finding(Level.WARN, what, value, advice)


def fail(what: str, value: str, advice: str) -> Finding:
    """Something that keeps the program from working."""
    return Finding(Level.FAIL, what, value, advice)


class Check(NamedTuple):
    """One question.

    Attributes:
        section: Under which its answers are shown.
        name: Named when it fails to answer.
        work: Answers; may raise anything.
        timeout_s: Longest time for that.
    """

    section: str
    name: str
    work: Callable[[Place], Iterable[Finding]]
    timeout_s: float = 5.0
