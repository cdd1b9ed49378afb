"""Outputs of TFLite_Detection_PostProcess are read as they are meant, or an error says why not."""

import numpy as np
import pytest
from support import references

from edge_detect.core import ModelError
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.ssd import SsdSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

NORMAL = Thresholds(0.5, 0.5, 100)
BOX = references.plain(64)


def describe(**tensors):
    """What a model file would say about unquantized tensors."""
    return {name: TensorInfo(name, 0, array.shape, array.dtype) for name, array in tensors.items()}


def rows(count, total=4):
    """Outputs of TFLite_Detection_PostProcess with rubbish in every row."""
    return {
        "boxes": np.full((1, total, 4), np.nan, np.float32),
        "classes": np.full((1, total), 1e9, np.float32),
        "scores": np.full((1, total), 1e9, np.float32),
        "count": np.array([count], np.float32),
    }


def row_manifest(labels=3, **section):
    names = {name: name for name in ("boxes", "classes", "scores", "count")}
    section = SsdSpec(outputs=names, **section)
    return references.manifest("ssd", "postprocess", labels, 64, ssd=section)


def decode_rows(tensors, thresholds=NORMAL, labels=3, **section):
    decoder = make_decoder(row_manifest(labels, **section), describe(**tensors))
    return references.decode(decoder, tensors, BOX, thresholds)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_rows_keep_every_class_that_has_a_label_after_the_offset(offset):
    tensors = rows(3)
    tensors["boxes"][0] = [0.25, 0.25, 0.75, 0.75]
    tensors["classes"][0, :3] = np.arange(3) - offset
    tensors["scores"][0] = [0.9, 0.8, 0.7, 0.6]
    assert decode_rows(tensors, label_offset=offset).class_ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("number", "offset"), [(7, 0), (2, 1), (0, -1), (-1, 0)])
def test_a_row_whose_class_has_no_label_is_an_error_that_names_it(number, offset):
    tensors = rows(2)
    tensors["boxes"][0, :2] = [0, 0, 1, 1]
    tensors["classes"][0, :2], tensors["scores"][0, :2] = [1, number], 0.9
    with pytest.raises(ModelError, match=f"class id {number + offset}, but the manifest has 3"):
        decode_rows(tensors, label_offset=offset)


def test_once_something_was_found_a_class_without_label_is_dropped_with_a_warning(caplog):
    tensors = rows(2)
    tensors["boxes"][0, :2] = [[0, 0, 1, 1], [0, 0, 0.5, 0.5]]
    tensors["classes"][0, :2], tensors["scores"][0, :2] = [1, 2], 0.9
    decoder = make_decoder(row_manifest(), describe(**tensors))
    assert len(decoder.decode(tensors, BOX, NORMAL)) == 2
    tensors["classes"][0, 1] = 80
    assert decoder.decode(tensors, BOX, NORMAL).class_ids.tolist() == [1]
    assert "1 objects have no label, e.g. class id 80 of 3 labels" in caplog.text


@pytest.mark.parametrize("scores", [[0.9, 0.6], [0.2, 0.1]])
def test_classes_and_scores_that_are_swapped_are_told_by_their_values(scores):
    tensors = rows(2)
    tensors["boxes"][0, :2] = [0, 0, 1, 1]
    tensors["classes"][0, :2], tensors["scores"][0, :2] = scores, [0, 2]
    with pytest.raises(ModelError, match="is not a whole number") as caught:
        decode_rows(tensors)
    assert "may be swapped" in caught.value.hint


def test_without_a_count_all_rows_count():
    tensors = rows(0)
    tensors["boxes"][0], tensors["classes"][0] = [0, 0, 1, 1], 1
    tensors["scores"][0] = [0.9, 0.8, 0.3, np.nan]
    del tensors["count"]
    section = SsdSpec(outputs={name: name for name in tensors})
    spec = references.manifest("ssd", "postprocess", 3, 64, ssd=section)
    found = make_decoder(spec, describe(**tensors)).decode(tensors, BOX, NORMAL)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])


def test_outputs_whose_shapes_the_file_leaves_open_are_checked_when_they_are_there():
    tensors = rows(2, total=300)
    tensors["boxes"][0, :2], tensors["classes"][0, :2] = [0, 0, 1, 1], [0, 1]
    tensors["scores"][0, :2] = 0.9
    infos = {
        name: TensorInfo(name, 0, (), array.dtype) for name, array in describe(**tensors).items()
    }
    assert len(make_decoder(row_manifest(), infos).decode(tensors, BOX, NORMAL)) == 2
    tensors["boxes"], tensors["scores"] = tensors["scores"], tensors["boxes"]
    with pytest.raises(ModelError, match=r"boxes 'boxes' \(1, 300\), classes"):
        make_decoder(row_manifest(), infos).decode(tensors, BOX, NORMAL)


def test_a_count_among_the_rows_is_refused_with_all_shapes():
    tensors = rows(2)
    tensors["count"], tensors["scores"] = tensors["scores"], tensors["count"]
    with pytest.raises(ModelError, match=r"scores 'scores' \(1,\), count 'count' \(1, 4\)"):
        decode_rows(tensors)


def test_a_manifest_without_classes_is_refused():
    tensors = rows(2)
    section = SsdSpec(outputs={"boxes": "boxes", "scores": "scores"})
    spec = references.manifest("ssd", "postprocess", 3, 64, ssd=section)
    with pytest.raises(ModelError, match=r"ssd\.outputs\.classes is missing"):
        make_decoder(spec, describe(**tensors))


def test_boxes_in_pixels_where_parts_are_expected_are_logged(caplog):
    tensors = rows(2)
    tensors["boxes"][0, :2] = [320, 330, 480, 490]
    tensors["classes"][0, :2], tensors["scores"][0, :2] = 1, 0.9
    assert len(decode_rows(tensors)) == 0
    assert "2 boxes lie far outside of the input" in caplog.text


def test_rows_beyond_the_count_are_never_read():
    tensors = rows(2)
    tensors["boxes"][0, :2] = [[0.25, 0.5, 0.75, 1.5], [0, 0, 0.5, 0.5]]
    tensors["classes"][0, :2] = [2, 0]
    tensors["scores"][0, :2] = [0.6, 0.9]
    tensors["scores"][0, 2:] = 0.99
    tensors["boxes"][0, 2:] = [0, 0, 1, 1]
    tensors["classes"][0, 2:] = 1
    found = decode_rows(tensors)
    np.testing.assert_array_equal(found.boxes, [[0, 0, 32, 32], [32, 16, 64, 48]])
    assert found.class_ids.tolist() == [0, 2]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize(("count", "valid"), [(np.nan, 0), (-3, 0), (1e30, 4), (np.inf, 4), (0, 0)])
def test_an_absurd_count_is_held_within_the_rows(count, valid):
    tensors = rows(count)
    tensors["boxes"][...] = [0, 0, 1, 1]
    tensors["classes"][...] = 1
    tensors["scores"][...] = 0.75
    assert len(decode_rows(tensors)) == valid


def test_rows_with_absurd_scores_or_boxes_are_dropped_and_counted(caplog):
    tensors = rows(4)
    tensors["boxes"][0, :2] = [[0, 0, 1, 1], [0.9, 0, 0.1, 1]]
    tensors["classes"][0] = 1
    tensors["scores"][0] = [np.nan, 0.9, 0.9, 0.9]
    assert len(decode_rows(tensors)) == 0
    for text in ("1 scores are NaN", "2 boxes are NaN or infinite", "1 boxes end before"):
        assert text in caplog.text


@pytest.mark.parametrize("number", [np.nan, np.inf, -1e30])
def test_a_class_that_is_no_number_is_an_error(number):
    tensors = rows(1)
    tensors["boxes"][...], tensors["scores"][...] = [0, 0, 1, 1], 0.9
    tensors["classes"][...] = number
    with pytest.raises(ModelError, match="class"):
        decode_rows(tensors)


def test_the_label_offset_is_added_to_the_class_number():
    tensors = rows(1)
    tensors["boxes"][...] = [0, 0, 1, 1]
    tensors["classes"][...], tensors["scores"][...] = 1, 0.75
    assert decode_rows(tensors, label_offset=1).names == ["label 2"]
