"""Writes a history to a disk that is full for a while; run by a test with that disk mounted.

    history_small_disk.py DISK OUT

Prints one line of JSON with what was said. The history is copied to OUT, because nobody else
sees the disk.
"""

import json
import logging
import os
import shutil
import sys
from pathlib import Path

from edge_detect.service.history.disk import DiskThread
from edge_detect.service.history.record import Row, moment_now
from edge_detect.service.history.writer import HistoryWriter
from support.waiting import wait_for


class Heard(logging.Handler):
    """Keeps what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.said.append(record.getMessage())


def count(directory: Path) -> int:
    """Lines so far, with the header."""
    return sum(path.read_bytes().count(b"\n") for path in directory.glob("*.csv"))


def main() -> None:
    """Fill the disk, make room, and go on."""
    disk, out = Path(sys.argv[1]), Path(sys.argv[2])
    heard = Heard()
    logging.getLogger("edge_detect").addHandler(heard)
    directory = disk / "metrics"
    thread = DiskThread(HistoryWriter(directory, 90, 10**8), retry_s=0.05)
    thread.put([Row(moment_now(), "before")])
    wait_for(lambda: list(directory.glob("*.csv")))
    foreign = disk / "foreign"
    with foreign.open("wb") as file:
        status = os.statvfs(disk)
        file.write(b"\0" * (status.f_bavail * status.f_frsize))
    written = 0
    while not heard.said:
        # Until the last page of the file is full.
        thread.put([Row(moment_now(), "while")])
        written += 1
        wait_for(lambda lines=written + 2: heard.said or count(directory) == lines)
    foreign.unlink()
    wait_for(lambda: len(heard.said) == 2)
    thread.put([Row(moment_now(), "after")])
    thread.stop(5)
    shutil.copytree(directory, out / "metrics")
    facts = {"said": heard.said, "written": written, "lost": thread.lost}
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
