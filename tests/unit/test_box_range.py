"""Box outputs are quantized for the anchors that have a score."""

import numpy as np
import pytest

from edge_detect.tools.convert.box_range import range_of


def boxes_and_scores(count=2000):
    random = np.random.default_rng(1)
    boxes = random.uniform(-2, 3, (count, 4)).astype(np.float32)
    return boxes, random.uniform(0, 1, count).astype(np.float32)


def test_an_anchor_without_score_does_not_widen_the_range():
    boxes, scores = boxes_and_scores()
    boxes[7, 2:], scores[7] = -80, 0.01
    low, high = range_of(boxes, scores)
    assert low == pytest.approx(-2.2, abs=0.1)
    assert high == pytest.approx(3.3, abs=0.1)


def test_an_anchor_with_a_score_does():
    boxes, scores = boxes_and_scores()
    wide = scores > 0.5
    boxes[wide] *= 4
    low, high = range_of(boxes, scores)
    assert low < -7
    assert high > 11


def test_pictures_without_objects_are_ranged_by_the_best_anchors_there_are():
    boxes, scores = boxes_and_scores()
    scores *= 0.01
    boxes[scores < np.sort(scores)[-200]] = 50
    low, high = range_of(boxes, scores)
    assert -2.5 < low < 0 < high < 3.5
