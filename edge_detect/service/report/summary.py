"""A history in numbers: how available, how fast, how late, and what went wrong when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_detect.core import ConfigError, SourceError
from edge_detect.service.history.record import Moment, moment_now
from edge_detect.service.report.curves import Curves, Tally, add_durations
from edge_detect.service.report.outages import Life, Outage
from edge_detect.service.report.reader import (
    FIGURES,
    Chunk,
    Floats,
    Lines,
    oldest_line_s,
    read_chunks,
)
from edge_detect.service.report.worst import Minute, WorstMinutes

__all__ = ["FLAGS", "CameraSummary", "ComputerSummary", "Delays", "Rates", "Report", "make_report"]

_MARKS = 500
# Cameras differ by a few per cent from minute to minute: that is nothing to look at.
_FEW = 0.9
FLAGS = ("under_voltage", "clock_capped", "throttled", "hot_limit")


@dataclass(slots=True, frozen=True)
class Rates:
    """Frames per second, interval by interval; None where there were none.

    Attributes:
        p50: Half of the time there were no more.
        least: In the worst interval.
        least_at_s: Unix time of its end.
    """

    p50: float | None = None
    least: float | None = None
    least_at_s: float | None = None


@dataclass(slots=True, frozen=True)
class Delays:
    """Milliseconds, over all frames; None where there were none."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(slots=True)
class CameraSummary:
    """One camera.

    Attributes:
        name: In the configuration.
        source: State of the source in the last line.
        first_s: Unix time at which its first interval begins.
        last_s: Unix time at which its last interval ends.
        recorded_s: Length of all intervals together.
        live_s: Of these, how long its source was live.
        down_s: How long it should have run, but the program did not.
        captured: Frames from the source.
        detected: Frames that went through the detector.
        dropped_fps: Frames, pictures and results that something was too slow for, mean.
        capture_to_detect: Estimated from the percentiles of the intervals.
        capture_to_encode: As above.
        reconnects: How often its source came back.
        restarts: How often its pipeline was started again.
        reconnected_s: Unix times of the newest 500 intervals with reconnects.
        restarted_s: Unix times of the newest 500 intervals with restarts.
        slowest: The worst intervals by the 95th percentile of capture to detected.
        fewest: The worst intervals by captured frames, if they are unusual.
        curves: All figures over time.
    """

    name: str
    source: str
    curves: Curves
    first_s: float = float("inf")
    last_s: float = float("-inf")
    recorded_s: float = 0.0
    live_s: float = 0.0
    down_s: float = 0.0
    captured: Rates = field(default_factory=Rates)
    detected: Rates = field(default_factory=Rates)
    dropped_fps: float = 0.0
    capture_to_detect: Delays = field(default_factory=Delays)
    capture_to_encode: Delays = field(default_factory=Delays)
    reconnects: int = 0
    restarts: int = 0
    reconnected_s: list[float] = field(default_factory=list)
    restarted_s: list[float] = field(default_factory=list)
    slowest: list[Minute] = field(default_factory=list)
    fewest: list[Minute] = field(default_factory=list)

    @property
    def available(self) -> float:
        """Share of the time in which its source was live, 0 to 1.

        Time in which the program ran, but could not write its history, counts neither way.
        """
        return self.live_s / max(self.recorded_s + self.down_s, 1e-9)


@dataclass(slots=True)
class ComputerSummary:
    """The computer and the process.

    Attributes:
        hottest_c: Of the SoC; None where it is not known.
        hottest_at_s: Unix time of the interval's end.
        cpu_cores: Of the process, mean.
        largest_rss_mb: Of the process.
        flagged_s: Seconds of intervals with each of `FLAGS`; empty on boards that do not
            tell.
        curves: All figures over time.
    """

    curves: Curves
    hottest_c: float | None = None
    hottest_at_s: float | None = None
    cpu_cores: float | None = None
    largest_rss_mb: float | None = None
    flagged_s: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """Everything about a time.

    Attributes:
        directory: Where it was read.
        since_s: Unix time at which it begins: as asked for, or of the first line.
        until_s: Unix time at which it ends.
        interval_s: Mostly, of a line.
        cameras: In the order of their names.
        computer: What they run on.
        outages: Times in which the program did not run, oldest first.
        reloads_s: Unix times at which the configuration was applied anew.
        unreadable: Damaged lines, which are left out.
    """

    directory: Path
    since_s: float
    until_s: float
    interval_s: float
    cameras: list[CameraSummary]
    computer: ComputerSummary
    outages: list[Outage]
    reloads_s: list[float]
    unreadable: int


def make_report(
    directory: Path,
    since_s: float,
    until_s: float | None = None,
    cameras: Sequence[str] = (),
    now: Moment | None = None,
) -> Report:
    """Read a history and sum it up; needs the same memory for an hour as for years.

    Args:
        directory: Of the files.
        since_s: Unix time.
        until_s: Unix time; None for now.
        cameras: Of these alone; empty for all.
        now: None takes this moment.

    Raises:
        ConfigError: The time ends before it begins, or there is no such camera.
        SourceError: The directory cannot be read, or holds nothing about this time.
    """
    now = now or moment_now()
    until_s = now.unix_s if until_s is None else min(until_s, now.unix_s)
    if until_s <= since_s:
        raise ConfigError("the report would end before it begins", "give an earlier --since")
    oldest_s = oldest_line_s(directory)
    # Years before the first line would leave the curves no room.
    begin_s = since_s if oldest_s is None else max(since_s, min(oldest_s, until_s - 1))
    builder = _Builder(directory, (since_s, until_s), begin_s, cameras)
    for chunk in read_chunks(directory, since_s, now):
        builder.add(chunk)
    return builder.finish()


class _Builder:
    def __init__(
        self,
        directory: Path,
        period_s: tuple[float, float],
        begin_s: float,
        cameras: Sequence[str],
    ) -> None:
        self._directory = directory
        self._since_s, self._until_s = period_s
        self._begin_s = begin_s
        self._wanted = set(cameras)
        self._seen: set[str] = set()
        self._cameras: dict[str, _CameraBuilder] = {}
        self._computer: _ComputerBuilder | None = None
        self._life = Life(*period_s)
        self._interval_s = 0.0
        self._unreadable = 0

    def add(self, chunk: Chunk) -> None:
        self._unreadable += chunk.unreadable
        self._life.add(chunk)
        self._seen.update(chunk.cameras)
        new: list[Lines] = []
        for name, lines in sorted(chunk.cameras.items()):
            inside = _between(lines, self._since_s, self._until_s)
            if inside is None or (self._wanted and name not in self._wanted):
                continue
            if self._computer is None:
                lasted_s = _column(inside.figures, "interval_s")
                self._interval_s = float(np.median(lasted_s))
                self._computer = _ComputerBuilder(self._curves())
            if name not in self._cameras:
                summary = CameraSummary(name, inside.source, self._curves())
                self._cameras[name] = _CameraBuilder(summary, self._interval_s)
            self._cameras[name].add(inside)
            new.append(inside)
        if self._computer is not None and new:
            self._computer.add(_once(new))

    def _curves(self) -> Curves:
        return Curves(self._begin_s, self._until_s, self._interval_s)

    def finish(self) -> Report:
        if unknown := self._wanted - self._seen:
            raise ConfigError(
                f"there is no camera {min(unknown)!r} in {self._directory}",
                f"there are: {', '.join(sorted(self._seen))}" if self._seen else "leave it away",
            )
        if self._computer is None:
            raise SourceError(
                f"{self._directory} holds nothing about this time",
                "choose an earlier --since, another --dir, or let `edge-detect run --config` "
                "run for a few minutes",
            )
        cameras = [self._cameras[name].finish() for name in sorted(self._cameras)]
        outages = self._life.outages(self._interval_s)
        last_s = max(each.last_s for each in cameras)
        for each in cameras:
            end_s = self._until_s if each.last_s > last_s - 3 * self._interval_s else each.last_s
            each.down_s = sum(outage.within(each.first_s, end_s) for outage in outages)
        return Report(
            self._directory,
            self._begin_s,
            self._until_s,
            self._interval_s,
            cameras,
            self._computer.finish(),
            outages,
            self._life.reloads_s,
            self._unreadable,
        )


class _CameraBuilder:
    def __init__(self, summary: CameraSummary, interval_s: float) -> None:
        self._summary = summary
        self._interval_s = interval_s
        self._tallies = {name: Tally() for name in ("captured", "detected", "detect", "encode")}
        self._dropped = 0.0
        self._slowest = WorstMinutes("detect_p95_ms", highest=True)
        self._fewest = WorstMinutes("captured_fps", highest=False)
        self._fewest_detected = WorstMinutes("detected_fps", highest=False)

    def add(self, lines: Lines) -> None:
        summary, figures = self._summary, lines.figures
        interval_s = _column(figures, "interval_s")
        summary.curves.add(lines)
        summary.first_s = min(summary.first_s, float((lines.end_s - interval_s).min()))
        summary.last_s = max(summary.last_s, float(lines.end_s.max()))
        summary.recorded_s += float(interval_s.sum())
        summary.live_s += float(np.nansum(_column(figures, "live") * interval_s))
        self._dropped += float(np.nansum(_column(figures, "dropped_fps") * interval_s))
        for stage in ("captured", "detected"):
            rates = np.nan_to_num(_column(figures, f"{stage}_fps"))
            self._tallies[stage].add(rates, interval_s)
        for name, stage in (("detect", "detected"), ("encode", "encoded")):
            frames = np.nan_to_num(_column(figures, f"{stage}_fps")) * interval_s
            add_durations(self._tallies[name], figures, name, frames)
        summary.reconnects += _count(lines, "reconnects", summary.reconnected_s)
        summary.restarts += _count(lines, "restarts", summary.restarted_s)
        # Short intervals, at a stop or a change of the configuration, are worst for no reason.
        whole = interval_s >= self._interval_s / 2
        for worst in (self._slowest, self._fewest, self._fewest_detected):
            worst.add(lines.end_s[whole], figures[whole])

    def finish(self) -> CameraSummary:
        summary = self._summary
        summary.slowest, summary.fewest = self._slowest.chosen(), self._fewest.chosen()
        summary.captured = self._rates("captured", summary.fewest)
        usual_fps = summary.captured.p50 or 0.0
        summary.fewest = [
            each for each in summary.fewest if (each.captured_fps or 0.0) < usual_fps * _FEW
        ]
        summary.detected = self._rates("detected", self._fewest_detected.chosen())
        summary.capture_to_detect = self._delays("detect")
        summary.capture_to_encode = self._delays("encode")
        summary.dropped_fps = self._dropped / max(summary.recorded_s, 1e-9)
        return summary

    def _rates(self, stage: str, fewest: list[Minute]) -> Rates:
        p50 = self._tallies[stage].quantile(0.5)
        if not fewest:
            return Rates(p50)
        return Rates(p50, getattr(fewest[0], f"{stage}_fps"), fewest[0].end_s)

    def _delays(self, name: str) -> Delays:
        return Delays(*(self._tallies[name].quantile(share) for share in (0.5, 0.95, 0.99)))


class _ComputerBuilder:
    def __init__(self, curves: Curves) -> None:
        self._summary = ComputerSummary(curves)
        self._busy_s = self._counted_s = 0.0

    def add(self, lines: Lines) -> None:
        summary, figures = self._summary, lines.figures
        summary.curves.add(lines)
        interval_s, degrees = _column(figures, "interval_s"), _column(figures, "soc_c")
        if np.isfinite(degrees).any():
            place = int(np.nanargmax(degrees))
            if summary.hottest_c is None or degrees[place] > summary.hottest_c:
                summary.hottest_c = float(degrees[place])
                summary.hottest_at_s = float(lines.end_s[place])
        sizes = _column(figures, "rss_mb")
        if np.isfinite(sizes).any():
            summary.largest_rss_mb = max(summary.largest_rss_mb or 0.0, float(np.nanmax(sizes)))
        cores = _column(figures, "cpu_cores")
        self._busy_s += float(np.nansum(cores * interval_s))
        self._counted_s += float(interval_s[np.isfinite(cores)].sum())
        for flag in FLAGS:
            flags = _column(figures, flag)
            if np.isfinite(flags).any():
                flagged_s = float(interval_s[flags > 0].sum())
                summary.flagged_s[flag] = summary.flagged_s.get(flag, 0.0) + flagged_s

    def finish(self) -> ComputerSummary:
        if self._counted_s > 0:
            self._summary.cpu_cores = self._busy_s / self._counted_s
        return self._summary


def _once(cameras: list[Lines]) -> Lines:
    """One line for each moment: those of all cameras say the same of the computer."""
    if len(cameras) == 1:
        return cameras[0]
    end_s, places = np.unique(np.concatenate([each.end_s for each in cameras]), return_index=True)
    figures = np.concatenate([each.figures for each in cameras])[places]
    return Lines(end_s, figures, "")


def _between(lines: Lines, since_s: float, until_s: float) -> Lines | None:
    inside = (lines.end_s > since_s) & (lines.end_s <= until_s + 1)
    if inside.all():
        return lines
    if not inside.any():
        return None
    return Lines(lines.end_s[inside], lines.figures[inside], lines.source)


def _column(figures: Floats, name: str) -> Floats:
    return figures[:, FIGURES.index(name)]


def _count(lines: Lines, name: str, times_s: list[float]) -> int:
    counts = np.nan_to_num(_column(lines.figures, name))
    room = _MARKS - len(times_s)
    if room > 0 and counts.any():
        times_s[:0] = lines.end_s[counts > 0][-room:].tolist()
    return int(counts.sum())
