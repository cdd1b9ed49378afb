"""The files of a history: what they are called, and in which order they were written."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HistoryFile", "list_files", "metrics_directory"]

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)(?:_(\d{1,4}))?\.csv(\.gz)?", re.ASCII)


@dataclass(slots=True, frozen=True, order=True)
class HistoryFile:
    """One file; they sort in the order of writing.

    Attributes:
        day: `YYYY-MM-DD`, UTC, when it was begun. The writer never goes back to an earlier
            day, whatever the clock says.
        number: From 1, within the day.
        packed: Whether it is compressed, and complete.
        path: Where it is.
    """

    day: str
    number: int
    packed: bool
    path: Path

    @classmethod
    def named(cls, directory: Path, day: str, number: int) -> "HistoryFile":
        """The file that a writer creates."""
        name = f"{day}.csv" if number == 1 else f"{day}_{number}.csv"
        return cls(day, number, packed=False, path=directory / name)

    @property
    def packed_path(self) -> Path:
        """Where it is when compressed."""
        return self.path if self.packed else self.path.with_name(self.path.name + ".gz")


def list_files(directory: Path) -> list[HistoryFile]:
    """All files, oldest first; one that is there both ways counts as compressed alone.

    Raises:
        OSError: The directory cannot be read.
    """
    found: dict[tuple[str, int], HistoryFile] = {}
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match is not None:
            file = HistoryFile(match[1], int(match[2] or 1), match[3] is not None, path)
            key = (file.day, file.number)
            # It is renamed to its compressed name only when that is complete.
            if key not in found or file.packed:
                found[key] = file
    return sorted(found.values())


def metrics_directory(state_directory: Path) -> Path:
    """Where the history lies within what outlives the process."""
    return state_directory / "metrics"
