"""Which recordings are a recorder's own, in which order they were made, and when.

The names of recordings tell the time of day, which is not to be relied on: a Raspberry Pi starts
in the past, its clock jumps, and an hour comes twice in autumn. So the recorder appends a line
to a file of its own whenever a recording begins or ends:

    begin 2026-03-01/10-00-00 1a2b3c4d 125.250 1772355600.125
    end 2026-03-01/10-00-00 1a2b3c4d 185.250 1772355660.125

that is: what, the recording, the boot, seconds since that boot, unix time as the clock stood, and
`synced` if the system said that the clock is right. `gone` is written for what was deleted,
`clock` for what is known of a boot beside that. How old that makes a recording, at least, is told
in `boots`.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_detect.core.clock import Clock, Moment
from edge_detect.sinks.recorder.boots import Boots
from edge_detect.sinks.recorder.disk import (
    open_regular,
    read_regular,
    replace_file,
    sync_directory,
    write_all,
)

__all__ = ["LEDGER_NAME", "Entry", "Ledger"]

LEDGER_NAME = ".edge-detect-recordings"
_HEADER = (
    "# The recordings in this directory that edge-detect made, oldest first. Others are never "
    "deleted by it.\n"
)
_LINE = re.compile(
    r"(begin|end|gone|clock) (\S+) ([0-9a-f]*) (\d{1,12}\.\d{3}) (\d{1,12}\.\d{3})( synced)?",
    re.ASCII,
)
# A recording costs two lines of about this length.
_LINE_BYTES = 72
_SPARE_BYTES = 65_536


@dataclass(slots=True)
class Entry:
    """A recording.

    Attributes:
        stem: Path below the directory, without the ending: `2026-03-01/10-00-00_2`.
        begun: When it began.
        ended: When it was complete; None for one that is being written or was cut short.
        read: Whether it was read from the file, not made since.
    """

    stem: str
    begun: Moment
    ended: Moment | None = None
    read: bool = False

    @property
    def at(self) -> Moment:
        """Its end, or else its beginning."""
        return self.ended or self.begun


class Ledger:
    """The recordings that were made here, whatever became of the clock since.

    It survives power cuts: a line that is damaged or half written is lost alone. Deleted by
    hand while the recorder runs, it is written again; deleted otherwise, what it listed is
    the recorder's no more. What others wrote into it meanwhile is kept, and counts as older.

    Args:
        root: The directory of the recorder.
        clock: The computer's.
        spare_bytes: How much may be about recordings that are no more, beside as much as is
            about those that are there. Past twice of that, the file is written again.
    """

    def __init__(self, root: Path, clock: Clock, spare_bytes: int = _SPARE_BYTES) -> None:
        self.path = root / LEDGER_NAME
        self._clock = clock
        self._spare_bytes = spare_bytes
        self._content = _Content()
        self._pending: list[str] = []
        self._forgotten: set[str] = set()
        # What the file is to have; one of another length was deleted, changed or half written,
        # and another one may lie there.
        self._length = 0
        self._number = (0, 0)

    def __contains__(self, stem: object) -> bool:
        return stem in self._content.entries

    def __iter__(self) -> Iterator[Entry]:
        """All recordings in the order in which they were made."""
        return iter(self._content.entries.values())

    def __getitem__(self, stem: str) -> Entry:
        return self._content.entries[stem]

    def open(self) -> None:
        """Read what there is; nothing is not an error.

        Raises:
            OSError: It cannot be read.
        """
        self._pending.clear()
        self._forgotten.clear()
        self._content = _Content()
        data = read_regular(self.path) or b""
        self._content.read(data)
        # Written again as a whole at the next occasion.
        self._length = -1 if self._content.damaged else len(data)
        self._number = _number(self.path)

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
        if stem in self:
            self._note("end", stem)
            self._write(sync=False)

    def forget(self, stem: str) -> None:
        """A recording was deleted; that is written with the next line."""
        if stem in self:
            self._forgotten.add(stem)
            self._note("gone", stem)

    def note_clock(self) -> None:
        """Note how the clocks stand, so that it is known how long this boot lasted at least.

        Raises:
            OSError: That cannot be written; it will be with the next line.
        """
        if self._content.entries:
            self._note("clock", "-")
            self._write(sync=False)

    def age_s(self, entry: Entry, now: Moment) -> float:
        """How long ago a recording ended, or began if it was cut short: that long at least.

        Args:
            entry: One of this ledger.
            now: This moment.
        """
        if not now.boot and not entry.read:
            # The system does not tell one boot from the others, but this process lives in one.
            return now.up_s - entry.at.up_s
        return self._content.boots.age_s(entry.at, now)

    def _note(self, kind: str, stem: str) -> None:
        moment = self._clock.moment()
        self._content.take(kind, stem, moment)
        self._pending.append(_line(kind, stem, moment))

    def _write(self, *, sync: bool = True) -> None:
        """Append what is not written yet.

        Args:
            sync: Whether it is to survive a power cut from now on.
        """
        known = len(self._content.entries) + len(self._content.boots)
        needed = 2 * _LINE_BYTES * known + self._spare_bytes
        is_long = self._length > 2 * needed
        if is_long or not self._append("".join(self._pending).encode(), sync=sync):
            self._rewrite()
        self._pending.clear()
        self._forgotten.clear()

    def _rewrite(self) -> None:
        """Write the file again, about the recordings alone that are still there."""
        data = read_regular(self.path) or b""
        if len(data) != self._length or _number(self.path) != self._number:
            self._merge(data)
        content = self._content.text().encode()
        replace_file(self.path, content)
        self._length, self._number = len(content), _number(self.path)
        sync_directory(self.path.parent)

    def _merge(self, data: bytes) -> None:
        """Take in a file that is not as it was left."""
        merged, own = _Content(), self._content
        merged.read(data)
        for stem in self._forgotten - own.entries.keys():
            merged.entries.pop(stem, None)
        if not merged.entries:
            return
        for entry in self:
            there = merged.entries.get(entry.stem)
            if there is None or there.begun != _rounded(entry.begun):
                merged.entries.pop(entry.stem, None)
            merged.entries[entry.stem] = entry
        # In which order own earlier boots and those of the file were is unknown.
        merged.boots.add(self._clock.moment())
        self._content = merged

    def _append(self, content: bytes, *, sync: bool) -> bool:
        """Append to the file, unless it is not as it was left, or is not to be written."""
        try:
            file = open_regular(self.path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            # Where the directory allows it, another file takes the place of one of another user.
            if error.errno in (errno.ENOENT, errno.EACCES):
                return False
            raise
        try:
            status = os.fstat(file)
            if (status.st_size, status.st_dev, status.st_ino) != (self._length, *self._number):
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


class _Content:
    """What the lines of a ledger say."""

    def __init__(self) -> None:
        # In the order of creation.
        self.entries: dict[str, Entry] = {}
        self.boots = Boots()
        self.damaged = False

    def read(self, data: bytes) -> None:
        """Take in all lines of a file."""
        # A line without its end may look whole, and tell a wrong time.
        whole, _, half = data.rpartition(b"\n")
        self.damaged = bool(half)
        for line in whole.decode("ascii", "replace").split("\n"):
            match = _LINE.fullmatch(line)
            if match is not None:
                moment = Moment(float(match[5]), float(match[4]), match[3], bool(match[6]))
                self.take(match[1], match[2], moment, read=True)
            elif line and not line.startswith("#"):
                self.damaged = True

    def take(self, kind: str, stem: str, moment: Moment, *, read: bool = False) -> None:
        """Take in a line."""
        self.boots.add(moment)
        if kind == "begin":
            # A name that was there before is another recording, made now.
            self.entries.pop(stem, None)
            self.entries[stem] = Entry(stem, moment, read=read)
        elif kind == "end" and stem in self.entries:
            self.entries[stem].ended = moment
        elif kind == "gone":
            self.entries.pop(stem, None)

    def text(self) -> str:
        """The lines that say this."""
        for entry in self.entries.values():
            self.boots.drop_before(entry.at.boot)
            break
        lines = [_HEADER]
        lines += [_line("clock", "-", moment) for moment in self.boots.moments()]
        for entry in self.entries.values():
            lines.append(_line("begin", entry.stem, entry.begun))
            if entry.ended is not None:
                lines.append(_line("end", entry.stem, entry.ended))
        return "".join(lines)


def _number(path: Path) -> tuple[int, int]:
    """Which file lies there: no two that exist have the same; (0, 0) if there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino


def _line(kind: str, stem: str, moment: Moment) -> str:
    synced = " synced" if moment.synced else ""
    moment = _rounded(moment)
    return f"{kind} {stem} {moment.boot} {moment.up_s:.3f} {moment.unix_s:.3f}{synced}\n"


def _rounded(moment: Moment) -> Moment:
    """As the file has it."""
    unix_s, up_s = float(f"{max(0, moment.unix_s):.3f}"), float(f"{moment.up_s:.3f}")
    return Moment(unix_s, up_s, moment.boot, moment.synced)
