"""Outputs of models that decode their own boxes: what does not fit is said, not dropped."""

import numpy as np
import pytest
from support import references
from support.decoded_models import manifest

from edge_detect.core import ModelError
from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import TensorInfo, Thresholds

NORMAL = Thresholds(0.5, 0.5, 100)
BOX = references.plain(64)
BOX_IN_PIXELS = [32, 32, 16, 16]


def info(name, array, scale=0.0, zero_point=0):
    return TensorInfo(name, 0, array.shape, array.dtype, scale, zero_point)


def decoder_for(tensors, labels=3, quantized=None, nms=(), **section):
    """A decoder for outputs of these names."""
    section.setdefault("outputs", {name: name for name in tensors})
    infos = {name: info(name, array, *(quantized or ())) for name, array in tensors.items()}
    return make_decoder(manifest(labels, nms=nms, **section), infos)


def decode(tensors, thresholds=NORMAL, **section):
    return references.decode(decoder_for(tensors, **section), tensors, BOX, thresholds)


def joined(rows=10, values=7):
    """Rows of a box and scores, of which the first has class 1."""
    tensor = np.zeros((1, rows, values), np.float32)
    tensor[..., :4] = BOX_IN_PIXELS
    tensor[0, 0, 5] = 0.9
    return {"joined": tensor}


def test_an_object_in_the_first_row_is_found():
    found = decode(joined())
    np.testing.assert_array_equal(found.boxes, [[24, 24, 40, 40]])
    assert found.names == ["label 1"]
    assert found.scores.tolist() == pytest.approx([0.9])


def test_values_that_do_not_fit_the_labels_are_refused_with_both_numbers():
    tensors = {"joined": np.zeros((1, 84, 8400), np.float32)}
    with pytest.raises(ModelError, match="84 values per candidate, which fit 80 labels") as caught:
        decoder_for(tensors, layout="columns")
    assert "the manifest has 3" in caught.value.message


@pytest.mark.parametrize(
    ("shape", "section", "hint"),
    [
        ((1, 7, 100), {}, 'decoded.layout = "columns"'),
        ((1, 100, 7), {"layout": "columns"}, 'decoded.layout = "rows"'),
        ((1, 100, 8), {}, "add the missing label, or set decoded.objectness = true"),
        ((1, 100, 7), {"objectness": True}, "remove one label, or set decoded.objectness = false"),
        ((1, 100, 6), {"label_offset": 2}, "objectness, first, last or label_offset"),
    ],
)
def test_the_hint_names_the_key_that_would_fit(shape, section, hint):
    with pytest.raises(ModelError) as caught:
        decoder_for({"joined": np.zeros(shape, np.float32)}, **section)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({"outputs": {}}, "names nothing"),
        ({"outputs": {"joined": "joined", "boxes": "joined"}}, "names boxes, joined"),
        ({"outputs": {"boxes": "joined", "scores": "joined"}, "objectness": True}, "do not fit"),
        ({"scores": "softmax", "objectness": True}, "has no objectness"),
        ({"classes": "index", "objectness": True}, "one score per box"),
        ({"classes": "index", "outputs": {"boxes": "joined"}}, "names boxes"),
        ({"classes": "index"}, "does not hold 6 values"),
        ({"first": 5}, "3 labels, label_offset 0, first 5"),
        ({"label_offset": -1}, "label_offset -1"),
        ({"label_offset": 3}, "label_offset 3"),
        ({"outputs": {"joined": "else"}}, "'else' that the file does not have"),
    ],
)
def test_sections_that_do_not_fit_are_refused(section, match):
    with pytest.raises(ModelError, match=match):
        decoder_for(joined(), **section)


@pytest.mark.parametrize(
    ("boxes", "objectness", "match"),
    [
        ((1, 9, 4), (1, 10, 1), "'boxes' of shape"),
        ((1, 10, 5), (1, 10, 1), "'boxes' of shape"),
        ((2, 10, 4), (1, 10, 1), "two dimensions"),
        ((1, 10, 4), (1, 9, 1), "'objectness' of shape"),
    ],
)
def test_outputs_of_different_lengths_are_refused(boxes, objectness, match):
    tensors = {
        "boxes": np.zeros(boxes, np.float32),
        "scores": np.zeros((1, 10, 3), np.float32),
        "objectness": np.zeros(objectness, np.float32),
    }
    with pytest.raises(ModelError, match=match):
        decoder_for(tensors, objectness=True)


@pytest.mark.parametrize("section", [{}, {"classes": "index", "labels": 80}])
def test_one_scale_for_pixels_and_scores_is_refused_with_its_cause(section):
    tensors = {"joined": np.zeros((1, 10, 7 if "labels" not in section else 6), np.int8)}
    with pytest.raises(ModelError, match="boxes in pixels and scores share it") as caught:
        decoder_for(tensors, quantized=(2.5, -128), **section)
    assert "relative to the input" in caught.value.hint


def test_class_numbers_that_share_a_coarse_scale_are_refused():
    tensors = {
        "boxes": np.zeros((1, 10, 4), np.float32),
        "scores": np.zeros((1, 10), np.float32),
        "classes": np.zeros((1, 10), np.uint8),
    }
    section = {"outputs": {name: name for name in tensors}, "classes": "index"}
    infos = {name: info(name, array) for name, array in tensors.items()}
    infos["classes"] = info("classes", tensors["classes"], 0.6)
    with pytest.raises(ModelError, match="class numbers cannot be told apart"):
        make_decoder(manifest(80, **section), infos)


def test_quantized_probabilities_taken_for_logits_are_refused():
    tensors = {"joined": np.zeros((1, 10, 7), np.int8)}
    with pytest.raises(ModelError, match="these are probabilities"):
        decoder_for(tensors, quantized=(0.004, -128), scores="sigmoid", unit="relative")


def test_relative_boxes_taken_for_pixels_are_refused_where_the_scale_shows_it():
    tensors = {"joined": np.zeros((1, 10, 7), np.int8)}
    with pytest.raises(ModelError, match="boxes are relative"):
        decoder_for(tensors, quantized=(0.004, -128))


@pytest.mark.parametrize("classes", ["scores", "index"])
def test_relative_boxes_taken_for_pixels_are_logged_where_values_show_it(caplog, classes):
    tensors = joined(values=7 if classes == "scores" else 6)
    tensors["joined"][..., :4] /= 64
    tensors["joined"][0, 0, 4:6] = 0.9, 1
    decode(tensors, classes=classes)
    assert "small: all 1 boxes end within the first 2 pixels" in caplog.text


def test_pixels_taken_for_relative_are_logged(caplog):
    assert len(decode(joined(), unit="relative")) == 0
    assert "small: 1 boxes lie far outside of the input" in caplog.text


def test_sizes_taken_for_corners_are_logged(caplog):
    assert len(decode(joined(), box="xyxy")) == 0
    assert "small: 1 boxes end before they begin" in caplog.text


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_logits_below_one_taken_for_probabilities_show_in_the_first_frame(caplog, layout, dtype):
    scores = np.full((1, 10, 3), -4, np.float32)
    scores[0, 0, 1] = 0.9
    tensors = {"boxes": joined()["joined"][..., :4].copy(), "scores": scores}
    if dtype == "int8":
        tensors["boxes"] = (tensors["boxes"] * 2).astype(np.int8)
        tensors["scores"] = np.round(scores / 0.05).astype(np.int8)
    if layout == "columns":
        tensors = {name: array.transpose(0, 2, 1).copy() for name, array in tensors.items()}
    infos = {
        name: info(name, array, 0.05 if dtype == "int8" else 0.0) for name, array in tensors.items()
    }
    spec = manifest(3, outputs={name: name for name in tensors}, layout=layout)
    decoder = make_decoder(spec, infos)
    for _ in range(3):
        decoder.decode(tensors, BOX, NORMAL)
    looked = [record.getMessage() for record in caplog.records if "first frame" in record.msg]
    assert len(looked) == 1
    assert 'reach from -4 to 0.9: decoded.scores = "sigmoid"' in looked[0]


def test_probabilities_taken_for_logits_show_in_the_first_frame(caplog):
    decode(joined(), scores="sigmoid")
    assert 'reach from 0 to 0.9: decoded.scores = "probability"' in caplog.text


def test_rows_that_pad_the_output_need_no_label_at_a_threshold_of_zero():
    tensors = numbered()
    tensors["joined"][0, 2:] = [0, 0, 0, 0, 0, -1]
    section = {"classes": "index", "box": "xyxy", "nms": {"method": "none"}}
    assert len(decode(tensors, Thresholds(0.0, 1.0, 100), **section)) == 2


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("objectness", [False, True])
def test_logits_taken_for_probabilities_are_logged_with_the_greatest(caplog, layout, objectness):
    tensors = joined(values=7 + objectness)
    tensors["joined"][0, 0, 5:7] = 7.5
    tensors["joined"][0, 0, 4] = 7.5 if objectness else 0
    if layout == "columns":
        tensors["joined"] = np.ascontiguousarray(tensors["joined"].transpose(0, 2, 1))
    found = decode(tensors, layout=layout, objectness=objectness)
    assert found.scores.tolist() == [1.0]
    assert "scores are above 1, up to 7.5" in caplog.text


def test_quantized_scores_above_one_are_logged_and_one_step_is_rounding(caplog):
    tensors = {
        "boxes": np.full((1, 10, 4), 30, np.uint8),
        "scores": np.zeros((1, 10, 3), np.uint8),
    }
    tensors["scores"][0, 2, 1] = 101
    decoder = decoder_for(tensors, quantized=(0.01, 0), unit="relative")
    assert decoder.decode(tensors, BOX, NORMAL).scores.tolist() == [1.0]
    assert not caplog.records
    tensors["scores"][0, 2, 1] = 250
    assert decoder.decode(tensors, BOX, NORMAL).scores.tolist() == [1.0]
    assert "1 scores are above 1, up to 2.5" in caplog.text


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("scores", ["probability", "sigmoid", "softmax"])
@pytest.mark.parametrize("rows", [10, 100])
def test_scores_that_are_nan_are_logged_and_hide_no_other(caplog, layout, scores, rows):
    tensors = joined(rows)
    low = 0.0 if scores == "probability" else -9.0
    tensors["joined"][..., 4:] = low
    tensors["joined"][0, :3, 4] = np.nan
    tensors["joined"][0, 4:7, 5] = 9.0 + low / 9 if low else 0.9
    tensors["joined"][0, 1, 6] = 9.0 if low else 0.9
    tensors["joined"][0, 5, 6] = np.nan
    if layout == "columns":
        tensors["joined"] = np.ascontiguousarray(tensors["joined"].transpose(0, 2, 1))
    found = decode(tensors, Thresholds(0.5, 1.0, 100), layout=layout, scores=scores)
    # A NaN spoils the softmax of its whole row.
    assert sorted(found.class_ids.tolist()) == ([1, 1] if scores == "softmax" else [1, 1, 1, 2])
    assert f"small: {4} scores are NaN" in caplog.text


@pytest.mark.parametrize("at", [4, 5])
def test_nan_in_objectness_or_class_is_logged(caplog, at):
    tensors = joined(values=8)
    tensors["joined"][0, 0, 4:6] = 0.9
    tensors["joined"][0, 3:5, 4:8] = 0.9
    tensors["joined"][0, 3, at : at + (3 if at == 5 else 1)] = np.nan
    assert len(decode(tensors, Thresholds(0.5, 1.0, 100), objectness=True)) == 2
    assert "small: 1 scores are NaN" in caplog.text


def test_boxes_that_are_not_finite_are_logged(caplog):
    tensors = joined()
    tensors["joined"][0, 0, 2] = np.inf
    assert len(decode(tensors)) == 0
    assert "small: 1 boxes are NaN or infinite" in caplog.text


def numbered(rows=5, number=1.0):
    """Rows of corners, a score, and a class number, of which the first two are objects."""
    tensor = np.zeros((1, rows, 6), np.float32)
    tensor[0, :2] = [[8, 8, 40, 40, 0.9, number], [9, 9, 41, 41, 0.8, 1]]
    return {"joined": tensor}


def test_end_to_end_rows_are_not_suppressed_again():
    section = {"classes": "index", "box": "xyxy", "nms": {"method": "none"}}
    found = decode(numbered(), **section)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    assert len(decode(numbered(), Thresholds(0.5, 0.5, 1), **section)) == 1
    assert len(decode(numbered(), classes="index", box="xyxy")) == 1


def test_a_class_number_without_label_is_an_error_at_the_first_frame():
    with pytest.raises(ModelError, match="small: an object has class id 3, but the manifest has 3"):
        decode(numbered(number=3), classes="index", box="xyxy")


def test_a_class_number_without_label_is_a_warning_in_later_frames(caplog):
    decoder = decoder_for(numbered(), classes="index", box="xyxy")
    assert len(decoder.decode(numbered(), BOX, NORMAL)) == 1
    assert len(decoder.decode(numbered(number=3), BOX, NORMAL)) == 1
    assert len(decoder.decode(numbered(number=-1), BOX, NORMAL)) == 1
    assert caplog.text.count("1 objects have no label, e.g. class id 3") == 1


def test_swapped_scores_and_class_numbers_are_an_error():
    tensors = {
        "boxes": numbered()["joined"][..., :4].copy(),
        "scores": np.array([[2.0, 1, 0, 0, 0]], np.float32),
        "classes": np.array([[0.9, 0.8, 0, 0, 0]], np.float32),
    }
    with pytest.raises(ModelError, match="is not a whole number"):
        decode(tensors, classes="index", box="xyxy")


@pytest.mark.parametrize("count", [np.nan, -1, 0])
def test_rows_beyond_the_count_are_never_read(count):
    tensors = {
        "boxes": np.full((1, 5, 4), np.nan, np.float32),
        "scores": np.ones((1, 5), np.float32),
        "classes": np.full((1, 5), 99, np.float32),
        "count": np.array([count], np.float32),
    }
    assert len(decode(tensors, classes="index", box="xyxy")) == 0


def test_nan_scores_of_rows_are_logged(caplog):
    tensors = numbered()
    tensors["joined"][0, 0, 4] = np.nan
    assert len(decode(tensors, classes="index", box="xyxy")) == 1
    assert "1 scores are NaN" in caplog.text


def test_one_class_without_a_dimension_of_its_own_is_read():
    tensors = {
        "boxes": np.tile(np.float32(BOX_IN_PIXELS), (1, 10, 1)),
        "scores": np.full((1, 10), 0.1, np.float32),
    }
    tensors["scores"][0, 3] = 0.9
    assert decode(tensors, labels=1).scores.tolist() == pytest.approx([0.9])


def test_thousands_of_classes_per_box_are_all_reported_with_multi_label():
    tensors = {
        "boxes": np.tile(np.float32(BOX_IN_PIXELS), (1, 70, 1)),
        "scores": np.full((1, 40, 70), 0.75, np.float32),
    }
    thresholds = Thresholds(0.5, 1.0, 10_000, multi_label=True)
    found = decode(tensors, thresholds, labels=40, layout="columns")
    assert len(found) == 2800
