"""Whether a thing can be used, and what to do where it cannot."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Judgement", "State"]


class State(Enum):
    """How a thing is."""

    OK = "ok"
    """Models can run on it."""
    WARN = "warn"
    """They can, but something had better be mended."""
    FAIL = "fail"
    """It is there, and cannot be used."""
    NONE = "none"
    """It is not there, which is no fault."""


@dataclass(slots=True, frozen=True)
class Judgement:
    """One fact about one thing.

    Attributes:
        state: See there.
        fact: In one line.
        hint: What to do; empty where there is nothing to do.
    """

    state: State
    fact: str
    hint: str = ""

    @property
    def usable(self) -> bool:
        """Whether models can run on it."""
        return self.state in (State.OK, State.WARN)

    def as_json(self) -> dict[str, str]:
        """As plain data."""
        return {"state": self.state.value, "fact": self.fact, "hint": self.hint}
