"""What is impossible in a model's outputs is an error, or counted and logged once."""

import numpy as np
import pytest

from edge_detect.core import ModelError
from edge_detect.kernels import candidates as places
from edge_detect.models.faults import FaultReport


@pytest.fixture
def counters():
    return np.zeros(places.SETTINGS_LENGTH)


@pytest.fixture
def report(counters):
    return FaultReport("model", 80, counters)


def test_a_class_without_label_is_an_error_before_anything_was_found(report, counters):
    counters[[places.WITHOUT_LABEL, places.CLASS_NUMBER]] = 1, 91
    with pytest.raises(ModelError, match=r"class id 91, but the manifest has 80 labels"):
        report.report(5)
    assert not counters.any()


def test_a_fractional_class_number_points_to_swapped_outputs(report, counters):
    counters[[places.WITHOUT_LABEL, places.CLASS_NUMBER]] = 1, 0.75
    with pytest.raises(ModelError, match=r"0\.75 is not a whole number") as caught:
        report.report(0)
    assert "swapped" in caught.value.hint


def test_a_class_without_label_is_a_warning_once_something_was_found(report, counters, caplog):
    report.report(1)
    for count in (2, 3):
        counters[[places.WITHOUT_LABEL, places.CLASS_NUMBER]] = count, 91
        report.report(1)
    assert caplog.text.count("class id 91") == 1
    assert "2 objects have no label" in caplog.text
    assert report.totals[places.WITHOUT_LABEL] == 5


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (places.NOT_A_SCORE, "3 scores are NaN"),
        (places.ABOVE_ONE, "3 scores are above 1, up to 7.5"),
        (places.NOT_A_BOX, "3 boxes are NaN or infinite"),
        (places.INVERTED, "3 boxes end before they begin"),
        (places.FAR_OUTSIDE, "3 boxes lie far outside"),
    ],
)
def test_every_kind_is_logged_once_and_counted_always(report, counters, caplog, kind, text):
    for _ in range(2):
        counters[[kind, places.TOP_SCORE]] = 3, 7.5
        report.report(1)
    assert len(caplog.records) == 1
    assert f"model: {text}" in caplog.text
    assert report.totals[kind] == 6
    assert not counters.any()


def test_nothing_is_said_of_a_frame_without_faults(report, caplog):
    report.report(0)
    report.report(7)
    assert not caplog.records
