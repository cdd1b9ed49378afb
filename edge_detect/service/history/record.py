"""One line of the history: its columns, their meaning, and the time it belongs to.

A Raspberry Pi has no clock of its own and starts in the past, so the time of day alone
would misorder lines. Each one carries the time since boot and the boot's identity as well:
whoever reads them takes the time of day from the last line of a boot, when the clock was
right, and counts back from there.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from edge_detect.core.clock import Clock, Moment

__all__ = ["COLUMNS", "NUMBERS", "TEXTS", "Event", "Moment", "Row", "header", "moment_now"]

Event = Literal["", "start", "stop", "reload", "added", "removed"]

# Texts come first: readers split them off, and have the rest parsed as numbers in one go.
TEXTS = {
    "time": "end of the interval, UTC, as the clock stood",
    "boot": "which boot of the computer, eight hexadecimal digits",
    "camera": "its name; empty for events of the whole program",
    "event": "start, stop, reload, added or removed; empty in lines with figures",
    "source": "at the end of the interval: live, stalled, lost, connecting, ended, or of "
    "the camera as a whole: starting, failed, stopped",
}
NUMBERS = {
    "up_s": "end of the interval, seconds since boot (CLOCK_BOOTTIME)",
    "interval_s": "length of the interval, seconds",
    "live": "share of the interval in which the source was live, 0 to 1, sampled",
    "captured_fps": "frames from the source, per second",
    "detected_fps": "frames that went through the detector, per second",
    "rendered_fps": "frames that were drawn, per second",
    "encoded_fps": "frames that left the busiest encoder, per second",
    "dropped_fps": "frames, pictures and results that a stage or sink was too slow for",
    "detect_p50_ms": "capture to detected, milliseconds, median",
    "detect_p95_ms": "as above, 95th percentile",
    "detect_p99_ms": "as above, 99th percentile",
    "invoke_p50_ms": "the interpreter alone, milliseconds, median",
    "invoke_p95_ms": "as above, 95th percentile",
    "invoke_p99_ms": "as above, 99th percentile",
    "encode_p50_ms": "capture to encoded, busiest encoder, milliseconds, median",
    "encode_p95_ms": "as above, 95th percentile",
    "encode_p99_ms": "as above, 99th percentile",
    "viewers": "most at once, of all sinks together",
    "cpu_cores": "of the whole process, mean; 1 is one busy core",
    "rss_mb": "memory of the whole process, 10^6 bytes",
    "soc_c": "temperature of the SoC, highest, degrees Celsius",
    "clock_mhz": "of the fastest core, lowest",
    "under_voltage": "1 if the firmware said so at any moment of the interval",
    "clock_capped": "as above",
    "throttled": "as above",
    "hot_limit": "as above; the soft temperature limit",
    "reconnects": "how often the source came back",
    "restarts": "how often the camera's pipeline was started again",
}
COLUMNS = (*TEXTS, *NUMBERS)


@dataclass(slots=True, frozen=True)
class Row:
    """One line.

    Attributes:
        moment: The end of its interval, or of the event.
        camera: Name; empty for events of the whole program.
        event: Empty for lines with figures.
        source: State of the source.
        figures: By column of `NUMBERS`, but for `up_s`; None or missing where nothing is known.
    """

    moment: Moment
    camera: str = ""
    event: Event = ""
    source: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)

    def as_line(self) -> str:
        """As CSV, with the line feed."""
        moment = self.moment
        day = datetime.fromtimestamp(moment.unix_s, UTC)
        figures = {**self.figures, "up_s": moment.up_s}
        return _line(
            [
                day.strftime("%Y-%m-%dT%H:%M:%SZ"),
                moment.boot,
                self.camera,
                self.event,
                self.source,
                *(_cell(figures.get(name)) for name in NUMBERS),
            ]
        )


def header() -> str:
    """The first line of every file."""
    return _line(COLUMNS)


def moment_now() -> Moment:
    """This moment."""
    return Clock().moment()


def _cell(value: float | None) -> str:
    """Two decimals are finer than anything that is measured here."""
    if value is None:
        return ""
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".")


def _line(cells: list[str] | tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
