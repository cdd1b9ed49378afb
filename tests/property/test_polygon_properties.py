"""Which objects stand inside a polygon, against a slow and obvious way."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_detect.kernels.polygons import mark_inside

SHARE = st.floats(0, 1, width=32)
WIDTH, HEIGHT = 640.0, 360.0


def marked(boxes, corners):
    out = np.empty(len(boxes), np.bool_)
    mark_inside(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(corners, np.float32),
        np.float32(WIDTH),
        np.float32(HEIGHT),
        out,
    )
    return out.tolist()


def turns_around(x, y, corners):
    """How often the outline goes round a point: the sum of the angles at which it sees edges."""
    angles = np.arctan2(np.array(corners)[:, 1] - y, np.array(corners)[:, 0] - x)
    steps = np.diff(np.append(angles, angles[0]))
    return round(float(np.sum((steps + np.pi) % (2 * np.pi) - np.pi)) / (2 * np.pi))


def distance_to_outline(x, y, corners):
    corners = np.array(corners, float)
    nearest = np.inf
    for begin, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = end - begin
        length = float(along @ along)
        share = np.clip((np.array([x, y]) - begin) @ along / length, 0, 1) if length else 0.0
        nearest = min(nearest, float(np.hypot(*(begin + share * along - (x, y)))))
    return nearest


@given(st.tuples(SHARE, SHARE), st.lists(st.tuples(SHARE, SHARE), min_size=3, max_size=8))
def test_a_foot_is_inside_exactly_when_the_outline_goes_round_it_an_odd_number_of_times(
    foot, corners
):
    x, y = foot[0] * WIDTH, foot[1] * HEIGHT + 0.5
    box = (x - 10, y - 40, x + 10, y)
    near = ((box[0] + box[2]) / 2 / WIDTH, (box[3] - 0.5) / HEIGHT)
    # On the outline itself, rounding decides.
    assume(distance_to_outline(*near, corners) >= 1e-4)
    assert marked([box], corners) == [turns_around(*near, corners) % 2 == 1]


@given(st.floats(0, 1 - 1 / 64, width=32), st.floats(0, 1 - 1 / 64, width=32), st.floats(1 / 64, 1))
def test_what_stands_on_the_pictures_lower_edge_is_inside_a_polygon_that_reaches_it(
    left, top, width
):
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    x_max = min(WIDTH, (left + width) * WIDTH)
    assert marked([(left * WIDTH, top * HEIGHT, x_max, HEIGHT)], corners) == [True]


@pytest.mark.parametrize("corners", [[(0.2, 0.5)] * 3, [(0, 0), (1, 1), (0.5, 0.5)]])
def test_a_polygon_without_an_area_holds_nothing(corners):
    boxes = [(x, 100.0, x + 20, y) for x in range(0, 600, 40) for y in range(110, 350, 30)]
    assert not any(marked(boxes, corners))
