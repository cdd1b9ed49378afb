"""Suppression keeps what its slow counterpart keeps, and compares no pair more than it needs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import references
from support.suppression import ARRANGEMENTS, arrangement, run_suppress, settings_for

from edge_detect.core import Letterbox, Size
from edge_detect.kernels import nms
from edge_detect.kernels.nms import map_boxes
from edge_detect.kernels.overlap import iou_matrix
from edge_detect.kernels.sort import top_k


@st.composite
def scenes(draw, limit=60):
    """Boxes with whole coordinates (so that float32 is exact), scores with ties, classes."""
    count = draw(st.integers(0, limit))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    corner = random.integers(0, 40, (count, 2))
    boxes = np.hstack([corner, corner + random.integers(1, 24, (count, 2))]).astype(np.float32)
    scores = (random.integers(1, 17, count) / 16).astype(np.float32)
    return boxes, scores, random.integers(0, draw(st.integers(1, 3)), count).astype(np.int32)


@pytest.mark.parametrize("method", ["greedy", "diou"])
@settings(max_examples=100, deadline=None)
@given(
    scene=scenes(limit=120),
    sixteenths=st.integers(0, 16),
    room=st.integers(1, 130),
    agnostic=st.booleans(),
)
def test_suppression_keeps_what_the_definition_keeps(method, scene, sixteenths, room, agnostic):
    boxes, scores, classes = scene
    # A distance-IoU is no dyadic number: stay clear of equality.
    threshold = sixteenths / 16 + (1e-4 if method == "diou" else 0)
    overlap = references.distance_iou if method == "diou" else references.iou
    wanted = references.greedy(
        boxes.astype(float), scores, classes, threshold, room, overlap, agnostic=agnostic
    )
    values = settings_for(references.plain(64), iou=threshold, method=method, agnostic=agnostic)
    found = run_suppress(boxes, scores, classes, values, room)
    np.testing.assert_array_equal(found[0], boxes[wanted])
    np.testing.assert_array_equal(found[1], scores[wanted])
    np.testing.assert_array_equal(found[2], classes[wanted])


@settings(max_examples=100, deadline=None)
@given(scene=scenes(), seed=st.integers(0, 2**32), room=st.integers(1, 70), agnostic=st.booleans())
def test_lazily_lowered_scores_of_soft_nms_equal_eagerly_lowered_ones(scene, seed, room, agnostic):
    boxes, _, classes = scene
    scores = np.random.default_rng(seed).uniform(0.1, 1, len(boxes)).astype(np.float32)
    values = settings_for(references.plain(64), score=0.1, method="soft", agnostic=agnostic)
    wanted = references.soft(boxes.astype(float), scores, classes, 0.1, room, agnostic=agnostic)
    found = run_suppress(boxes, scores, classes, values, room)
    indices = [i for i, _ in wanted]
    np.testing.assert_allclose(found[1], [score for _, score in wanted], rtol=1e-5)
    np.testing.assert_array_equal(found[0], boxes[indices])
    np.testing.assert_array_equal(found[2], classes[indices])


@settings(max_examples=50, deadline=None)
@given(scene=scenes(), agnostic=st.booleans())
def test_input_pixels_and_frame_pixels_keep_the_same_boxes(scene, agnostic):
    boxes, scores, classes = scene
    letterbox = Letterbox(0.5, 0.5, 0, 16, Size(64, 32), Size(128, 64))
    in_frame = (boxes - [0, 16, 0, 16]) * 2
    values = settings_for(letterbox, agnostic=agnostic)
    huge = Letterbox(1.0, 1.0, 0, 0, Size(128, 64), Size(128, 64))
    found = run_suppress(boxes, scores, classes, values, 100)
    wanted = run_suppress(in_frame, scores, classes, settings_for(huge, agnostic=agnostic), 100)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    keep_aspect=st.booleans(),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_boxes_come_back_from_the_letterbox_where_they_were(width, height, keep_aspect, corners):
    frame = Size(width, height)
    letterbox = Letterbox.fit(frame, Size(416, 320), keep_aspect=keep_aspect)
    box = np.array(corners) * np.tile(frame, 2)
    offset = np.tile([letterbox.offset_x, letterbox.offset_y], 2)
    inside = (box * np.tile([letterbox.scale_x, letterbox.scale_y], 2) + offset)[None]
    out = np.empty((1, 4), np.float32)
    map_boxes(inside.astype(np.float32), settings_for(letterbox), out)
    np.testing.assert_allclose(out[0], box, atol=1e-6 * 416 / min(letterbox[:2]) + 1e-3)
    map_boxes(np.float32([[-1e5, -1e5, 1e5, 1e5]]), settings_for(letterbox), out)
    np.testing.assert_array_equal(out[0], [0, 0, width, height])


@settings(max_examples=100, deadline=None)
@given(scores=st.lists(st.integers(0, 40), max_size=300), limit=st.integers(0, 310))
def test_top_k_is_a_stable_sort_by_falling_score(scores, limit):
    scores = np.array(scores, np.float32) / 40
    room = np.zeros((2, len(scores)), np.int32)
    count = top_k(scores, limit, room[0], room[1], np.zeros(256, np.int32))
    wanted = np.argsort(-scores, kind="stable")[:limit]
    assert count == len(wanted)
    np.testing.assert_array_equal(room[0, :count], wanted)


@settings(max_examples=50, deadline=None)
@given(a=scenes(limit=12), b=scenes(limit=12))
def test_the_iou_matrix_holds_the_iou_of_every_pair(a, b):
    out = np.full((len(a[0]), len(b[0])), np.nan, np.float32)
    iou_matrix(a[0], b[0], out)
    wanted = [[references.iou(x, y) for y in b[0].astype(float)] for x in a[0].astype(float)]
    np.testing.assert_allclose(out, np.array(wanted).reshape(out.shape), rtol=1e-6)


def count_comparisons(monkeypatch, boxes, values, room):
    """How many pairs of boxes suppression compares, and how many boxes it keeps.

    The kernels run uncompiled, and note each class id of a kept box that they look at.
    """
    pairs = []

    class Noted(np.ndarray):
        def __getitem__(self, place):
            pairs.append(int(place))
            return int(np.ndarray.__getitem__(self, place))

    def noting(function):
        return lambda kept, ids, *rest: function.py_func(kept, ids.view(Noted), *rest)

    for name, value in list(vars(nms).items()):
        if hasattr(value, "py_func"):
            watched = name in ("is_overlapped", "is_near", "decay_of")
            monkeypatch.setattr(nms, name, noting(value) if watched else value.py_func)
    scores = np.random.default_rng(5).uniform(0.3, 1, len(boxes)).astype(np.float32)
    classes = np.zeros(len(boxes), np.int32)
    with np.errstate(all="ignore"):
        found = run_suppress(boxes, scores, classes, values, room)
    return len(pairs), len(found[0])


@pytest.mark.parametrize("threshold", [0.45, 1.0])
@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("method", ["greedy", "diou"])
def test_a_candidate_is_compared_once_at_most_with_each_box_that_was_kept_before(
    monkeypatch, name, method, threshold
):
    count = 150
    boxes = arrangement(name, count, np.random.default_rng(5))
    values = settings_for(references.plain(416), iou=threshold, method=method)
    pairs, kept = count_comparisons(monkeypatch, boxes, values, count)
    assert pairs <= count * (count - 1) / 2
    assert pairs <= count * kept
    assert pairs == count - 1 or name != "identical" or threshold == 1.0


@pytest.mark.parametrize("method", ["greedy", "diou"])
def test_nothing_is_compared_once_as_many_are_kept_as_there_is_room_for(monkeypatch, method):
    boxes = arrangement("hardly overlapping", 150, np.random.default_rng(5))
    values = settings_for(references.plain(416), iou=0.45, method=method)
    assert count_comparisons(monkeypatch, boxes, values, 20) == (20 * 19 / 2, 20)


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_soft_nms_compares_fewer_pairs_than_lowering_all_scores_at_once_would(monkeypatch, name):
    count, room = 300, 20
    boxes = arrangement(name, count, np.random.default_rng(5))
    values = settings_for(references.plain(416), score=0.25, method="soft")
    pairs, kept = count_comparisons(monkeypatch, boxes, values, room)
    assert 1 <= kept <= room
    eager = sum(count - number for number in range(1, kept + 1))
    assert pairs <= eager
    assert pairs < eager / 4 or name in ("identical", "nested")


@pytest.mark.parametrize("threshold", [0.0, 0.45, 0.99, 1.0])
@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("method", ["greedy", "diou"])
def test_ten_thousand_candidates_are_kept_best_first(name, method, threshold):
    random = np.random.default_rng(5)
    boxes = arrangement(name, 10_000, random)
    scores = random.uniform(0.1, 1, 10_000).astype(np.float32)
    values = settings_for(references.plain(416), iou=threshold, method=method)
    found = run_suppress(boxes, scores, np.zeros(10_000, np.int32), values, 10_000)
    assert np.all(np.diff(found[1]) <= 0)
    assert len(found[0]) == 1 or name != "identical" or threshold == 1.0


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_soft_nms_keeps_a_hundred_of_ten_thousand_candidates_at_most(name):
    random = np.random.default_rng(5)
    scores = random.uniform(0.3, 1, 10_000).astype(np.float32)
    values = settings_for(references.plain(416), score=0.25, method="soft")
    boxes = arrangement(name, 10_000, random)
    found = run_suppress(boxes, scores, np.zeros(10_000, np.int32), values, 100)
    assert 1 <= len(found[0]) <= 100
