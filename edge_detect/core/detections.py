"""What a detector found, as parallel arrays."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detection", "Detections"]


class Detection(NamedTuple):
    """One found object.

    `box` is x_min, y_min, x_max, y_max in frame pixels; `keypoints` are pairs x, y. `mid` is the
    Freebase MID of its label, where the model has them (Open Images); else empty.
    """

    label: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]
    zones: tuple[str, ...] = ()
    keypoints: tuple[tuple[float, float], ...] = ()
    mid: str = ""


@dataclass(slots=True, frozen=True, eq=False)
class Detections:
    """The objects found in one image, best score first.

    Index it with a mask, a slice or an array of indices to get a part:
    `detections[detections.scores > 0.5]`. Iterating gives one `Detection` after another.

    Attributes:
        boxes: (n, 4) float32, x_min, y_min, x_max, y_max in frame pixels, inside the frame.
        scores: (n,) float32, 0 to 1.
        class_ids: (n,) int32, indices into `labels`.
        labels: All labels of the model, by class id.
        zones: Names of the parts of the picture that are told apart; mostly none.
        inside: (n, zones) bool, whether each object stands in each zone; None without zones.
        keypoints: (n, points, 2) float32, x, y in frame pixels, also beyond its edges; None for
            models without key points.
        mids: Freebase MIDs of the labels, by class id; empty where the model has none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    labels: tuple[str, ...]
    zones: tuple[str, ...] = ()
    inside: NDArray[np.bool_] | None = None
    keypoints: NDArray[np.float32] | None = None
    mids: tuple[str, ...] = ()

    @classmethod
    def empty(cls, labels: tuple[str, ...] = ()) -> "Detections":
        """Nothing found."""
        return cls(
            np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), labels
        )

    @property
    def names(self) -> list[str]:
        """The label of each detection."""
        labels = self.labels
        return [labels[class_id] for class_id in self.class_ids.tolist()]

    def __len__(self) -> int:
        return len(self.scores)

    def zones_of(self, index: int) -> tuple[str, ...]:
        """Names of the zones that one object stands in."""
        if self.inside is None:
            return ()
        return tuple(
            name for name, within in zip(self.zones, self.inside[index], strict=True) if within
        )

    def keypoints_of(self, index: int) -> tuple[tuple[float, float], ...]:
        """The key points of one object."""
        if self.keypoints is None:
            return ()
        return tuple((x, y) for x, y in self.keypoints[index].tolist())

    def __getitem__(self, index: Any) -> "Detections":
        if isinstance(index, (int, np.integer)):
            index = [index]
        return Detections(
            self.boxes[index],
            self.scores[index],
            self.class_ids[index],
            self.labels,
            self.zones,
            None if self.inside is None else self.inside[index],
            None if self.keypoints is None else self.keypoints[index],
            self.mids,
        )

    def with_mids(self, mids: tuple[str, ...]) -> "Detections":
        """The same objects, their labels with these MIDs."""
        return replace(self, mids=mids)

    def __iter__(self) -> Iterator[Detection]:
        rows = zip(
            self.names,
            self.class_ids.tolist(),
            self.scores.tolist(),
            self.boxes.tolist(),
            strict=True,
        )
        for index, (label, class_id, score, box) in enumerate(rows):
            mid = self.mids[class_id] if self.mids else ""
            yield Detection(
                label,
                class_id,
                score,
                tuple(box),
                self.zones_of(index),
                self.keypoints_of(index),
                mid,
            )
