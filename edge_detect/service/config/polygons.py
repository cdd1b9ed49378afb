"""Whether the corners of a zone make a polygon."""

from collections.abc import Sequence

__all__ = ["polygon_fault"]

Point = tuple[float, float]

# Shares of the picture's area: less is no pixel even of a large picture.
_LEAST_AREA = 1e-7


def polygon_fault(corners: Sequence[Point]) -> str:
    """What is wrong with a polygon, in words that follow its name; empty if nothing is.

    Args:
        corners: In order, either way round; the last is joined to the first.
    """
    count = len(corners)
    if count < 3:
        return "has less than three corners"
    if corners[0] == corners[-1]:
        return "ends with the corner that it begins with, which closes by itself"
    for index in range(count - 1):
        if corners[index] == corners[index + 1]:
            return f"has corner {index + 1} twice"
    edges = [(corners[index], corners[(index + 1) % count]) for index in range(count)]
    for first in range(count):
        for second in range(first + 1, count):
            adjacent = second == first + 1 or (first == 0 and second == count - 1)
            if (
                _folds(edges[first], edges[second])
                if adjacent
                else _meet(edges[first], edges[second])
            ):
                return f"crosses or touches itself: edge {first + 1} and edge {second + 1}"
    return "" if _area(corners) >= _LEAST_AREA else "has no area"


def _area(corners: Sequence[Point]) -> float:
    """By the shoelace formula."""
    following = [*corners[1:], corners[0]]
    return abs(sum(_cross(one, other) for one, other in zip(corners, following, strict=True))) / 2


def _cross(one: Point, other: Point) -> float:
    return one[0] * other[1] - one[1] * other[0]


def _side(origin: Point, end: Point, point: Point) -> float:
    """Positive where the point is to the one side of the line, negative on the other."""
    along = (end[0] - origin[0], end[1] - origin[1])
    return _cross(along, (point[0] - origin[0], point[1] - origin[1]))


def _within(one: Point, other: Point, point: Point) -> bool:
    """Whether a point on the line through two others lies between them."""
    return (
        min(one[0], other[0]) <= point[0] <= max(one[0], other[0])
        and min(one[1], other[1]) <= point[1] <= max(one[1], other[1])
    )  # fmt: skip


def _meet(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """Whether two edges have a point in common."""
    sides = [
        _side(*first, second[0]),
        _side(*first, second[1]),
        _side(*second, first[0]),
        _side(*second, first[1]),
    ]
    if all(sides) and (sides[0] < 0) != (sides[1] < 0) and (sides[2] < 0) != (sides[3] < 0):
        return True
    ends = [
        (first, second[0]),
        (first, second[1]),
        (second, first[0]),
        (second, first[1]),
    ]
    return any(
        side == 0 and _within(*edge, point) for side, (edge, point) in zip(sides, ends, strict=True)
    )


def _folds(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """Whether two edges with one corner in common lie upon each other."""
    shared = first[1] if first[1] in second else first[0]
    one = first[0] if shared == first[1] else first[1]
    other = second[1] if shared == second[0] else second[0]
    if _side(shared, one, other) != 0:
        return False
    ahead = (one[0] - shared[0]) * (other[0] - shared[0])
    ahead += (one[1] - shared[1]) * (other[1] - shared[1])
    return ahead > 0
