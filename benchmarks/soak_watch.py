"""What the soak run measures: the daemon from outside, by its metrics and the kernel's figures."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Figures", "Watch", "slope"]


@dataclass(slots=True, frozen=True)
class Figures:
    """The daemon at one moment.

    Attributes:
        frames: Frames that have gone through the detector so far, of all cameras.
        captured: Frames captured so far, by camera.
        up: Whether each camera gives frames.
        resident_mb: RSS.
        shared_mb: The part of it that holds pages of files, which the kernel can take back.
        threads: Threads.
        files: Open descriptors.
    """

    frames: int
    captured: dict[str, int]
    up: dict[str, bool]
    resident_mb: float
    shared_mb: float
    threads: int
    files: int


@dataclass(slots=True)
class Watch:
    """Looks at a process and its metrics.

    Args:
        pid: Of the daemon.
        metrics: Address of its metrics.

    Attributes:
        quiet: Figures at moments at which nothing was wrong.
    """

    pid: int
    metrics: str
    quiet: list[Figures] = field(default_factory=list)
    _process: psutil.Process | None = None
    _counted: dict[tuple[str, str], int] = field(default_factory=dict)
    _before: dict[tuple[str, str], int] = field(default_factory=dict)

    def look(self) -> Figures:
        """The figures of now.

        Raises:
            httpx.HTTPError: The daemon does not answer.
        """
        if self._process is None:
            self._process = psutil.Process(self.pid)
        answer = httpx.get(self.metrics, timeout=5)
        answer.raise_for_status()
        captured, up = {}, {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                camera = sample.labels.get("camera", "")
                if sample.name == "edge_detect_frames_total":
                    self._count((camera, sample.labels["stage"]), int(sample.value))
                    captured[camera] = self._total(camera, "captured")
                elif sample.name == "edge_detect_source_up":
                    up[camera] = bool(sample.value)
        with self._process.oneshot():
            memory = self._process.memory_info()
            threads, files = self._process.num_threads(), self._process.num_fds()
        frames = sum(self._total(camera, "detected") for camera in captured)
        resident, shared = memory.rss / 2**20, memory.shared / 2**20
        return Figures(frames, captured, up, resident, shared, threads, files)

    def _count(self, key: tuple[str, str], value: int) -> None:
        """Keep what was counted before a counter began anew with its pipeline."""
        if value < self._counted.get(key, 0):
            self._before[key] = self._before.get(key, 0) + self._counted[key]
        self._counted[key] = value

    def _total(self, camera: str, stage: str) -> int:
        key = (camera, stage)
        return self._before.get(key, 0) + self._counted.get(key, 0)

    def wait_until(self, condition: Callable[[Figures], bool], seconds: float) -> Figures | None:
        """The first figures that satisfy a condition; None when none do in time.

        Args:
            condition: Is given figures.
            seconds: To wait at most.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            figures = self.look()
            if condition(figures):
                return figures
            time.sleep(0.25)
        return None

    def rest(self, seconds: float) -> None:
        """Let a while pass in which nothing is done, and keep its last figures."""
        time.sleep(seconds)
        self.quiet.append(self.look())

    def after_warm_up(self) -> list[Figures]:
        """The quiet moments after the first fifth of all frames."""
        total = self.quiet[-1].frames if self.quiet else 0
        return [figures for figures in self.quiet if figures.frames >= total / 5]

    def growth(self, attribute: str) -> float:
        """How much more of something there is in the last third than in the first (medians)."""
        values = [getattr(figures, attribute) for figures in self.after_warm_up()]
        third = max(1, len(values) // 3)
        return statistics.median(values[-third:]) - statistics.median(values[:third])


def slope(figures: list[Figures]) -> float:
    """Growth of the memory in MB per 10 000 frames: the median of all pairs' slopes.

    A single moment at which a buffer more is in use hardly moves it.

    Reference:
        Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968.
    """
    slopes = [
        (later.resident_mb - earlier.resident_mb) / (later.frames - earlier.frames) * 10_000
        for index, earlier in enumerate(figures)
        for later in figures[index + 1 :]
        if later.frames > earlier.frames
    ]
    return statistics.median(slopes) if slopes else 0.0
