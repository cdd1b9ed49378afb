"""When the program did not run, and why, as far as its history tells."""

from dataclasses import dataclass
from typing import Literal

from edge_detect.service.report.reader import Chunk, Happening

__all__ = ["Life", "Outage"]

# A line may come late on a busy computer.
_SILENT_INTERVALS = 3


@dataclass(slots=True, frozen=True)
class Outage:
    """A time in which the program did not run.

    Attributes:
        began_s: Unix time of the last line before; it may have run for one interval more.
        ended_s: Unix time of the start; None if there was none until the report's end.
        cause: `stopped` in good order; `killed` without a word, while the computer went on;
            `power` when the computer started anew as well; `silent` when nothing has come
            since.
    """

    began_s: float
    ended_s: float | None
    cause: Literal["stopped", "killed", "power", "silent"]

    def within(self, since_s: float, until_s: float) -> float:
        """Seconds of it that lie in a period."""
        ended_s = until_s if self.ended_s is None else self.ended_s
        return max(0.0, min(ended_s, until_s) - max(self.began_s, since_s))


class Life:
    """Collects starts and stops.

    Args:
        since_s: Unix time at which the report begins.
        until_s: Unix time at which it ends.

    Attributes:
        reloads_s: Unix times at which the configuration was applied anew, oldest first.
    """

    def __init__(self, since_s: float, until_s: float) -> None:
        self._since_s, self._until_s = since_s, until_s
        self._outages: list[Outage] = []
        self._newest: tuple[float, str, str] | None = None
        self._unresolved: Happening | None = None
        self.reloads_s: list[float] = []

    def add(self, chunk: Chunk) -> None:
        """Take a file into account, older than the ones before."""
        if chunk.last is None:
            return
        if self._newest is None:
            self._newest = chunk.last
        if self._unresolved is not None:
            self._resolve(self._unresolved, chunk.last)
            self._unresolved = None
        for happening in chunk.happenings:
            if happening.event == "start":
                if happening.before is None:
                    self._unresolved = happening
                else:
                    self._resolve(happening, happening.before)
        reloads_s = [each.at_s for each in chunk.happenings if each.event == "reload"]
        self.reloads_s[:0] = [each for each in reloads_s if self._since_s < each <= self._until_s]

    def outages(self, interval_s: float) -> list[Outage]:
        """All that lie at least partly within the period, oldest first.

        Args:
            interval_s: Between two lines.
        """
        found = list(self._outages)
        if self._newest is not None:
            newest_s, _, event = self._newest
            silent_s = self._until_s - newest_s
            if event == "stop" and silent_s > 1:
                found.append(Outage(newest_s, None, "stopped"))
            elif silent_s > _SILENT_INTERVALS * interval_s:
                found.append(Outage(newest_s, None, "silent"))
        inside = [each for each in found if each.within(self._since_s, self._until_s) > 0]
        return sorted(inside, key=lambda each: each.began_s)

    def _resolve(self, start: Happening, before: tuple[float, str, str]) -> None:
        before_s, boot, event = before
        # A start that lies before the line above is the same process: its history alone was
        # begun anew, with other settings.
        if boot == start.boot and start.at_s <= before_s:
            return
        cause: Literal["stopped", "killed", "power"] = "killed" if boot == start.boot else "power"
        self._outages.append(Outage(before_s, start.at_s, "stopped" if event == "stop" else cause))
