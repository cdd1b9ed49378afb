"""Agreement of two detectors is counted as average precision is on a labelled data set."""

import numpy as np
import pytest

from edge_detect.core import Detections
from edge_detect.tools.agreement import agree, average_precision


def found(*rows):
    """Detections of rows x, score, class: boxes 10 wide, 100 high."""
    boxes = np.array([[x, 0, x + 10, 100] for x, _, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], np.float32)
    class_ids = np.array([class_id for _, _, class_id in rows], np.int32)
    return Detections(boxes, scores, class_ids, ("first", "second"))


def test_detections_equal_to_the_reference_have_precision_one():
    one = found((0, 0.9, 0), (50, 0.4, 1))
    assert average_precision([(one, one)]) == 1


def test_reference_below_the_score_is_no_truth():
    reference = found((0, 0.9, 0), (50, 0.2, 1))
    assert average_precision([(reference, found((0, 0.9, 0)))]) == 1


def test_missed_truth_costs_its_share_of_recall():
    reference = found((0, 0.9, 0), (50, 0.8, 0))
    assert average_precision([(reference, found((0, 0.9, 0)))]) == 0.5


def test_wrong_detection_costs_only_what_scores_less():
    reference = found((0, 0.9, 0), (50, 0.8, 0))
    last = found((0, 0.9, 0), (50, 0.8, 0), (100, 0.7, 0))
    first = found((100, 0.95, 0), (0, 0.9, 0), (50, 0.8, 0))
    assert average_precision([(reference, last)]) == 1
    assert average_precision([(reference, first)]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("other", [(0, 0.9, 1), (8, 0.9, 0)], ids=["class", "place"])
def test_detection_of_another_class_or_place_is_no_match(other):
    assert average_precision([(found((0, 0.9, 0)), found(other))]) == 0


def test_truth_is_found_once():
    reference = found((0, 0.9, 0), (50, 0.8, 0))
    twice = found((0, 0.9, 0), (1, 0.85, 0), (50, 0.8, 0))
    assert average_precision([(reference, twice)]) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_scores_are_ranked_over_all_pictures():
    pairs = [(found((0, 0.9, 0)), found((0, 0.5, 0))), (found(), found((0, 0.6, 0)))]
    assert average_precision(pairs) == 0.5


def test_nothing_to_find_is_found():
    assert average_precision([(found(), found((0, 0.9, 0)))]) == 1


def test_agreement_counts_detections_above_the_score_only():
    reference = found((0, 0.9, 0), (50, 0.35, 0))
    candidate = found((0, 0.8, 0), (50, 0.25, 0), (99, 0.05, 0))
    result = agree([(reference, candidate)], score=0.3)
    assert (result.n_reference, result.n_candidate) == (2, 1)
    assert result.recall == 0.5
    assert result.precision == 1
    assert result.mean_score_difference == pytest.approx(0.1)
