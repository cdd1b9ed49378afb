"""The error by which the quantizer chooses sees what a detector's user would see."""

import numpy as np
import pytest
from support import yolo_references as yolo

from edge_detect.tools.convert.output_error import decode_head, output_error
from edge_detect.tools.convert.output_heads import logit_outputs, output_heads

BOXES = np.array([[0, 0, 1, 1], [2, 2, 1, 2]], np.float32)
SCORES = np.array([[0.9, 0.1], [0.01, 0.01]], np.float32)


def error_of(boxes, scores):
    return output_error([[(BOXES, SCORES)]], [[(boxes, scores)]])


def test_equal_outputs_have_no_error():
    assert error_of(BOXES, SCORES) == pytest.approx(0, abs=1e-6)


def test_box_that_misses_a_sure_object_costs_all_and_an_unsure_one_next_to_nothing():
    sure, unsure = BOXES.copy(), BOXES.copy()
    sure[0, 0] += 5
    unsure[1, 0] += 5
    assert error_of(sure, SCORES) == pytest.approx(1, abs=1e-3)
    assert error_of(unsure, SCORES) < 1e-3


def test_score_of_nothing_found_has_the_error_one():
    assert error_of(BOXES, np.zeros_like(SCORES)) == pytest.approx(1)


def test_boxes_moved_by_half_their_width_overlap_by_a_third():
    moved = BOXES + np.float32([0.5, 0, 0, 0])
    assert error_of(moved, SCORES) == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("classes", ["sigmoid", "softmax"])
@pytest.mark.parametrize("coding", ["exponential", "squared", "linear"])
def test_outputs_of_a_yolo_are_compared_as_its_coding_says(coding, classes, activated):
    """Boxes in units of their anchors, without the cell: only differences matter."""
    random = np.random.default_rng(5)
    anchors = [(16.0, 32.0), (32.0, 8.0)]
    manifest = {
        "family": "yolo",
        "head": "split",
        "yolo": {
            "coding": coding,
            "activated": activated,
            "classes": classes,
            "heads": [
                {
                    "stride": 32,
                    "anchors": anchors,
                    "outputs": {"boxes": "b", "objectness": "o", "classes": "c"},
                }
            ],
        },
    }
    (head,) = output_heads(manifest)
    low, high = (0, 1) if activated else (-2, 2)
    values = random.uniform(low, high, (3, 2, 9)).astype(np.float32)
    reals = {"b": values[..., :4], "o": values[..., 4:5], "c": values[..., 5:]}
    boxes, scores = decode_head(reals, head)
    how = {"coding": coding, "activated": activated}
    stretch = 2 if coding == "squared" else 1
    for cell, number in np.ndindex(3, 2):
        row = values[cell, number].astype(np.float64)
        anchor = anchors[number]
        edges = yolo.box_of(row[:4], 0, 0, anchor, 32, scale_x_y=stretch, **how)
        size = (edges[2] - edges[0]) / anchor[0], (edges[3] - edges[1]) / anchor[1]
        # A stretched centre is off by the same for all, which no difference shows.
        shift = 16 * (stretch - 1)
        centre = [(edges[i] + edges[i + 2]) / 2 + shift for i in (0, 1)]
        wanted = [centre[0] / anchor[0], centre[1] / anchor[1], *size]
        np.testing.assert_allclose(boxes[2 * cell + number], wanted, rtol=1e-4)
        objectness = row[4] if activated else yolo.sigmoid(row[4])
        chances = yolo.chances_of(row[5:], classes=classes, activated=activated)
        np.testing.assert_allclose(scores[2 * cell + number], objectness * chances, rtol=1e-4)


@pytest.mark.parametrize("bins", [1, 8])
def test_distances_to_the_sides_give_boxes_around_their_cells(bins):
    random = np.random.default_rng(6)
    level = {"stride": 8, "outputs": {"boxes": "b", "classes": "c"}}
    manifest = {"family": "dfl", "dfl": {"levels": [level], "bins": bins}}
    (head,) = output_heads(manifest)
    raw = random.uniform(0, 3, (2, 5, 4 * bins)).astype(np.float32)
    logits = random.uniform(-3, 3, (2, 5, 3)).astype(np.float32)
    boxes, scores = decode_head({"b": raw, "c": logits}, head)
    assert logit_outputs(manifest) == ["c"]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits.reshape(-1, 3))), rtol=1e-5)
    for box, sides in zip(boxes, raw.reshape(-1, 4, bins), strict=True):
        shares = np.exp(sides) / np.exp(sides).sum(axis=1, keepdims=True)
        left, top, right, bottom = sides[:, 0] if bins == 1 else shares @ np.arange(bins)
        edges = [box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2]
        np.testing.assert_allclose(edges, [-left, -top, right, bottom], atol=1e-5)


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("order", ["cxcywh", "xywh", "xyxy"])
def test_boxes_that_the_graph_decodes_are_compared_as_they_are(order, layout):
    section = {"outputs": {"joined": "o"}, "layout": layout, "box": order, "objectness": True}
    (head,) = output_heads({"family": "decoded", "decoded": section})
    rows = {
        "cxcywh": [5, 5, 4, 2, 0.5, 0.2, 0.8],
        "xywh": [3, 4, 4, 2, 0.5, 0.2, 0.8],
        "xyxy": [3, 4, 7, 6, 0.5, 0.2, 0.8],
    }
    values = np.array([rows[order]] * 3, np.float32)
    tensor = values[None] if layout == "rows" else values.T[None]
    boxes, scores = decode_head({"o": tensor}, head)
    np.testing.assert_allclose(boxes, [[5, 5, 4, 2]] * 3)
    np.testing.assert_allclose(scores, [[0.1, 0.4]] * 3, rtol=1e-6)


def test_no_object_takes_part_in_the_softmax_and_is_no_score():
    outputs = {"boxes": "b", "scores": "s"}
    section = {"outputs": outputs, "scores": "softmax", "last": 1}
    (head,) = output_heads({"family": "decoded", "decoded": section})
    reals = {"b": np.ones((1, 1, 4), np.float32), "s": np.zeros((1, 1, 4), np.float32)}
    np.testing.assert_allclose(decode_head(reals, head)[1], [[0.25, 0.25, 0.25]])


@pytest.mark.parametrize(
    "manifest",
    [
        {"family": "fomo", "fomo": {"outputs": {"scores": "s"}}},
        {"family": "ssd", "head": "postprocess", "ssd": {"outputs": {"boxes": "b"}}},
        {"family": "ssd", "ssd": {"outputs": {"boxes": "b", "scores": "s"}, "coding": "corners"}},
        {
            "family": "dfl",
            "dfl": {"levels": [{"stride": 8, "outputs": {"joined": "j"}}], "bins": 8},
        },
    ],
    ids=["fomo", "after suppression", "another coding", "joined"],
)
def test_outputs_that_no_error_is_defined_for_have_no_heads(manifest):
    assert output_heads(manifest) == []


def test_heads_of_an_ssd_with_a_tensor_per_feature_map_go_together():
    outputs = {"boxes": ["b0", "b1"], "scores": ["s0", "s1"]}
    manifest = {"family": "ssd", "ssd": {"outputs": outputs, "box_scales": [10, 8, 5, 4]}}
    first, second = output_heads(manifest)
    assert (first.boxes, first.scores, second.boxes) == ("b0", ("s0",), "b1")
    np.testing.assert_allclose(first.centre, [1 / 10, 1 / 8])
    np.testing.assert_allclose(first.size, [1 / 5, 1 / 4])
    assert logit_outputs(manifest) == ["s0", "s1"]


def test_key_points_beside_a_box_are_no_part_of_it():
    section = {
        "outputs": {"boxes": "b", "scores": "s"},
        "coding": "linear",
        "box": "xywh",
        "box_scales": [128, 128, 128, 128],
    }
    (head,) = output_heads({"family": "ssd", "ssd": section})
    rows = np.array([[64, 32, 32, 16, *range(12)], [0, 0, 128, -5, *range(12)]], np.float32)
    reals = {"b": rows[None], "s": np.zeros((1, 2, 1), np.float32)}
    boxes, scores = decode_head(reals, head)
    np.testing.assert_allclose(boxes, [[0.5, 0.25, 0.25, 0.125], [0, 0, 1, 0]])
    np.testing.assert_allclose(scores, [[0.5], [0.5]])


def test_nothing_found_by_either_is_no_difference():
    nothing = [[(BOXES, np.zeros_like(SCORES))]]
    assert output_error(nothing, nothing) == 0
