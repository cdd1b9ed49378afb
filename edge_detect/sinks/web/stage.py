"""What the page of one camera shows, and what may be changed on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_detect.core import PipelineStatus
from edge_detect.sinks.web.audience import Audience
from edge_detect.sinks.web.feed import Feed

__all__ = ["MOST_LISTENERS", "Controls", "Stage"]

MOST_LISTENERS = 16


class Controls(Protocol):
    """What can be changed while the camera runs; called in the server's event loop."""

    @property
    def changeable(self) -> bool:
        """Whether those who see the page may change anything."""

    @property
    def enabled(self) -> bool:
        """Whether the camera detects."""

    @property
    def score_threshold(self) -> float | None:
        """Least score reported; None before the model is loaded."""

    def set_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - a switch, thrown by its name
        """Switch detection on or off."""

    def set_score_threshold(self, score: float) -> None:
        """Change the least score reported, 0 to 1."""


@dataclass(slots=True, frozen=True)
class Stage:
    """What the page shows.

    Attributes:
        audience: Those who watch the picture.
        feed: Results, and those who hear of them.
        report: Gives the state of the pipeline.
        camera: Its name; empty where there is only one.
        controls: What can be changed; None for nothing.
    """

    audience: Audience
    feed: Feed
    report: Callable[[], PipelineStatus]
    camera: str = ""
    controls: Controls | None = None

    def end(self) -> None:
        """Tell all who watch and listen that there will be no more; in the event loop."""
        self.audience.end()
        self.feed.end()
