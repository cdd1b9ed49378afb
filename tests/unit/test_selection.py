"""Which of the objects that a model finds are reported, and where they stand."""

import numpy as np
import pytest

from edge_detect.core import ConfigError, Detections, Size
from edge_detect.models.selection import Region, Selection, SizeRange

LABELS = ("person", "car", "dog")
FRAME = Size(200, 100)
LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def found(*rows) -> Detections:
    """Each row: class id, x_min, y_min, x_max, y_max."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    scores = np.linspace(0.9, 0.5, len(table), dtype=np.float32)
    return Detections(table[:, 1:], scores, table[:, 0].astype(np.int32), LABELS)


def chosen(selection, detections):
    return [(each.label, round(each.box[0])) for each in selection.apply(detections, FRAME)]


def test_nothing_is_left_out_where_nothing_is_said():
    selection = Selection("m", LABELS)
    assert not selection.leaves_out
    detections = found((0, 1, 2, 3, 4), (2, 5, 5, 9, 9))
    assert selection.apply(detections, FRAME) is detections


def test_only_the_named_classes_are_reported():
    selection = Selection("m", LABELS, classes=["car", "dog"])
    detections = found((0, 1, 1, 9, 9), (1, 2, 1, 9, 9), (2, 3, 1, 9, 9))
    assert chosen(selection, detections) == [("car", 2), ("dog", 3)]


def test_a_mask_hides_what_stands_in_it_and_not_what_reaches_over_it():
    selection = Selection("m", LABELS, masks=[Region("tree", LEFT)])
    standing_left, standing_right = (0, 10, 10, 40, 90), (0, 60, 10, 190, 90)
    assert chosen(selection, found(standing_left, standing_right)) == [("person", 60)]


def test_a_mask_for_a_class_leaves_others_alone():
    selection = Selection("m", LABELS, masks=[Region("road", LEFT, ("car",))])
    assert chosen(selection, found((0, 1, 1, 9, 9), (1, 2, 1, 9, 9))) == [("person", 1)]


def test_zones_leave_nothing_out_and_tell_where_objects_stand():
    zones = [Region("left", LEFT), Region("cars", LEFT, ("car",))]
    selection = Selection("m", LABELS, zones=zones)
    told = selection.apply(found((0, 1, 1, 9, 9), (1, 2, 1, 9, 9), (1, 150, 1, 190, 9)), FRAME)
    assert [each.zones for each in told] == [("left",), ("left", "cars"), ()]
    assert told.zones == ("left", "cars")
    assert [each.zones for each in told[told.class_ids == 1]] == [("left", "cars"), ()]


def test_sizes_are_parts_of_the_picture_and_both_ends_count():
    sizes = {"person": SizeRange(min_width=0.1, max_width=0.5, min_height=0.2, max_height=1.0)}
    selection = Selection("m", LABELS, sizes=sizes)
    rows = [(0, 0, 0, 20, 20), (0, 1, 0, 20, 20), (0, 2, 0, 102, 100), (0, 3, 0, 104, 99)]
    assert chosen(selection, found(*rows)) == [("person", 0), ("person", 2)]
    assert chosen(selection, found((1, 4, 0, 5, 1))) == [("car", 4)]


def test_a_star_is_for_all_classes_that_are_not_named():
    sizes = {"dog": SizeRange(), "*": SizeRange(min_height=0.5)}
    selection = Selection("m", LABELS, sizes=sizes)
    rows = [(0, 1, 0, 9, 9), (1, 2, 0, 9, 60), (2, 3, 0, 9, 9)]
    assert chosen(selection, found(*rows)) == [("car", 2), ("dog", 3)]


@pytest.mark.parametrize(
    "options",
    [
        {"classes": ["persn"]},
        {"zones": [Region("z", LEFT, ("persn",))]},
        {"masks": [Region("z", LEFT, ("persn",))]},
        {"sizes": {"persn": SizeRange()}},
    ],
)
def test_an_unknown_label_is_an_error_that_guesses_what_was_meant(options):
    with pytest.raises(ConfigError, match=r"'persn'\n  hint: did you mean 'person'"):
        Selection("m", LABELS, **options)


def test_nothing_found_stays_nothing():
    selection = Selection("m", LABELS, ["dog"], [Region("left", LEFT)], [Region("m", LEFT)])
    told = selection.apply(Detections.empty(LABELS), FRAME)
    assert len(told) == 0
    assert told.inside.shape == (0, 1)
