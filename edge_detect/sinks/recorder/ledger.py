"""Which recordings are a recorder's own, in which order they were made, and when.

The names of recordings tell the time of day, which is not to be relied on: a Raspberry Pi starts
in the past, its clock jumps, and an hour comes twice in autumn. So the recorder appends a line
to a file of its own whenever a recording begins or ends:

    begin 2026-03-01/10-00-00 1a2b3c4d 125.250 1772355600.125
    end 2026-03-01/10-00-00 1a2b3c4d 185.250 1772355660.125

that is: what, the recording, the boot, seconds since that boot, unix time as the clock stood.
`gone` is written for what was deleted, `clock` for the last that is known of a boot's clock.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_detect.core.clock import Clock, Moment
from edge_detect.sinks.recorder.disk import replace_file, sync_directory, write_all

__all__ = ["LEDGER_NAME", "Entry", "Ledger"]

LEDGER_NAME = ".edge-detect-recordings"
_HEADER = (
    "# The recordings in this directory that edge-detect made, oldest first. Others are never "
    "deleted by it.\n"
)
_LINE = re.compile(
    r"(begin|end|gone|clock) (\S+) ([0-9a-f]*) (\d{1,12}\.\d{3}) (\d{1,12}\.\d{3})", re.ASCII
)
# A recording costs two lines of about this length.
_LINE_BYTES = 64
_SPARE_BYTES = 65_536


@dataclass(slots=True)
class Entry:
    """A recording.

    Attributes:
        stem: Path below the directory, without the ending: `2026-03-01/10-00-00_2`.
        begun: When it began.
        ended: When it was complete; None for one that is being written or was cut short.
        wall_s: Unix time of its end, or else of its beginning, in view of all that is known
            of the clock; for recordings of earlier boots alone.
    """

    stem: str
    begun: Moment
    ended: Moment | None = None
    wall_s: float = 0.0

    @property
    def at(self) -> Moment:
        """Its end, or else its beginning."""
        return self.ended or self.begun


class Ledger:
    """The recordings that were made here, whatever became of the clock since.

    It survives power cuts: a line that is damaged or half written is lost alone. Deleted by
    hand while the recorder runs, it is written again; deleted otherwise, what it listed is
    the recorder's no more.

    Args:
        root: The directory of the recorder.
        clock: The computer's.
        spare_bytes: How much may be about recordings that are no more, beside as much as is
            about those that are there. Past twice of that, the file is written again.
    """

    def __init__(self, root: Path, clock: Clock, spare_bytes: int = _SPARE_BYTES) -> None:
        self._root = root
        self._path = root / LEDGER_NAME
        self._clock = clock
        self._spare_bytes = spare_bytes
        # In the order of creation.
        self._entries: dict[str, Entry] = {}
        self._boots: dict[str, Moment] = {}
        self._pending: list[str] = []
        # What the file is to have; one of another length was deleted, changed or half written.
        self._length = 0

    def __contains__(self, stem: object) -> bool:
        return stem in self._entries

    def __iter__(self) -> Iterator[Entry]:
        """All recordings in the order in which they were made."""
        return iter(self._entries.values())

    def __getitem__(self, stem: str) -> Entry:
        return self._entries[stem]

    def open(self) -> None:
        """Read what there is; nothing is not an error.

        Raises:
            OSError: It cannot be read.
        """
        self._entries.clear()
        self._pending.clear()
        self._length = 0
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        # A line without its end may look whole, and tell a wrong time.
        whole, _, half = data.rpartition(b"\n")
        damaged = bool(half)
        for line in whole.decode("ascii", "replace").split("\n"):
            match = _LINE.fullmatch(line)
            if match is not None:
                moment = Moment(float(match[5]), float(match[4]), match[3])
                self._take(match[1], match[2], moment)
            elif line and not line.startswith("#"):
                damaged = True
        # Written again as a whole at the next occasion.
        self._length = -1 if damaged else len(data)
        self._date()

    def begin(self, stem: str) -> None:
        """Note that a recording begins; survives a power cut.

        Raises:
            OSError: That cannot be written, and is not noted.
        """
        self._note("begin", stem)
        try:
            self._write()
        except OSError:
            self.forget(stem)
            raise

    def end(self, stem: str) -> None:
        """Note that a recording is complete.

        Raises:
            OSError: That cannot be written; it will be with the next line.
        """
        if stem in self._entries:
            self._note("end", stem)
            self._write(sync=False)

    def forget(self, stem: str) -> None:
        """A recording was deleted; that is written with the next line."""
        if stem in self._entries:
            self._note("gone", stem)

    def age_s(self, entry: Entry, now: Moment) -> float:
        """How long ago a recording ended, or began if it was cut short.

        Within one boot that is certain. What was made during an earlier one is at least as old
        as this one is long; otherwise the time of day counts, and the age is negative while
        the clock is not yet right.

        Args:
            entry: One of this ledger.
            now: This moment.
        """
        if entry.at.boot == now.boot:
            return now.up_s - entry.at.up_s
        return max(now.unix_s - entry.wall_s, now.up_s)

    def _note(self, kind: str, stem: str) -> None:
        moment = self._clock.moment()
        self._take(kind, stem, moment)
        self._pending.append(_line(kind, stem, moment))

    def _take(self, kind: str, stem: str, moment: Moment) -> None:
        self._boots[moment.boot] = moment
        if kind == "begin":
            # A name that was there before is another recording, made now.
            self._entries.pop(stem, None)
            self._entries[stem] = Entry(stem, moment)
        elif kind == "end" and stem in self._entries:
            self._entries[stem].ended = moment
        elif kind == "gone":
            self._entries.pop(stem, None)

    def _date(self) -> None:
        """Find when recordings of earlier boots were made."""
        latest_s = 0.0
        for entry in self:
            last = self._boots[entry.at.boot]
            # None is older than the one before it, even if the clock of its boot never was right.
            latest_s = max(latest_s, last.unix_s - last.up_s + entry.at.up_s)
            entry.wall_s = latest_s

    def _write(self, *, sync: bool = True) -> None:
        """Append what is not written yet.

        Args:
            sync: Whether it is to survive a power cut from now on.
        """
        needed = 2 * _LINE_BYTES * len(self._entries) + self._spare_bytes
        is_long = self._length > 2 * needed
        if is_long or not self._append("".join(self._pending).encode(), sync=sync):
            self._rewrite()
        self._pending.clear()

    def _rewrite(self) -> None:
        """Write the file again, about the recordings alone that are still there."""
        lines = [_HEADER]
        boots = set()
        for entry in self:
            lines.append(_line("begin", entry.stem, entry.begun))
            if entry.ended is not None:
                lines.append(_line("end", entry.stem, entry.ended))
            boots.add(entry.at.boot)
        lines += [_line("clock", "-", last) for last in self._boots.values() if last.boot in boots]
        content = "".join(lines).encode()
        replace_file(self._path, content)
        self._length = len(content)
        sync_directory(self._root)

    def _append(self, content: bytes, *, sync: bool) -> bool:
        """Append to the file, unless it is not as it was left."""
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if os.fstat(file).st_size != self._length:
                return False
            try:
                write_all(file, content)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, self._length)
                raise
            self._length += len(content)
            if sync:
                os.fdatasync(file)
        finally:
            os.close(file)
        return True


def _line(kind: str, stem: str, moment: Moment) -> str:
    return f"{kind} {stem} {moment.boot} {moment.up_s:.3f} {max(0, moment.unix_s):.3f}\n"
