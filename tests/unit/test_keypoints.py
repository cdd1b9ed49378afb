"""Key points go with their objects, from the model to JSON and into the picture."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support import references

from edge_detect.app.detect import _as_object
from edge_detect.core import Detections, Letterbox, ModelError, Size
from edge_detect.models.decoders import make_decoder
from edge_detect.models.selection import Region, Selection
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.render import Overlay
from edge_detect.render.palette import class_colors
from edge_detect.sinks.jsonl import format_result

POINTS = np.array([[[8.04, 9.0], [20.0, 30.0]], [[40.0, -5.0], [1e9, 7.0]]], np.float32)


def found(points=POINTS):
    boxes = np.array([[4, 4, 30, 40], [30, 4, 60, 40]], np.float32)
    scores, class_ids = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int32)
    return Detections(boxes, scores, class_ids, ("face",), keypoints=points)


def test_a_part_of_the_detections_keeps_its_points():
    assert found()[1].keypoints.tolist() == POINTS[1:].tolist()
    assert found()[found().scores > 0.85].keypoints.tolist() == POINTS[:1].tolist()
    assert found(None)[1].keypoints is None
    points = next(each.keypoints for each in found())
    np.testing.assert_allclose(points, [(8.04, 9), (20, 30)], rtol=1e-6)
    assert [each.keypoints for each in found(None)] == [(), ()]


def test_zones_and_masks_keep_the_points_of_what_is_left():
    left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    selection = Selection(
        "m", ("face",), zones=[Region("right", left)], masks=[Region("left", left)]
    )
    kept = selection.apply(found(), Size(64, 64))
    assert kept.zones == ("right",)
    assert kept.keypoints.tolist() == POINTS[1:].tolist()


def test_json_has_points_where_there_are_some(result_of):
    line = json.loads(format_result(replace(result_of(), detections=found())))
    assert line["detections"][0]["keypoints"] == [[8.0, 9.0], [20.0, 30.0]]
    line = json.loads(format_result(replace(result_of(), detections=found(None))))
    assert "keypoints" not in line["detections"][0]
    described = _as_object("photo.jpg", Size(64, 64), "blaze", found(), {})
    assert described["detections"][0]["keypoints"] == [[8.04, 9.0], [20.0, 30.0]]
    described = _as_object("photo.jpg", Size(64, 64), "blaze", found(None), {})
    assert "keypoints" not in described["detections"][0]


def test_points_are_drawn_as_dots_also_beside_the_box_and_never_far_outside():
    image = np.full((320, 320, 3), 90, np.uint8)
    points = np.array([[[100, 100], [250, 60], [1e30, 5], [np.nan, 5]]], np.float32)
    Overlay(("face",)).draw(image, replace(found()[0], keypoints=points))
    color = class_colors(1)[0]
    assert image[100, 100].tolist() == list(color)
    assert image[60, 250].tolist() == list(color)
    assert (image[50:71, 240:261] != 90).any(2).sum() < 100


def decode(boxes, letterbox=None, score=4.0, **section):
    """One object for every anchor, unless the score is low."""
    outputs = {"boxes": boxes, "scores": np.full((1, 18, 1), score, np.float32)}
    infos = {key: TensorInfo(key, 0, value.shape, value.dtype) for key, value in outputs.items()}
    decoder = make_decoder(references.ssd_manifest(**section), infos)
    box = letterbox or references.plain(64)
    return references.decode(decoder, outputs, box, Thresholds(0.5, 0.1, 100))


def test_points_of_suppressed_boxes_go_with_them():
    boxes = np.zeros((1, 18, 6), np.float32)
    boxes[0, :, 4] = np.arange(18)
    found = decode(boxes)
    assert 1 < len(found) < 18
    assert found.keypoints.shape == (len(found), 1, 2)
    every = decode(boxes[..., :4])
    np.testing.assert_array_equal(found.boxes, every.boxes)
    assert every.keypoints is None


def test_points_are_mapped_to_the_frame_and_not_clipped():
    boxes = np.zeros((1, 18, 6), np.float32)
    boxes[0, :, 4:] = 1000
    letterbox = Letterbox.fit(Size(200, 100), Size(64, 64), keep_aspect=True)
    found = decode(boxes, letterbox=letterbox, box="xywh")
    assert found.keypoints[..., 0].min() > 200
    assert found.boxes.max() <= 200


def test_nothing_found_has_no_points_but_their_number():
    found = decode(np.zeros((1, 18, 16), np.float32), score=-4.0)
    assert found.keypoints.shape == (0, 6, 2)


def test_numbers_that_are_no_points_are_refused_or_ignored_on_demand():
    boxes = np.zeros((1, 18, 7), np.float32)
    with pytest.raises(ModelError, match="'boxes' has 3 numbers per anchor for x and y of"):
        decode(boxes)
    with pytest.raises(ModelError, match="'boxes' has 3 numbers per anchor for 2 key points"):
        decode(boxes, keypoints=2)
    assert decode(boxes, keypoints=0).keypoints is None
    assert decode(boxes, keypoints=1).keypoints.shape[1:] == (1, 2)
