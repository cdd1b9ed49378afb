"""Objects over time: they appear, stay and leave."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import NS_PER_S, Detection

__all__ = ["Change", "EventRules", "EventTracker", "Kind", "Sighting"]

Kind = Literal["appear", "stay", "leave"]

# What stands still keeps its centre within this part of its width and height.
_STILL = 0.25
# What stood still for so many seconds is waited for one second longer, when it is not seen.
_STILL_FOR_EACH = 4
# Overlap, plus nearness in diagonals, from which on two boxes may be one object.
_LEAST_AFFINITY = 0.3
# Absence is believed after so many results, however slow the detector is.
_MISSES = 2
_LONGEST_STAY_S = 3600.0
_MOST_OBJECTS = 200


@dataclass(slots=True, frozen=True)
class EventRules:
    """When something has happened; all in seconds.

    Attributes:
        appear_s: An object counts when it was in sight for so long.
        leave_s: It has gone when it was not seen for so long.
        parked_s: The most that `leave_s` grows to for what had stood still for long: what a
            detector loses and finds again at the same place never went away.
        stay_s: From `appear` to the first `stay`; the time to the next one doubles.
    """

    appear_s: float
    leave_s: float
    parked_s: float
    stay_s: float


class Sighting(NamedTuple):
    """One detection, with its box in parts of the picture: x_min, y_min, x_max, y_max."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    zones: tuple[str, ...]
    mid: str = ""

    @classmethod
    def of(cls, found: Detection, width: int, height: int) -> "Sighting":
        """Take over a detection.

        Args:
            found: With its box in pixels.
            width: Of the frame, in pixels.
            height: Of the frame, in pixels.
        """
        left, top, right, bottom = found.box
        box = (left / width, top / height, right / width, bottom / height)
        return cls(found.label, found.score, box, found.zones, found.mid)


class Change(NamedTuple):
    """Something that happened to an object.

    Attributes:
        kind: What.
        number: Of the object; no other of this tracker has it.
        newest: How it was seen last.
        score: The best so far.
        zones: Where it stands; with `leave`, all that it was in.
        began_ns: When it was seen first, on the clock of `captured_ns`.
        seen_ns: When it was seen last.
        reason: Of `leave`: why it is taken for gone.
    """

    kind: Kind
    number: int
    newest: Sighting
    score: float
    zones: tuple[str, ...]
    began_ns: int
    seen_ns: int
    reason: str = ""


@dataclass(slots=True)
class _Object:
    """What is known of one object; it counts once it has a number."""

    newest: Sighting
    began_ns: int
    seen_ns: int
    score: float
    rest_box: tuple[float, float, float, float]
    rest_ns: int
    number: int | None = None
    zones: dict[str, None] = field(default_factory=dict)
    hits: int = 1
    results: int = 1
    misses: int = 0
    next_stay_ns: int = 0
    stay_s: float = 0.0

    def see(self, sighting: Sighting, at_ns: int) -> None:
        """Take in the next sight of it."""
        self.newest, self.seen_ns = sighting, at_ns
        self.score = max(self.score, sighting.score)
        self.zones.update(dict.fromkeys(sighting.zones))
        self.hits += 1
        self.misses = 0
        (left, top, right, bottom), (was_left, was_top, was_right, was_bottom) = (
            sighting.box,
            self.rest_box,
        )
        # Twice the way of the centre.
        across = abs(left + right - was_left - was_right)
        along = abs(top + bottom - was_top - was_bottom)
        if across > 2 * _STILL * (right - left) or along > 2 * _STILL * (bottom - top):
            self.rest_box, self.rest_ns = sighting.box, at_ns

    def change(self, kind: Kind, number: int, reason: str = "") -> Change:
        zones = tuple(self.zones) if kind == "leave" else self.newest.zones
        return Change(
            kind, number, self.newest, self.score, zones, self.began_ns, self.seen_ns, reason
        )


class EventTracker:
    """Follows objects from result to result, so that each is told of once.

    A detection goes on with the object of its class that it overlaps most, or is nearest to.
    That is enough to tell new objects from known ones; who is who, when two of a class meet,
    is left open. What flashes up for a moment never counts. Time is that of the frames, so
    neither the rate nor pauses of the detector matter.

    Args:
        rules: When something has happened.
    """

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._objects: list[_Object] = []
        self._numbers = count(1)
        self._newest_ns: int | None = None

    @property
    def newest_ns(self) -> int | None:
        """Capture time of the newest result; None before the first."""
        return self._newest_ns

    def counts(self) -> dict[tuple[str, str], int]:
        """How many objects of each class stand in each zone; "" is the whole picture."""
        found: dict[tuple[str, str], int] = {}
        for known in self._objects:
            if known.number is not None:
                for zone in ("", *known.newest.zones):
                    key = (zone, known.newest.label)
                    found[key] = found.get(key, 0) + 1
        return found

    def update(self, sightings: Sequence[Sighting], at_ns: int) -> list[Change]:
        """Take in one result.

        Args:
            sightings: All that was found, best first.
            at_ns: When the frame was captured; later than at the call before, or ignored.

        Returns:
            What has happened.
        """
        if self._newest_ns is not None and at_ns <= self._newest_ns:
            return []
        self._newest_ns = at_ns
        for known in self._objects:
            known.results += 1
            known.misses += 1
        new = self._match(sightings, at_ns)
        changes = self._judge(at_ns)
        room = _MOST_OBJECTS - len(self._objects)
        self._objects += [
            _Object(
                each, at_ns, at_ns, each.score, each.box, at_ns, zones=dict.fromkeys(each.zones)
            )
            for each in new[:room]
        ]
        if self._rules.appear_s == 0:
            changes += self._judge(at_ns)
        return changes

    def end_all(self, reason: str) -> list[Change]:
        """Take all objects for gone, because nothing is seen any longer.

        Args:
            reason: Why.
        """
        changes = [
            known.change("leave", known.number, reason)
            for known in self._objects
            if known.number is not None
        ]
        self._objects.clear()
        return changes

    def _match(self, sightings: Sequence[Sighting], at_ns: int) -> list[Sighting]:
        """Give detections to objects, the surest pair first.

        Returns:
            Those that belong to none.
        """
        if not self._objects or not sightings:
            return list(sightings)
        affinity = _affinities(
            np.array([known.newest.box for known in self._objects]),
            np.array([each.box for each in sightings]),
        )
        numbers: dict[str, int] = {}
        ours, theirs = (
            np.array([numbers.setdefault(each.label, len(numbers)) for each in group])
            for group in ([known.newest for known in self._objects], sightings)
        )
        affinity[ours[:, None] != theirs] = 0.0
        free = set(range(len(sightings)))
        taken: set[int] = set()
        # A stable sort, so that equal pairs are told apart by their order alone.
        order = np.argsort(-affinity, axis=None, kind="stable")
        for place in order.tolist():
            row, column = divmod(place, len(sightings))
            if affinity[row, column] < _LEAST_AFFINITY:
                break
            if row not in taken and column in free:
                taken.add(row)
                free.remove(column)
                self._objects[row].see(sightings[column], at_ns)
        return [sightings[column] for column in sorted(free)]

    def _judge(self, at_ns: int) -> list[Change]:
        """Find out what has happened by now, and forget what has gone."""
        changes: list[Change] = []
        kept: list[_Object] = []
        for known in self._objects:
            if known.number is None:
                if self._is_real(known, at_ns):
                    known.number = next(self._numbers)
                    known.stay_s = self._rules.stay_s
                    known.next_stay_ns = at_ns + round(known.stay_s * NS_PER_S)
                    changes.append(known.change("appear", known.number))
                elif known.hits <= known.misses >= _MISSES or self._is_gone(known, at_ns):
                    continue
            elif self._is_gone(known, at_ns):
                changes.append(known.change("leave", known.number, "out of sight"))
                continue
            elif at_ns >= known.next_stay_ns and not known.misses:
                known.stay_s = min(known.stay_s * 2, _LONGEST_STAY_S)
                known.next_stay_ns = at_ns + round(known.stay_s * NS_PER_S)
                changes.append(known.change("stay", known.number))
            kept.append(known)
        self._objects = kept
        return changes

    def _is_real(self, known: _Object, at_ns: int) -> bool:
        """Whether it was in sight for long enough, in most results, and is now."""
        if known.misses:
            return False
        old_enough = at_ns - known.began_ns >= self._rules.appear_s * NS_PER_S
        often_enough = known.hits * 2 >= known.results and (
            known.hits > 1 or self._rules.appear_s == 0
        )
        return old_enough and often_enough

    def _is_gone(self, known: _Object, at_ns: int) -> bool:
        """Whether it was out of sight for long enough, and in more than one result."""
        if known.misses < _MISSES:
            return False
        still_ns = known.seen_ns - known.rest_ns
        patience_ns = min(still_ns // _STILL_FOR_EACH, round(self._rules.parked_s * NS_PER_S))
        return at_ns - known.seen_ns >= max(round(self._rules.leave_s * NS_PER_S), patience_ns)


def _affinities(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Overlap (intersection over union) plus nearness, 0 to 2, of all pairs of boxes.

    Args:
        ours: (n, 4), x_min, y_min, x_max, y_max.
        theirs: (m, 4).

    Returns:
        (n, m).
    """
    ours, theirs = ours[:, None], theirs[None]
    low, high = (
        np.maximum(ours[..., :2], theirs[..., :2]),
        np.minimum(ours[..., 2:], theirs[..., 2:]),
    )
    shared = np.maximum(high - low, 0)
    shared_area = shared[..., 0] * shared[..., 1]
    sides = [boxes[..., 2:] - boxes[..., :2] for boxes in (ours, theirs)]
    areas = [each[..., 0] * each[..., 1] for each in sides]
    diagonals = [np.hypot(each[..., 0], each[..., 1]) for each in sides]
    # Twice the way between the centres, against the sum of the diagonals.
    way = ours[..., :2] + ours[..., 2:] - theirs[..., :2] - theirs[..., 2:]
    apart = np.hypot(way[..., 0], way[..., 1])
    overlap = shared_area / np.maximum(areas[0] + areas[1] - shared_area, 1e-12)
    nearness = 1 - apart / np.maximum(diagonals[0] + diagonals[1], 1e-9)
    return np.asarray(overlap + np.maximum(nearness, 0))
