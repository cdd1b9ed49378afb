"""What the user is told about how good a quantized model is."""

import pytest

from edge_detect.tools.agreement import Agreement
from edge_detect.tools.convert.report import agreement_lines


def lines(**changes):
    given = {
        "recall": 0.97,
        "precision": 0.98,
        "mean_iou": 0.95,
        "mean_score_difference": 0.02,
        "n_reference": 57,
        "n_candidate": 56,
    }
    return agreement_lines(Agreement(**{**given, **changes}), 0.25, 12)


def test_a_good_model_is_one_line_of_figures():
    """Nothing is advised where nothing is to be done."""
    (line,) = lines()
    assert line == (
        "INT8 against float on 12 pictures, score >= 0.25: recall 0.970, precision 0.980, "
        "IoU 0.950, score difference 0.020 (57 detections in float, 56 in INT8)"
    )


@pytest.mark.parametrize("changes", [{"recall": 0.5}, {"precision": 0.8}, {"mean_iou": 0.7}])
def test_a_poor_model_comes_with_advice(changes):
    """The way out: other pictures, or the float model."""
    assert "--float" in lines(**changes)[1]


def test_few_detections_are_too_few_to_judge():
    """Full agreement on little is no praise, and on nothing there are no figures."""
    assert lines(n_reference=3, recall=1.0)[1].startswith("  only 3 detections, too few to judge")
    first, advice = lines(n_reference=0, n_candidate=2, recall=1.0)
    assert first.endswith("no detections in float (2 in INT8): nothing to compare")
    assert "recall" not in first
    assert "calibrate on pictures that show the model's classes" in advice


@pytest.mark.parametrize(
    "changes",
    [
        {"n_reference": 15, "n_candidate": 102, "recall": 0.267, "precision": 0.039},
        {"n_reference": 8, "n_candidate": 2, "recall": 0.25, "precision": 1.0},
        {"n_reference": 0, "n_candidate": 7, "recall": 1.0, "precision": 0.0},
    ],
    ids=["many false ones", "most are missed", "something where there is nothing"],
)
def test_what_few_detections_cannot_excuse_is_poor(changes):
    """Chance does not make seven detections of none."""
    assert "this is poor" in lines(**changes)[-1]


def test_one_miss_of_few_may_be_chance():
    """Two of three found is no judgement."""
    assert not any("poor" in line for line in lines(n_reference=3, n_candidate=2, recall=0.66))
