"""Anchors are those that the models were trained with, in the order of their outputs."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from support import anchor_references as wanted

from edge_detect.core import ModelError, Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.sections.anchors import Anchors, BoxAnchors, ListedAnchors

ANCHORS = TypeAdapter(Anchors)
RATIOS = [1, 2, 0.5, 3, 0.3333]


def make(size, **table):
    """The anchors that a table `[ssd.anchors]` describes."""
    return anchor_boxes(ANCHORS.validate_python(table), Size(*size))


def assert_same(boxes, expected, count=None):
    assert boxes.dtype == np.float32
    assert len(boxes) == (len(expected) if count is None else count)
    np.testing.assert_allclose(boxes, expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("size", [(300, 300), (320, 240)])
@pytest.mark.parametrize("options", [{}, {"interpolated": 0.0}, {"reduce": False}])
def test_the_ssd_generator_is_that_of_the_object_detection_api(size, options):
    maps = [(n, n) for n in (19, 10, 5, 3, 2, 1)]
    table = {"feature_maps": maps, "min_scale": 0.2, "max_scale": 0.95, "aspect_ratios": RATIOS}
    keys = {"interpolated": "interpolated_ratio", "reduce": "reduce_lowest"}
    boxes = make(size, **table, **{keys[name]: value for name, value in options.items()})
    assert_same(boxes, wanted.ssd(size, **table, **options), None if options else 1917)


BLAZE = {"strides": [8, 16, 16, 16], "min_scale": 0.1484375, "max_scale": 0.75}


def test_blazeface_has_896_anchors_as_large_as_the_input():
    boxes = make((128, 128), kind="mediapipe", num_layers=4, fixed_anchor_size=True, **BLAZE)
    assert_same(boxes, wanted.mediapipe((128, 128), fixed=True, **BLAZE), 896)
    np.testing.assert_array_equal(
        boxes[:3], [[4, 4, 128, 128], [4, 4, 128, 128], [4, 12, 128, 128]]
    )


@pytest.mark.parametrize("size", [(256, 256), (192, 128)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduce": True},
        {"interpolated": 0.0, "aspect_ratios": [1.0, 2.0]},
        {"offset_x": 0.25, "offset_y": 0.75},
        {"maps": [(9, 7), (5, 4), (5, 4), (5, 4)]},
    ],
)
def test_mediapipes_calculator_merges_layers_of_equal_stride(size, options):
    keys = {
        "reduce": "reduce_boxes_in_lowest_layer",
        "interpolated": "interpolated_scale_aspect_ratio",
        "offset_x": "anchor_offset_x",
        "offset_y": "anchor_offset_y",
    }
    table = {keys.get(name, name): value for name, value in options.items() if name != "maps"}
    if "maps" in options:
        columns, rows = zip(*options["maps"], strict=True)
        table |= {"feature_map_width": list(columns), "feature_map_height": list(rows)}
    boxes = make(size, kind="mediapipe", **BLAZE, **table)
    assert_same(boxes, wanted.mediapipe(size, **BLAZE, **options))


def test_a_single_mediapipe_layer_has_the_mean_of_both_scales():
    one = {"strides": [32], "min_scale": 0.2, "max_scale": 0.6, "aspect_ratios": [1.0, 0.5]}
    assert_same(make((320, 320), kind="mediapipe", **one), wanted.mediapipe((320, 320), **one))


@pytest.mark.parametrize("steps", [None, [16, 32, 64, 107, 160, 320]])
def test_torchvisions_ssdlite320_has_3234_anchors(steps):
    maps = [(n, n) for n in (20, 10, 5, 3, 2, 1)]
    scales = [0.2 + 0.15 * k for k in range(6)] + [1.0]
    boxes = make(
        (320, 320),
        kind="sizes",
        feature_maps=maps,
        min_sizes=scales[:-1],
        max_sizes=scales[1:],
        aspect_ratios=[2, 3],
        unit="relative",
        clip="sizes",
        **({"steps": steps} if steps else {}),
    )
    options = {"feature_maps": maps, "ratios": [2, 3], "min_ratio": 0.2, "max_ratio": 0.95}
    expected = wanted.torchvision((320, 320), steps=steps, **options)
    assert_same(boxes, expected.clip(0, 320) if steps else expected, 3234)


@pytest.mark.parametrize("clip", ["none", "corners"])
def test_caffes_prior_boxes_run_through_the_ratios_of_each_size(clip):
    table = {
        "steps": [8, 16, 32],
        "min_sizes": [[10, 20], [40, 50], [90, 120]],
        "max_sizes": [[20, 40], [50, 90], [120, 160]],
    }
    boxes = make((160, 120), kind="sizes", aspect_ratios=[1, 2, 3], clip=clip, **table)
    assert_same(boxes, wanted.caffe((160, 120), ratios=[2, 3], clip=clip == "corners", **table))


def test_ratios_may_differ_from_map_to_map_and_stay_unflipped():
    boxes = make(
        (64, 64),
        kind="sizes",
        steps=[32, 64],
        min_sizes=[16, 32],
        aspect_ratios=[[4.0], [0.25, 1.0]],
        flip=False,
    )
    sizes = [[16, 16], [8, 32]] * 4 + [[32, 32], [64, 16]]
    np.testing.assert_allclose(boxes[:, 2:], sizes)


ULTRAFACE = {
    "steps": [8, 16, 32, 64],
    "min_sizes": [[10, 16, 24], [32, 48], [64, 96], [128, 192, 256]],
}


def test_ultraface_320_has_4420_anchors_within_the_input():
    boxes = make((320, 240), kind="sizes", clip="sizes", **ULTRAFACE)
    assert_same(boxes, wanted.sizes_alone((320, 240), **ULTRAFACE), 4420)


@pytest.mark.parametrize(
    ("side", "anchor_scale", "count"), [(512, 4.0, 49104), (320, 3.0, 19206), (384, 3.0, None)]
)
def test_efficientdets_have_nine_anchors_per_cell_of_five_levels(side, anchor_scale, count):
    ratios = [1.0, 2.0, 0.5]
    boxes = make((side, side), kind="levels", anchor_scale=anchor_scale, aspect_ratios=ratios)
    aspects = [(ratio**0.5, ratio**-0.5) for ratio in ratios]
    expected = wanted.efficientdet(
        (side, side), levels=range(3, 8), octaves=3, aspects=aspects, anchor_scale=anchor_scale
    )
    assert_same(boxes, expected, count)


def test_aspects_may_be_pairs_and_scales_lists_and_inputs_oblong():
    pairs = [(1.0, 1.0), (1.4, 0.7), (0.7, 1.4)]
    table = {"kind": "levels", "min_level": 4, "max_level": 5, "scales_per_octave": 2}
    boxes = make((200, 120), **table, aspect_ratios=pairs, anchor_scale=[4.0, 4.0])
    expected = wanted.efficientdet(
        (200, 120), levels=(4, 5), octaves=2, aspects=pairs, anchor_scale=4.0
    )
    assert_same(boxes, expected)


OBJECT_DETECTION_API = {
    "kind": "levels", "stride": "power", "offset": "divisible", "order": "ratios",
}  # fmt: skip


@pytest.mark.parametrize("size", [(320, 320), (512, 512), (640, 360)])
def test_levels_of_the_object_detection_api_begin_on_the_edge_of_odd_inputs(size):
    boxes = make(size, **OBJECT_DETECTION_API, scales_per_octave=2)
    expected = wanted.tf_levels(
        size, levels=range(3, 8), octaves=2, ratios=[1.0, 2.0, 0.5], anchor_scale=4.0
    )
    assert_same(boxes, expected)


def test_a_level_of_the_object_detection_api_has_the_corners_of_its_own_test():
    table = {"min_level": 6, "max_level": 6, "scales_per_octave": 2, "aspect_ratios": [1.0, 2.0]}
    boxes = make((64, 64), **OBJECT_DETECTION_API, **table).astype(float)
    corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    expected = [
        [-96, -96, 160, 160],
        [-149.0193, -149.0193, 213.0193, 213.0193],
        [-58.50967, -149.0193, 122.50967, 213.0193],
        [-96, -224, 160, 288],
    ]
    np.testing.assert_allclose(corners, expected, atol=1e-3)


@pytest.mark.parametrize(("unit", "factor"), [("relative", 1.0), ("pixels", 100.0)])
def test_listed_anchors_are_taken_as_they_are(unit, factor):
    rows = np.array([[0.25, 0.5, 0.1, 0.2], [0.75, 0.5, 0.4, 0.3]])
    boxes = make((200, 100), boxes=(rows * factor).tolist(), unit=unit)
    factors = [100, 200, 100, 200] if unit == "relative" else 100
    np.testing.assert_allclose(boxes, rows * factors, rtol=1e-6)


def test_tables_without_a_kind_are_told_by_their_keys():
    maps = {"feature_maps": [(1, 1)], "min_scale": 0.2, "max_scale": 0.9, "aspect_ratios": [1.0]}
    assert isinstance(ANCHORS.validate_python(maps), BoxAnchors)
    assert isinstance(ANCHORS.validate_python({"boxes": [(0.5, 0.5, 1, 1)]}), ListedAnchors)
    with pytest.raises(ValidationError, match="'pyramid'"):
        ANCHORS.validate_python(maps | {"kind": "pyramid"})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "mediapipe", "num_layers": 3, **BLAZE}, "num_layers is 3, but there are 4"),
        ({"kind": "mediapipe", "feature_map_width": [4], **BLAZE}, "has 1 entries for 4 strides"),
        ({"kind": "sizes", "min_sizes": [8]}, "steps or feature_maps are missing"),
        ({"kind": "sizes", "min_sizes": [8], "steps": [8, 16]}, "steps has 2 entries for 1"),
        (
            {"kind": "sizes", "steps": [8], "min_sizes": [[8, 9]], "max_sizes": [[9]]},
            "do not fit",
        ),
        ({"kind": "levels", "min_level": 5, "max_level": 4}, "levels 5 to 4 are none"),
        ({"kind": "levels", "anchor_scale": [4.0]}, "anchor_scale has 1 entries for 5 levels"),
    ],
)
def test_lists_that_do_not_fit_are_refused_with_their_numbers(table, message):
    with pytest.raises(ValidationError, match=message):
        ANCHORS.validate_python(table)


def test_more_anchors_than_memory_holds_are_refused_before_they_are_made():
    maps = [(1_000_000, 1_000_000)]
    table = {"feature_maps": maps, "min_scale": 0.2, "max_scale": 0.9, "aspect_ratios": [1.0]}
    with pytest.raises(ModelError, match="describes 3000000000000 anchors"):
        make((300, 300), **table)
