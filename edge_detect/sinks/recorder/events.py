"""What is told about a recorded event beside its video: a thumbnail and a JSON file."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import NS_PER_S, Detection, Picture, Size
from edge_detect.core.clock import Clock
from edge_detect.sinks.recorder.disk import replace_file

__all__ = ["EventRules", "EventStory", "Sighting"]

_JPEG_QUALITY = 90


@dataclass(slots=True, frozen=True)
class EventRules:
    """When something is recorded.

    Attributes:
        labels: Of the classes that make an event; empty stands for all.
        pre_ns: How long before the first detection a clip begins.
        post_ns: How long after the last one it ends.
    """

    labels: tuple[str, ...]
    pre_ns: int
    post_ns: int


@dataclass(slots=True)
class Sighting:
    """The detections of one result that make an event.

    Attributes:
        detections: At least one, best first.
        captured_ns: CLOCK_MONOTONIC time of the frame in which they were found.
        age_ns: How much older that frame is than the picture in which they were drawn.
        picture: The annotated picture; taken away where too many wait that are better.
    """

    detections: tuple[Detection, ...]
    captured_ns: int
    age_ns: int
    picture: Picture | None

    @property
    def score(self) -> float:
        """Of the best detection."""
        return max(detection.score for detection in self.detections)


@dataclass(slots=True)
class _Seen:
    """The best of one class."""

    most: int
    best: Detection
    captured_ns: int
    at_ns: int


@dataclass(slots=True)
class EventStory:
    """Gathers what happens during a clip, and writes it down.

    Attributes:
        video: Path of the clip.
        rules: Why it is recorded.
        source: Name of the source.
        size: Of the video.
        begun_ns: CLOCK_MONOTONIC time of the first picture.
        begun_at_ns: The same on the recorder's time line.
        clock: Has the time of day.
        continues: Name of the clip that ends where this one begins.
        thumbnail: A JPEG file of the best picture so far, at first that of the clip before.
    """

    video: Path
    rules: EventRules
    source: str
    size: Size
    begun_ns: int
    begun_at_ns: int
    clock: Clock
    continues: str | None = None
    thumbnail: bytes = b""
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _first_ns: int | None = None
    _last_ns: int | None = None
    _best_score: float = 0.0
    _written: bytes = b""
    _told: bool = False

    @property
    def paths(self) -> list[Path]:
        """The clip and what is beside it."""
        return [self.video, self.video.with_suffix(".jpg"), self.video.with_suffix(".json")]

    @property
    def untold(self) -> bool:
        """Whether it is worth writing before the end, for whoever looks early or after a crash."""
        return not self._told or bool(self.thumbnail and not self._written)

    def add(self, sighting: Sighting, at_ns: int) -> None:
        """Take in what was found.

        Args:
            sighting: In a frame during the clip.
            at_ns: When, on the recorder's time line.
        """
        if self._first_ns is None:
            self._first_ns = sighting.captured_ns
        self._last_ns = sighting.captured_ns
        counts: dict[str, int] = {}
        for detection in sighting.detections:
            counts[detection.label] = counts.get(detection.label, 0) + 1
            seen = self._seen.get(detection.label)
            if seen is None:
                seen = _Seen(0, detection, sighting.captured_ns, at_ns)
                self._seen[detection.label] = seen
            elif detection.score > seen.best.score:
                seen.best, seen.captured_ns, seen.at_ns = detection, sighting.captured_ns, at_ns
        for label, count in counts.items():
            self._seen[label].most = max(self._seen[label].most, count)
        picture, sighting.picture = sighting.picture, None
        if picture is not None and sighting.score > self._best_score:
            self._best_score = sighting.score
            self.thumbnail = _encode_jpeg(picture.image)

    def write(self, frames: int, end_ns: int, end_at_ns: int, *, complete: bool) -> None:
        """Put thumbnail and JSON beside the clip, each as a whole or not at all.

        Args:
            frames: In the clip so far.
            end_ns: CLOCK_MONOTONIC time of its end.
            end_at_ns: The same on the recorder's time line.
            complete: Whether the clip is.

        Raises:
            OSError: The disk is full or the like.
        """
        _, thumbnail, facts = self.paths
        if self.thumbnail is not self._written:
            replace_file(thumbnail, self.thumbnail)
            self._written = self.thumbnail
        told = self._tell(frames, end_ns, end_at_ns, complete=complete)
        self._told = bool(self._seen)
        replace_file(facts, (json.dumps(told, ensure_ascii=False, indent=2) + "\n").encode())

    def _tell(self, frames: int, end_ns: int, end_at_ns: int, *, complete: bool) -> dict[str, Any]:
        video, thumbnail, _ = self.paths
        return {
            "video": video.name,
            "thumbnail": thumbnail.name if self.thumbnail else None,
            "complete": complete,
            "source": self.source,
            "size": list(self.size),
            "start": self._iso(self.begun_ns),
            "end": self._iso(end_ns),
            "duration_s": round((end_at_ns - self.begun_at_ns) / NS_PER_S, 3),
            "frames": frames,
            "continues": self.continues,
            "events": list(self.rules.labels) or ["*"],
            "pre_s": self.rules.pre_ns / NS_PER_S,
            "post_s": self.rules.post_ns / NS_PER_S,
            "first_detection": self._iso(self._first_ns),
            "last_detection": self._iso(self._last_ns),
            "detections": {
                label: {
                    **({"mid": seen.best.mid} if seen.best.mid else {}),
                    "max_count": seen.most,
                    "best_score": round(seen.best.score, 4),
                    "box": [round(edge, 1) for edge in seen.best.box],
                    "time": self._iso(seen.captured_ns),
                    "at_s": round(max(0, seen.at_ns - self.begun_at_ns) / NS_PER_S, 3),
                }
                for label, seen in sorted(self._seen.items())
            },
        }

    def _iso(self, captured_ns: int | None) -> str | None:
        """Local time of a moment, as the clock stands now."""
        if captured_ns is None:
            return None
        return self.clock.local_time(captured_ns).isoformat(timespec="milliseconds")


def _encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded")
    return bytes(data)
