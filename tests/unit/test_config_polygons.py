"""Which corners make a zone."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detect.service.config.polygons import polygon_fault

SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
L_SHAPE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0))


@pytest.mark.parametrize(
    "corners",
    [
        SQUARE,
        SQUARE[::-1],
        L_SHAPE,
        ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.5, 1.0)),
        ((0.0, 0.0), (1.0, 0.0), (0.5, 0.001)),
    ],
    ids=["square", "the other way round", "not convex", "a corner on an edge's way", "flat"],
)
def test_simple_polygons_are_fine(corners) -> None:
    assert polygon_fault(corners) == ""


@pytest.mark.parametrize(
    ("corners", "fault"),
    [
        ((), "less than three"),
        (SQUARE[:2], "less than three"),
        ((SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]), "crosses"),
        ((*SQUARE, SQUARE[0]), "closes by itself"),
        ((SQUARE[0], *SQUARE), "corner 1 twice"),
        (((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)), "crosses or touches"),
        (((0.0, 0.0), (1.0, 0.0), (0.5, 0.0), (0.5, 1.0)), "crosses or touches"),
        (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.0), (0.0, 1.0)), "crosses or touches"),
    ],
    ids=["none", "two", "bow tie", "closed", "doubled", "line", "spike", "touching"],
)
def test_others_are_told_by_what_is_wrong_with_them(corners, fault) -> None:
    assert fault in polygon_fault(corners)


@settings(deadline=None)
@given(st.integers(3, 64), st.floats(0, 6.28), st.floats(0.01, 0.5), st.booleans())
def test_every_regular_polygon_is_fine(count, turned, radius, backwards) -> None:
    corners = [
        (
            0.5 + radius * math.cos(turned + 2 * math.pi * index / count),
            0.5 + radius * math.sin(turned + 2 * math.pi * index / count),
        )
        for index in range(count)
    ]
    assert polygon_fault(corners[::-1] if backwards else corners) == ""


# On such a grid the arithmetic is exact.
POINTS = st.tuples(*[st.integers(0, 64).map(lambda number: number / 64)] * 2)


@settings(deadline=None)
@given(st.lists(POINTS, min_size=4, max_size=8, unique=True), st.randoms(use_true_random=False))
def test_the_verdict_does_not_depend_on_where_one_begins(corners, random) -> None:
    start = random.randrange(len(corners))
    turned = [*corners[start:], *corners[:start]]
    assert bool(polygon_fault(corners)) == bool(polygon_fault(turned))
