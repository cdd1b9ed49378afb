"""The files of a history: what they are called, and in which order they were written."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HistoryFile", "list_files", "metrics_directory"]

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)(?:_back(\d{1,6}))?(?:_(\d{1,4}))?\.csv(\.gz)?", re.ASCII)


@dataclass(slots=True, frozen=True, order=True)
class HistoryFile:
    """One file; they sort in the order of writing.

    Attributes:
        setbacks: How often the writer had gone back to an earlier day: it does where the clock
            stays behind the newest file, which a wrong clock began.
        day: `YYYY-MM-DD`, UTC, when it was begun; never earlier than those of the files before
            it with as many setbacks.
        number: From 1, within the day.
        packed: Whether it is compressed, and complete.
        path: Where it is.
    """

    setbacks: int
    day: str
    number: int
    packed: bool
    path: Path

    @classmethod
    def named(cls, directory: Path, setbacks: int, day: str, number: int) -> "HistoryFile":
        """The file that a writer creates."""
        back = f"_back{setbacks}" if setbacks else ""
        name = f"{day}{back}.csv" if number == 1 else f"{day}{back}_{number}.csv"
        return cls(setbacks, day, number, packed=False, path=directory / name)

    @property
    def packed_path(self) -> Path:
        """Where it is when compressed."""
        return self.path if self.packed else self.path.with_name(self.path.name + ".gz")


def list_files(directory: Path) -> list[HistoryFile]:
    """All files, oldest first; one that is there both ways counts as compressed alone.

    Raises:
        OSError: The directory cannot be read.
    """
    found: dict[tuple[int, str, int], HistoryFile] = {}
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match is not None:
            setbacks, number = int(match[2] or 0), int(match[3] or 1)
            file = HistoryFile(setbacks, match[1], number, match[4] is not None, path)
            key = (setbacks, file.day, number)
            # It is renamed to its compressed name only when that is complete.
            if key not in found or file.packed:
                found[key] = file
    return sorted(found.values())


def metrics_directory(state_directory: Path) -> Path:
    """Where the history lies within what outlives the process."""
    return state_directory / "metrics"
