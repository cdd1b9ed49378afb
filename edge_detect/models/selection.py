"""Which of the objects that a model finds are reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ConfigError, Detections, Size

__all__ = ["Region", "Selection", "SizeRange", "find_class_ids"]


@dataclass(slots=True, frozen=True)
class Region:
    """A part of the picture.

    Attributes:
        name: For reports.
        polygon: Corners x, y in order, from 0 to 1 of the picture.
        classes: Labels that it is for; empty for all.
    """

    name: str
    polygon: tuple[tuple[float, float], ...]
    classes: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class SizeRange:
    """How large boxes must be, as parts of the picture's width and height, both ends included."""

    min_width: float = 0.0
    max_width: float = 1.0
    min_height: float = 0.0
    max_height: float = 1.0


class Selection:
    """Leaves objects out by class, size and place, and tells in which zones the others are.

    An object is where the foot of its box is: the middle of the lower edge.

    Args:
        model: Name of the model, for errors.
        labels: All labels of the model, by class id.
        classes: Labels to report; None reports all.
        zones: Parts of the picture that are told apart; nothing is left out for them.
        masks: Parts of the picture in which nothing is reported.
        sizes: By label; `*` is for all that are not named.

    Raises:
        ConfigError: A label is not one of the model's.
    """

    def __init__(
        self,
        model: str,
        labels: Sequence[str],
        classes: Sequence[str] | None = None,
        zones: Sequence[Region] = (),
        masks: Sequence[Region] = (),
        sizes: Mapping[str, SizeRange] | None = None,
    ) -> None:
        self._labels, self._model = labels, model
        self._reported = None if classes is None else self._flags(classes)
        self._zones = tuple(zone.name for zone in zones)
        self._zone_shapes = [self._shape(zone) for zone in zones]
        self._mask_shapes = [self._shape(mask) for mask in masks]
        self._sizes = self._size_table(sizes or {})
        if self._zone_shapes or self._mask_shapes:
            # A tenth of a second to import: only who names places pays for it.
            from edge_detect.kernels.polygons import mark_inside
            from edge_detect.kernels.registry import prepare

            prepare(mark_inside)
            self._mark_inside = mark_inside

    @property
    def leaves_out(self) -> bool:
        """Whether it may leave anything out."""
        return self._reported is not None or bool(self._mask_shapes) or self._sizes is not None

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of the zones."""
        return self._zones

    def apply(self, found: Detections, frame: Size) -> Detections:
        """Choose.

        Args:
            found: Boxes in pixels of the frame.
            frame: Its size.

        Returns:
            The chosen ones in the same order, with their zones.
        """
        if self.leaves_out and len(found):
            keep = np.ones(len(found), np.bool_)
            if self._reported is not None:
                keep &= self._reported[found.class_ids]
            if self._sizes is not None:
                keep &= self._sized(found, frame)
            for corners, flags in self._mask_shapes:
                keep &= ~self._within(found, corners, flags, frame)
            found = found[keep]
        if not self._zone_shapes:
            return found
        inside = np.empty((len(found), len(self._zone_shapes)), np.bool_)
        for column, (corners, flags) in enumerate(self._zone_shapes):
            inside[:, column] = self._within(found, corners, flags, frame)
        return replace(found, zones=self._zones, inside=inside)

    def _within(
        self,
        found: Detections,
        corners: NDArray[np.float32],
        flags: NDArray[np.bool_] | None,
        frame: Size,
    ) -> NDArray[np.bool_]:
        out = np.empty(len(found), np.bool_)
        boxes = np.ascontiguousarray(found.boxes)
        self._mark_inside(boxes, corners, np.float32(frame.width), np.float32(frame.height), out)
        return out if flags is None else out & flags[found.class_ids]

    def _sized(self, found: Detections, frame: Size) -> NDArray[np.bool_]:
        limits = self._sizes[found.class_ids]  # type: ignore[index]  # asked for by the caller
        extent = (found.boxes[:, 2:] - found.boxes[:, :2]) / np.array(frame, np.float32)
        fits: NDArray[np.bool_] = (extent >= limits[:, :2]) & (extent <= limits[:, 2:])
        whole: NDArray[np.bool_] = np.logical_and.reduce(fits, axis=1)
        return whole

    def _shape(self, region: Region) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        corners = np.array(region.polygon, np.float32).reshape(-1, 2)
        return corners, self._flags(region.classes) if region.classes else None

    def _flags(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        flags = np.zeros(len(self._labels), np.bool_)
        flags[find_class_ids(self._model, self._labels, classes)] = True
        return flags

    def _size_table(self, sizes: Mapping[str, SizeRange]) -> NDArray[np.float32] | None:
        if not sizes:
            return None
        table = np.tile(np.array([0, 0, 1, 1], np.float32), (len(self._labels), 1))
        for label in sorted(sizes, key=lambda label: label != "*"):
            limits: Any = sizes[label]
            # Boxes are float32 and clipped to the frame: a little room at both ends.
            row = (
                limits.min_width - 1e-6,
                limits.min_height - 1e-6,
                limits.max_width + 1e-6,
                limits.max_height + 1e-6,
            )
            rows: Any = slice(None)
            if label != "*":
                rows = find_class_ids(self._model, self._labels, [label])
            table[rows] = row
        return table


def find_class_ids(model: str, labels: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The class ids of some labels.

    Args:
        model: Its name, for errors.
        labels: All its labels, by class id.
        wanted: Those to be found.

    Raises:
        ConfigError: A label is not one of the model's.
    """
    for label in wanted:
        if label not in labels:
            close = get_close_matches(label, labels, n=1)
            known = ", ".join(name for name in labels if name != "n/a")
            raise ConfigError(
                f"model {model!r} has no class {label!r}",
                f"did you mean {close[0]!r}?" if close else f"use some of {known}",
            )
    return [index for index, label in enumerate(labels) if label in set(wanted)]
