"""Reads a history from its newest file to its oldest.

In this order the last line of a boot comes first, whose time of day is the right one: see
`edge_detect.service.history.record`. Of the boot that still runs, the clock itself is asked: it
may have been set after the last line.
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import SourceError
from edge_detect.service.history.files import HistoryFile, list_files
from edge_detect.service.history.record import NUMBERS, TEXTS, Moment

__all__ = ["FIGURES", "Chunk", "Happening", "Lines", "oldest_line_s", "read_chunks"]

# What reports draw; the rest of the columns is for other programs.
FIGURES = tuple(name for name in NUMBERS if name not in ("invoke_p95_ms", "invoke_p99_ms"))
_TEXTS = len(TEXTS)
_LONGEST_S = 86_400
# Stands for a file of which nothing can be read: how many lines it had is not known.
_BROKEN = "\n"

Floats = NDArray[np.float64]

# What no figure can be, and damage may look like; one of these would spoil sums and drawings.
_MOST = 1e9
_LEAST: Floats = np.array([{"soc_c": -100.0, "up_s": -_MOST}.get(name, 0.0) for name in FIGURES])


class Happening(NamedTuple):
    """A line with an event.

    Attributes:
        at_s: Unix time.
        event: As in the column.
        camera: Empty for the whole program.
        boot: Of the computer.
        before: The line before: its unix time, boot and event; None where it is in an older
            file, or where there is none.
    """

    at_s: float
    event: str
    camera: str
    boot: str
    before: tuple[float, str, str] | None


@dataclass(slots=True)
class Lines:
    """The figures of one camera.

    Attributes:
        end_s: (n,) unix times of the ends of the intervals.
        figures: (n, len(FIGURES)); NaN where nothing is known.
        source: State of the source in the last line.
    """

    end_s: Floats
    figures: Floats
    source: str


@dataclass(slots=True)
class Chunk:
    """One file.

    Attributes:
        cameras: Lines with figures, by camera.
        happenings: Events in the order of writing.
        last: The last line of the file, as in `Happening.before`.
        unreadable: Lines that are damaged.
    """

    cameras: dict[str, Lines] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    last: tuple[float, str, str] | None = None
    unreadable: int = 0


def read_chunks(directory: Path, since_s: float, now: Moment) -> Iterator[Chunk]:
    """Read all files that may hold lines from `since_s` on, newest first.

    Args:
        directory: Of the files.
        since_s: Unix time.
        now: Places the lines of its own boot; a boot without a name, none.

    Raises:
        SourceError: The directory cannot be read.
    """
    files = _files(directory)
    boots = _Boots(now)
    since, passed = _day(since_s), _passed_days(files, _day(now.unix_s))
    latest = list(accumulate((file.day for file in files), max))
    for index in reversed(range(len(files))):
        text = _read(files[index])
        if text is not None:
            yield _parse(text, boots, passed[index])
        # An older file goes on until this one begins, however old its name is; when that was,
        # a day that is earlier than one before it does not tell.
        if files[index].day == latest[index] < since:
            return


def oldest_line_s(directory: Path) -> float | None:
    """Unix time of the first line of all, as the clock stood; None if there is none.

    Raises:
        SourceError: The directory cannot be read.
    """
    for file in _files(directory):
        text = _read(file)
        lines = text.split("\n", 2) if text is not None else []
        first_s = _unix(lines[1][:20]) if len(lines) > 1 else None
        if first_s is not None:
            return first_s
    return None


def _passed_days(files: Sequence[HistoryFile], today: str) -> list[str]:
    """By file, the latest day that is known to have passed when it was begun; may be empty.

    Days after today were named by a clock that was ahead, and so were those after a day to which
    the writer went back; unless that is earlier than all, as a clock that was never set would be.
    """
    found: list[str] = []
    days: list[str] = []
    setbacks = 0
    for file in files:
        if file.setbacks != setbacks:
            setbacks = file.setbacks
            days = [day for day in days if day <= file.day] or days
        if file.day <= today and file.day not in days:
            days.append(file.day)
        found.append(max(days, default=""))
    return found


def _files(directory: Path) -> list[HistoryFile]:
    try:
        return list_files(directory)
    except OSError as error:
        raise SourceError(
            f"cannot read the history in {directory}: {error.strerror}",
            "name its directory with --dir, or read it as the service's user or root",
        ) from error


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d")


def _read(file: HistoryFile) -> str | None:
    """The text of a file; None if it was deleted meanwhile or cannot be read.

    Raises:
        SourceError: Permission is denied: a report without it would be wrong.
    """
    for path in (file.path, file.packed_path):
        try:
            data = path.read_bytes()
            if path == file.packed_path:
                data = gzip.decompress(data)
        except FileNotFoundError:
            # It may have been compressed a moment ago.
            continue
        except PermissionError as error:
            raise SourceError(
                f"cannot read {path}: {error.strerror}", "read it as the service's user or root"
            ) from error
        except (OSError, EOFError, zlib.error):
            return _BROKEN
        return data.decode("utf-8", "replace")
    return None


def _parse(text: str, boots: "_Boots", day: str) -> Chunk:
    first, _, rest = text.partition("\n")
    columns = first.split(",")
    if columns[:_TEXTS] != list(TEXTS) or "up_s" not in columns:
        return Chunk(unreadable=text.count("\n"))
    split = [line.split(",", _TEXTS) for line in rest.split("\n") if line]
    lines = [parts for parts in split if len(parts) > _TEXTS]
    numbers = _numbers([parts[-1] for parts in lines], columns[_TEXTS:])
    plausible = ~((numbers < _LEAST) | (numbers > _MOST)).any(axis=1)
    readable = np.isfinite(numbers[:, 0]) & plausible
    if not readable.all():
        lines = [parts for parts, is_good in zip(lines, readable, strict=True) if is_good]
        numbers = numbers[readable]
    chunk = Chunk(unreadable=len(split) - len(lines))
    if lines:
        _fill(chunk, lines, numbers, boots, day)
    return chunk


def _numbers(rests: Sequence[str], columns: Sequence[str]) -> Floats:
    """All lines as an array with the columns `FIGURES`."""
    numbers = np.full((len(rests), len(FIGURES)), np.nan)
    if not rests:
        return numbers
    text = "\n".join([*rests, ""])
    for _ in range(2):  # two, because matches do not overlap
        text = text.replace(",,", ",nan,")
    cells = text.replace(",\n", ",nan\n").removesuffix("\n").split("\n")
    try:
        found = np.loadtxt(cells, np.float64, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        found = np.empty((0, 0))
    if found.shape != (len(cells), len(columns)):
        found = np.array([_one_by_one(each, len(columns)) for each in cells])
    for index, name in enumerate(FIGURES):
        if name in columns:
            numbers[:, index] = found[:, columns.index(name)]
    return numbers


def _one_by_one(line: str, width: int) -> list[float]:
    """The slow way, for a file with a damaged line, which becomes NaN throughout."""
    try:
        numbers = list(map(float, line.split(",")))
    except ValueError:
        numbers = []
    if "_" in line:
        # Python takes 60_1 for 601.
        numbers = []
    return numbers if len(numbers) == width else [math.nan] * width


def _fill(chunk: Chunk, lines: list[list[str]], numbers: Floats, known: "_Boots", day: str) -> None:
    times, boots, cameras, events, sources, _ = zip(*lines, strict=True)
    up_s = numbers[:, FIGURES.index("up_s")]
    at_s = up_s + known.times_s(times, boots, up_s, day)
    for index in [place for place, event in enumerate(events) if event]:
        before = (float(at_s[index - 1]), boots[index - 1], events[index - 1]) if index else None
        chunk.happenings.append(
            Happening(float(at_s[index]), events[index], cameras[index], boots[index], before)
        )
    names = {name: code for code, name in enumerate(dict.fromkeys(cameras))}
    codes = np.fromiter(map(names.__getitem__, cameras), np.intp, len(cameras))
    codes[np.fromiter(map(bool, events), np.bool_, len(events))] = -1
    # Damage may look like a number, and one such interval would spoil all sums.
    interval_s = numbers[:, FIGURES.index("interval_s")]
    live = numbers[:, FIGURES.index("live")]
    plausible = (interval_s > 0) & (interval_s <= _LONGEST_S) & ~((live < 0) | (live > 1))
    for name, code in names.items():
        places = np.flatnonzero((codes == code) & plausible)
        if name and len(places):
            chunk.cameras[name] = Lines(at_s[places], numbers[places], sources[places[-1]])
    chunk.last = (float(at_s[-1]), boots[-1], events[-1])


class _Boots:
    """When each boot was, found from its last line to its first.

    Args:
        now: Tells that of its own boot.
    """

    def __init__(self, now: Moment) -> None:
        self._known_s = {now.boot: now.unix_s - now.up_s} if now.boot else {}
        self._running = now.boot
        self._next_s: float | None = None

    def times_s(self, times: Sequence[str], boots: Sequence[str], up_s: Floats, day: str) -> Floats:
        """Unix time of each line's boot.

        Args:
            times: (n,) as the clock stood.
            boots: (n,) of the computer.
            up_s: (n,) seconds since boot.
            day: `YYYY-MM-DD`, the latest on which this file or one before it was begun; empty
                where none is known.
        """
        found = np.empty(len(times))
        day_s = _unix(f"{day}T00:00:00Z")
        index = len(times)
        while index > 0:
            boot = boots[index - 1]
            begin = index - 1
            while begin > 0 and boots[begin - 1] == boot:
                begin -= 1
            if boot not in self._known_s:
                booted_s = _booted_s(times[begin:index], up_s[begin:index])
                self._known_s[boot] = self._put_right(booted_s, float(up_s[index - 1]), day_s)
            found[begin:index] = begun_s = self._known_s[boot]
            # A clock that was never set tells nothing of those before it.
            ended_s = math.inf if boot == self._running else begun_s + float(up_s[index - 1])
            if day_s is not None and ended_s >= day_s:
                self._next_s = begun_s
            index = begin
        return found

    def _put_right(self, booted_s: float, up_s: float, day_s: float | None) -> float:
        """The latest that a boot can have been whose clock was wrong, else as it stood.

        It was in the past where lines are from before a day on which a file had been begun by
        then, unless that day itself never was; and ahead where the boot would have lasted
        beyond the beginning of the next one.
        """
        ended_s, next_s = booted_s + up_s, self._next_s
        if next_s is None:
            return booted_s
        was_behind = day_s is not None and ended_s < day_s <= next_s
        return next_s - up_s if was_behind or ended_s > next_s else booted_s


def _booted_s(times: Sequence[str], up_s: Floats) -> float:
    """Unix time of a boot, by the newest of its lines that can be read."""
    for text, line_up_s in zip(reversed(times), reversed(up_s), strict=True):
        unix_s = _unix(text)
        if unix_s is not None:
            return unix_s - float(line_up_s)
    return 0.0


def _unix(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
