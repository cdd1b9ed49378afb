"""What may be changed while a pipeline runs."""

from collections.abc import Callable
from dataclasses import replace
from time import sleep

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.models import Thresholds
from edge_detect.models.selection import Selection

__all__ = ["Controls"]

_LOOK_S = 0.1
# Thirty years: the quotient by the smallest numbers is infinite.
_LONGEST_NS = 1e18


class Controls:
    """Switches and limits of one pipeline; set from any thread, read by its stages.

    Args:
        thresholds: What is reported.
        selection: Which of it is.
        max_fps: At most so many detections a second; None for no limit.
        clock: CLOCK_MONOTONIC, in nanoseconds.

    Attributes:
        enabled: Whether anything is detected.
        thresholds: What is reported.
        selection: Which of it is.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        selection: Selection,
        max_fps: float | None,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.enabled = True
        self.thresholds = thresholds
        self.selection = selection
        self._max_fps: float | None = None
        self._interval_ns = 0
        self._clock = clock
        self._due_ns = clock()
        self.set_max_fps(max_fps)

    @property
    def max_fps(self) -> float | None:
        """At most so many detections a second; None for no limit."""
        return self._max_fps

    def skipping_stage(self) -> str:
        """What frames count as that nobody prepares: `limit` where they are left out on purpose."""
        return "prepare" if self._max_fps is None and self.enabled else "limit"

    def set_max_fps(self, fps: float | None) -> None:
        """Limit the rate of detections.

        Raises:
            ValueError: It is not above 0.
        """
        if fps is not None and not fps > 0:
            raise ValueError(f"max_fps must be above 0, got {fps}")
        self._max_fps = fps
        self._interval_ns = 0 if fps is None else round(min(NS_PER_S / fps, _LONGEST_NS))

    def set_score_threshold(self, score: float) -> None:
        """Change the least score that is reported.

        Raises:
            ValueError: It is not from 0 to 1.
        """
        if not 0 <= score <= 1:
            raise ValueError(f"score_threshold must be from 0 to 1, got {score}")
        self.thresholds = replace(self.thresholds, score=score)

    def wait_until_due(self, check: Callable[[], None]) -> None:
        """Wait for the moment at which the next detection is allowed.

        Args:
            check: Called ten times a second; raises to end the wait.
        """
        while (interval_ns := self._interval_ns) and (
            left_ns := min(self._due_ns - self._clock(), interval_ns)
        ) > 0:
            check()
            sleep(min(_LOOK_S, left_ns / NS_PER_S))
        self._due_ns = max(self._due_ns, self._clock() - interval_ns) + interval_ns
