"""Decoders give defined results for whatever a model puts out."""

from dataclasses import replace

import numpy as np
import pytest
from support import references

from edge_detect.core import Letterbox, ModelError, Size
from edge_detect.kernels.ssd import collect_sigmoid
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.anchors import BoxAnchors, LevelAnchors
from edge_detect.models.sections.ssd import SsdSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

NORMAL = Thresholds(0.5, 0.5, 100)
BOX = references.plain(64)


def describe(**tensors):
    """What a model file would say about unquantized tensors."""
    return {name: TensorInfo(name, 0, array.shape, array.dtype) for name, array in tensors.items()}


def ssd_tensors(score=-5.0):
    """18 boxes at their anchors, all with the same logit."""
    return {
        "boxes": np.zeros((1, 18, 4), np.float32),
        "scores": np.full((1, 18, 1), score, np.float32),
    }


def decode_ssd(tensors, thresholds=NORMAL, letterbox=BOX, **section):
    decoder = make_decoder(references.ssd_manifest(**section), describe(**tensors))
    return references.decode(decoder, tensors, letterbox, thresholds)


def test_nothing_over_the_threshold_gives_empty_arrays_of_the_right_types():
    found = decode_ssd(ssd_tensors())
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert (found.boxes.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert found.class_ids.dtype == np.int32
    assert found.labels == ("label 0",)


def test_everything_over_the_threshold_gives_at_most_max_detections():
    found = decode_ssd(ssd_tensors(5.0), Thresholds(0.0, 1.0, 7))
    assert len(found) == 7
    assert len(decode_ssd(ssd_tensors(5.0), Thresholds(0.0, 1.0, 10**9))) == 18


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_that_are_not_finite_are_dropped(bad):
    tensors = ssd_tensors(5.0)
    tensors["boxes"][0, :17, 0] = bad
    assert len(decode_ssd(tensors, Thresholds(0.5, 1.0, 100))) == 1


def test_sizes_that_overflow_are_dropped_and_huge_ones_clipped():
    tensors = ssd_tensors(5.0)
    tensors["boxes"][0, :, 2:] = 1e30
    assert len(decode_ssd(tensors)) == 0
    tensors["boxes"][0, :, 2:] = 100.0
    found = decode_ssd(tensors)
    np.testing.assert_array_equal(found.boxes, [[0, 0, 64, 64]])


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "probability"])
def test_scores_that_are_not_a_number_are_dropped(kind):
    tensors = ssd_tensors(0.0)
    tensors["scores"] = np.full((1, 18, 3), np.nan, np.float32)
    tensors["scores"][0, 5] = [0.1, 5.0, 0.2]
    everything = Thresholds(0.0, 1.0, 100)
    found = decode_ssd(tensors, everything, labels=3, scores=kind)
    assert found.class_ids.tolist() == [1]
    tensors["scores"][0, 5, 0] = np.nan
    found = decode_ssd(tensors, everything, labels=3, scores=kind)
    assert found.class_ids.tolist() == ([] if kind == "softmax" else [1])


def test_boxes_outside_the_frame_are_dropped_and_others_clipped_to_it():
    tensors = ssd_tensors(5.0)
    tensors["boxes"][0, :, 1] = 1e3
    tensors["boxes"][0, 0, 1] = 0
    letterbox = Letterbox.fit(Size(100, 50), Size(64, 64), keep_aspect=True)
    found = decode_ssd(tensors, letterbox=letterbox)
    assert len(found) == 1
    assert found.boxes.min() >= 0
    assert np.all(found.boxes[:, 2] <= 100)
    assert np.all(found.boxes[:, 3] <= 50)


def test_dropped_boxes_are_logged_once_with_their_number(caplog):
    tensors = ssd_tensors(5.0)
    tensors["boxes"][0, :17, 0] = np.nan
    decoder = make_decoder(references.ssd_manifest(), describe(**tensors))
    for _ in range(3):
        decoder.decode(tensors, BOX, NORMAL)
    assert [record.getMessage() for record in caplog.records] == [
        "small: 17 boxes are NaN or infinite (dropped) in one frame; logged once"
    ]


def test_boxes_beside_the_frame_are_no_fault_unless_they_are_far_away(caplog):
    tensors = ssd_tensors(5.0)
    widths = anchor_boxes(references.ssd_manifest().ssd.anchors, Size(64, 64))[:, 3]
    tensors["boxes"][0, :, 1] = 150 * 10 / widths
    assert len(decode_ssd(tensors)) == 0
    assert not caplog.records
    tensors["boxes"][0, :, 1] *= 10
    assert len(decode_ssd(tensors)) == 0
    assert "18 boxes lie far outside of the input" in caplog.text


def test_results_are_copies_that_the_next_call_does_not_change():
    tensors = ssd_tensors(5.0)
    decoder = make_decoder(references.ssd_manifest(), describe(**tensors))
    first = decoder.decode(tensors, BOX, NORMAL)
    before = first.boxes.copy()
    tensors["boxes"][...] = 1.0
    decoder.decode(tensors, BOX, NORMAL)
    np.testing.assert_array_equal(first.boxes, before)


def test_thresholds_may_change_from_call_to_call():
    tensors = ssd_tensors()
    tensors["scores"][0, :, 0] = np.linspace(-4, 4, 18)
    decoder = make_decoder(references.ssd_manifest(), describe(**tensors))
    counts = [
        len(decoder.decode(tensors, BOX, Thresholds(score, 1.0, room)))
        for score, room in ((0.5, 100), (0.0, 100), (0.5, 3), (0.999, 3), (0.0, 100))
    ]
    assert counts == [9, 18, 3, 0, 18]


@pytest.mark.parametrize(
    "thresholds", [Thresholds(-0.1, 0.5, 1), Thresholds(0.5, 1.1, 1), Thresholds(0.5, 0.5, 0)]
)
def test_impossible_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="must be"):
        decode_ssd(ssd_tensors(), thresholds)


def test_read_only_and_strided_tensors_are_understood_without_compiling_anything():
    tensors = ssd_tensors(5.0)
    wanted = decode_ssd(tensors)
    compiled = set(collect_sigmoid.signatures)
    tensors["boxes"].flags.writeable = False
    tensors["scores"] = np.repeat(tensors["scores"], 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(decode_ssd(tensors).boxes, wanted.boxes)
    assert set(collect_sigmoid.signatures) == compiled


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_models_that_mix_element_types_are_decoded_as_real_numbers(dtype):
    tensors = ssd_tensors()
    tensors["scores"] = np.full((1, 18, 1), -100, dtype)
    tensors["scores"][0, 3] = 20
    infos = describe(**tensors)
    infos["scores"] = TensorInfo("scores", 1, (1, 18, 1), np.dtype(dtype), 0.1, 10)
    found = make_decoder(references.ssd_manifest(), infos).decode(tensors, BOX, NORMAL)
    assert found.scores.tolist() == pytest.approx([1 / (1 + np.exp(-1))])


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
@pytest.mark.parametrize("heads", [1, 2])
def test_multi_label_reports_more_candidates_than_there_are_anchors(kind, heads):
    whole = {"boxes": ssd_tensors()["boxes"], "scores": np.full((1, 18, 40), 3, np.float32)}
    outputs = {key: [f"{key}{number}" for number in range(heads)] for key in whole}
    tensors = {
        f"{key}{number}": part
        for key, array in whole.items()
        for number, part in enumerate(np.split(array, [12], axis=1) if heads == 2 else [array])
    }
    decoder = make_decoder(
        references.ssd_manifest(40, outputs=outputs, scores=kind), describe(**tensors)
    )
    best = decoder.decode(tensors, BOX, Thresholds(0.01, 1.0, 10_000))
    every = decoder.decode(tensors, BOX, Thresholds(0.01, 1.0, 10_000, multi_label=True))
    assert (len(best), len(every)) == (18, 720)
    assert sorted(every.class_ids.tolist()) == sorted(list(range(40)) * 18)


def test_class_agnostic_suppression_crosses_classes_and_the_usual_one_does_not():
    tensors = ssd_tensors()
    tensors["scores"] = np.full((1, 18, 2), -5, np.float32)
    tensors["scores"][0, 4] = [3, 4]
    thresholds = Thresholds(0.5, 0.5, 100, multi_label=True)
    assert decode_ssd(tensors, thresholds, labels=2).class_ids.tolist() == [1, 0]
    agnostic = decode_ssd(tensors, thresholds, labels=2, nms={"class_agnostic": True})
    assert agnostic.class_ids.tolist() == [1]


@pytest.mark.parametrize("method", ["greedy", "diou", "soft"])
def test_thousands_of_identical_boxes_give_one_detection(method):
    tensors = {"scores": np.full((1, 4000, 1), 2, np.float32)}
    tensors["boxes"] = np.zeros((1, 4000, 4), np.float32)
    one_place = BoxAnchors(
        feature_maps=[(1, 1)],
        min_scale=0.5,
        max_scale=0.5,
        aspect_ratios=[1.0] * 4000,
        interpolated_ratio=0,
        reduce_lowest=False,
    )
    section = SsdSpec(outputs={"boxes": "boxes", "scores": "scores"}, anchors=one_place)
    spec = references.manifest("ssd", "raw", 1, 64, ssd=section, nms={"method": method})
    found = make_decoder(spec, describe(**tensors)).decode(tensors, BOX, NORMAL)
    np.testing.assert_array_equal(found.boxes, [[16, 16, 48, 48]])


def test_tensors_that_do_not_fit_the_anchors_are_refused():
    tensors = ssd_tensors()
    tensors["boxes"] = tensors["boxes"][:, :17]
    with pytest.raises(ModelError, match="18 anchors do not fit boxes"):
        decode_ssd(tensors)


def test_labels_that_do_not_fit_the_scores_are_refused():
    with pytest.raises(ModelError, match="2 labels do not fit"):
        decode_ssd(ssd_tensors(), labels=2, label_offset=2)


def test_a_tensor_that_the_file_does_not_have_is_named():
    tensors = ssd_tensors()
    with pytest.raises(ModelError, match="'scores' that the file does not have"):
        make_decoder(references.ssd_manifest(), describe(boxes=tensors["boxes"]))


def test_an_integer_tensor_without_scale_is_refused():
    tensors = {name: array.astype(np.int8) for name, array in ssd_tensors().items()}
    with pytest.raises(ModelError, match="int8 with scale 0"):
        decode_ssd(tensors)


def test_a_yolo_head_of_the_wrong_shape_is_refused_by_name():
    spec = references.yolo_manifest(3, joined=True)
    tensors = {
        "joined0": np.zeros((1, 2, 2, 16), np.float32),
        "joined1": np.zeros((1, 4, 4, 18), np.float32),
    }
    with pytest.raises(ModelError, match="'joined1' has shape"):
        make_decoder(spec, describe(**tensors))


def efficientdet(size=64, labels=90):
    """Manifest and tensors of an EfficientDet with one pair of outputs per level."""
    random = np.random.default_rng(3)
    anchors = LevelAnchors(kind="levels", anchor_scale=3.0)
    sides = [-(-size // 2**level) for level in range(3, 8)]
    outputs = {key: [f"{key}{level}" for level in range(5)] for key in ("boxes", "scores")}
    tensors = {}
    for boxes, scores, side in zip(outputs["boxes"], outputs["scores"], sides, strict=True):
        tensors[boxes] = random.normal(0, 0.3, (1, side, side, 36)).astype(np.float32)
        tensors[scores] = random.normal(-5, 1.5, (1, side, side, 9 * labels)).astype(np.float32)
    section = {"anchors": anchors, "box_scales": (1, 1, 1, 1), "size": size, "labels": labels}
    return section, outputs, tensors


def test_the_levels_of_an_efficientdet_are_those_of_its_joined_outputs():
    section, outputs, tensors = efficientdet()
    spec = references.ssd_manifest(outputs=outputs, **section)
    found = make_decoder(spec, describe(**tensors)).decode(tensors, BOX, NORMAL)
    joined = {
        key: np.concatenate([tensors[name].reshape(1, -1, width) for name in names], axis=1)
        for (key, names), width in zip(outputs.items(), (4, 90), strict=True)
    }
    wanted = make_decoder(references.ssd_manifest(**section), describe(**joined)).decode(
        joined, BOX, NORMAL
    )
    assert len(found) > 20
    np.testing.assert_array_equal(found.boxes, wanted.boxes)
    np.testing.assert_array_equal(found.class_ids, wanted.class_ids)


def test_levels_that_are_named_in_another_order_are_refused_with_all_shapes():
    section, outputs, tensors = efficientdet()
    outputs["boxes"] = outputs["boxes"][::-1]
    spec = references.ssd_manifest(outputs=outputs, **section)
    with pytest.raises(ModelError, match=r"boxes \(1, 1, 1, 36\) and scores \(1, 8, 8, 810\)"):
        make_decoder(spec, describe(**tensors))


def test_lists_of_outputs_must_be_of_one_length():
    _, outputs, _ = efficientdet()
    with pytest.raises(ValueError, match="outputs do not fit: 4 of boxes, 5 of scores"):
        references.ssd_manifest(outputs=outputs | {"boxes": outputs["boxes"][1:]})


@pytest.mark.parametrize(("given", "meant"), [(True, "first"), (False, "none"), ("last", "last")])
def test_the_background_may_be_given_as_a_truth_value(given, meant):
    assert references.ssd_manifest(background=given).ssd.background == meant


def test_probabilities_above_one_are_held_and_counted(caplog):
    tensors = ssd_tensors(0.0)
    tensors["scores"][0, 3:5] = [[17.0], [1.0001]]
    found = decode_ssd(tensors, Thresholds(0.5, 1.0, 100), scores="probability")
    assert found.scores.tolist() == [1.0, 1.0]
    assert "1 scores are above 1, up to 17 (taken for 1)" in caplog.text


def test_bytes_that_mean_more_than_one_are_counted_too(caplog):
    tensors = {key: np.zeros(value.shape, np.uint8) for key, value in ssd_tensors().items()}
    tensors["scores"][0, 3:5] = [[255], [51]]
    infos = describe(**tensors)
    infos = {key: replace(info, scale=0.02, zero_point=0) for key, info in infos.items()}
    spec = references.ssd_manifest(scores="probability")
    found = make_decoder(spec, infos).decode(tensors, BOX, NORMAL)
    assert found.scores.tolist() == [1.0, 1.0]
    assert "1 scores are above 1, up to 5.1" in caplog.text
