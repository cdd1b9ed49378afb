"""Which family a file is told to be, from its tensors and its graph alone."""

import json

import numpy as np
import pytest
from support.made_models import FROM_INPUT, Op, tensor, write_made

from edge_detect.core import ConfigError, ModelError
from edge_detect.models import find_model
from edge_detect.models.infer.overrides import Overrides, parse_overrides

LOGISTIC, SOFTMAX, LEAKY_RELU, EXP, TANH = 14, 25, 98, 47, 28
NOTHING = Overrides()


@pytest.fixture
def made(tmp_path):
    """Write a model of some input size and outputs; returns what is told of it."""

    def make(size, *outputs, name="model.tflite", query=None, dtype="float32", **others):
        scale = {} if dtype == "float32" else {"scale": 1 / 255, "zero_point": -128}
        image = tensor("image", (1, size[1], size[0], 3), dtype, **scale)
        outputs = [_filled(each) for each in outputs]
        path = write_made(tmp_path / name, [image], outputs, **others)
        return find_model(path, parse_overrides(query) if query else NOTHING)

    return make


def _filled(output):
    if output.values is None:
        output.values = 0
    return output


def operator(code, name="image"):
    """An operator that is there for its kind alone."""
    return {
        "operators": [Op(code, [name], ["aside"])],
        "constants": [tensor("aside", (1, 64, 64, 3), values=0)],
    }


@pytest.mark.parametrize(
    ("shape", "layout", "classes"),
    [((1, 84, 8400), "columns", 80), ((1, 6, 8400), "columns", 2), ((1, 84, 10710), None, None)],
)
def test_one_value_row_per_cell_is_a_yolov8(made, shape, layout, classes):
    if layout is None:
        with pytest.raises(ModelError, match="no known kind"):
            made((640, 640), tensor("output", shape))
        return
    spec = made((640, 640), tensor("output", shape)).spec
    assert (spec.family, spec.decoded.layout, spec.decoded.objectness) == ("decoded", layout, False)
    assert len(spec.labels) == classes
    assert spec.decoded.outputs == {"joined": "output"}


@pytest.mark.parametrize("said", ["Ultralytics YOLO11n model", "YOLOv9c, one class", "a model", ""])
def test_the_iou_threshold_does_not_depend_on_a_description(made, said):
    notes = {"description": said, "task": "detect", "names": {0: "cat", 1: "dog"}}
    files = {"metadata.json": json.dumps(notes)}
    spec = made((640, 640), tensor("output", (1, 6, 8400)), files=files).spec
    assert (spec.nms.score_threshold, spec.nms.iou_threshold) == (0.25, 0.6)


def test_an_objectness_makes_the_iou_threshold_lower(made):
    spec = made((640, 640), tensor("output", (1, 25200, 7))).spec
    assert (spec.decoded.objectness, spec.nms.iou_threshold) == (True, 0.5)


def test_a_transposed_yolov8_is_told_by_its_number_of_labels(made, tmp_path):
    (tmp_path / "model.txt").write_text("cat\ndog\n")
    spec = made((320, 320), tensor("output", (1, 2100, 6))).spec
    assert (spec.decoded.layout, spec.decoded.objectness) == ("rows", False)
    assert spec.labels == ["cat", "dog"]


def test_yolox_has_one_value_more_than_labels_and_takes_bgr_to_255(made, tmp_path):
    (tmp_path / "model.txt").write_text("cat\n")
    spec = made((320, 320), tensor("output", (1, 2100, 6)), **operator(EXP)).spec
    assert (spec.decoded.objectness, spec.input.color, spec.input.std) == (True, "bgr", 1)
    assert (spec.input.pad, spec.input.resize) == (114, "letterbox")


def test_an_exponential_in_the_graph_tells_yolox_and_a_softmax_yolov8(made):
    yolox = made((320, 320), tensor("output", (1, 2100, 9)), **operator(EXP))
    assert yolox.inferred.find("kind").value == "YOLOX"
    assert len(yolox.spec.labels) == 4
    v8 = made((320, 320), tensor("output", (1, 2100, 9)), **operator(SOFTMAX))
    assert v8.inferred.find("kind").value == "YOLOv8"
    assert len(v8.spec.labels) == 5


def test_three_rows_per_cell_are_a_yolov5(made):
    spec = made((640, 640), tensor("output", (1, 25200, 85))).spec
    assert (spec.decoded.layout, spec.decoded.objectness) == ("rows", True)
    assert len(spec.labels) == 80
    one_class = made((320, 320), tensor("output", (1, 6300, 6))).spec
    assert one_class.decoded.objectness
    assert one_class.labels == ["class 0"]


def test_a_yolox_whose_graph_has_no_exponential_has_raw_boxes(made):
    (found,) = [
        made((64, 64), tensor("output", (1, 84, 85)), **operator(3)).spec,
    ]
    assert (found.family, found.yolo.coding, found.yolo.activated) == ("yolo", "linear", True)
    assert [head.stride for head in found.yolo.heads] == [8, 16, 32]
    assert {head.outputs["joined"] for head in found.yolo.heads} == {"output"}


@pytest.mark.parametrize("rows", [300, 100])
def test_rows_of_six_are_an_end_to_end_model(made, rows):
    spec = made((640, 640), tensor("output", (1, rows, 6))).spec
    assert (spec.decoded.classes, spec.decoded.box) == ("index", "xyxy")
    assert spec.nms.method == "none"


def test_class_numbers_do_not_make_boxes_of_an_end_to_end_model_pixels(made):
    relative = tensor("output", (1, 300, 6), "int8", 0.31, -128)
    assert made((640, 640), relative).spec.decoded.unit == "relative"
    pixels = tensor("output", (1, 300, 6), "int8", 2.6, -128)
    assert made((640, 640), pixels).spec.decoded.unit == "pixels"


def test_units_of_quantized_boxes_are_told_by_their_scale(made):
    relative = tensor("output", (1, 84, 8400), "int8", 0.0045, -120)
    assert made((640, 640), relative).spec.decoded.unit == "relative"
    pixels = tensor("output", (1, 84, 8400), "int8", 2.6, -120)
    entry = made((640, 640), pixels)
    assert entry.spec.decoded.unit == "pixels"
    assert entry.inferred.find("decoded.unit").certain


def test_split_outputs_of_a_yolov8_are_told_apart(made):
    outputs = tensor("scores", (1, 80, 8400)), tensor("boxes", (1, 4, 8400))
    spec = made((640, 640), *outputs).spec
    assert spec.decoded.outputs == {"boxes": "boxes", "scores": "scores"}
    assert spec.decoded.layout == "columns"


@pytest.mark.parametrize("order", [1, -1])
def test_a_few_hundred_boxes_and_scores_are_a_detr(made, order):
    outputs = [tensor("a", (1, 300, 4)), tensor("b", (1, 300, 80))][::order]
    spec = made((640, 640), *outputs).spec
    assert spec.decoded.outputs == {"boxes": "a", "scores": "b"}
    assert (spec.decoded.box, spec.decoded.unit, spec.decoded.scores) == (
        "cxcywh",
        "relative",
        "sigmoid",
    )
    assert (spec.nms.method, spec.input.resize) == ("none", "stretch")


def test_a_detr_with_one_score_more_than_labels_ends_in_no_object(made, tmp_path):
    (tmp_path / "model.txt").write_text("cat\ndog\n")
    spec = made((640, 640), tensor("a", (1, 100, 4)), tensor("b", (1, 100, 3))).spec
    assert (spec.decoded.last, spec.decoded.scores) == (1, "softmax")


def test_ninety_one_scores_of_a_detr_are_the_ids_of_coco(made):
    spec = made((560, 560), tensor("a", (1, 300, 4)), tensor("b", (1, 300, 91))).spec
    assert (spec.decoded.first, spec.decoded.label_offset) == (1, -1)
    assert (spec.labels[0], spec.labels[89]) == ("person", "toothbrush")


def test_boxes_scores_and_class_numbers_are_told_by_name_and_type(made):
    outputs = [
        tensor("class_idx", (1, 8400), "int32"),
        tensor("boxes", (1, 8400, 4)),
        tensor("scores", (1, 8400)),
    ]
    spec = made((640, 640), *outputs).spec
    assert spec.decoded.outputs == {"boxes": "boxes", "scores": "scores", "classes": "class_idx"}
    assert spec.decoded.classes == "index"


@pytest.mark.parametrize("split", [False, True])
def test_sixteen_logits_per_side_are_a_raw_yolov8(made, split):
    outputs = []
    for stride in (32, 8, 16):
        side = 320 // stride
        if split:
            outputs += [
                tensor(f"boxes{stride}", (1, side, side, 64)),
                tensor(f"classes{stride}", (1, side, side, 3)),
            ]
        else:
            outputs.append(tensor(f"grid{stride}", (1, side, side, 67)))
    spec = made((320, 320), *outputs).spec
    assert (spec.family, spec.dfl.bins, len(spec.labels)) == ("dfl", 16, 3)
    assert [level.stride for level in spec.dfl.levels] == [8, 16, 32]
    keys = {"boxes", "classes"} if split else {"joined"}
    assert set(spec.dfl.levels[0].outputs) == keys


def test_eighty_classes_and_eight_logits_per_side_are_a_nanodet(made):
    entry = made((416, 416), tensor("output", (1, 3598, 112)))
    spec = entry.spec
    assert (spec.dfl.bins, spec.dfl.joined, spec.dfl.centre) == (8, "classes-boxes", 0)
    assert (spec.input.color, spec.input.mean) == ("bgr", (103.53, 116.28, 123.675))
    assert "dfl.scores" in entry.inferred.questions


def test_a_grid_of_few_probabilities_is_a_fomo(made):
    quantized = tensor("output", (1, 12, 12, 3), "int8", 1 / 256, -128)
    spec = made((96, 96), quantized, dtype="int8").spec
    assert (spec.family, spec.fomo.outputs, spec.fomo.background) == (
        "fomo",
        {"grid": "output"},
        True,
    )
    assert len(spec.labels) == 2


def test_grids_for_coco_get_the_anchors_of_their_network(made):
    outputs = [tensor(f"grid{side}", (1, side, side, 255)) for side in (13, 26, 52)]
    entry = made((416, 416), *outputs, **operator(LEAKY_RELU))
    heads = entry.spec.yolo.heads
    assert [(head.stride, head.anchors[0]) for head in heads] == [
        (8, (10, 13)),
        (16, (30, 61)),
        (32, (116, 90)),
    ]
    assert entry.spec.yolo.coding == "exponential"
    assert not entry.inferred.find("yolo.heads").certain
    assert "anchors of COCO" in entry.inferred.summary()


def test_the_activation_tells_how_raw_grids_are_coded(made):
    outputs = [tensor(f"grid{side}", (1, side, side, 255)) for side in (20, 40, 80)]
    assert made((640, 640), *outputs, **operator(LOGISTIC)).spec.yolo.coding == "squared"
    tanh = made((640, 640), *outputs, **operator(TANH)).spec.yolo
    assert (tanh.coding, tanh.heads[0].anchors[0]) == ("exponential", (12, 16))


def test_a_family_that_is_asked_for_tells_how_raw_grids_are_coded(made):
    outputs = [tensor(f"grid{side}", (1, side, side, 255)) for side in (20, 40, 80)]
    for family, coding in (("yolov5", "squared"), ("yolov7", "squared"), ("yolov4", "exponential")):
        entry = made((640, 640), *outputs, query={"family": family})
        assert entry.spec.yolo.coding == coding
        assert "coding" not in entry.inferred.summary()


V3 = [(10, 13), (30, 61), (116, 90)]
V4 = [(12, 16), (36, 75), (142, 110)]


@pytest.mark.parametrize(
    ("family", "code", "first", "summary"),
    [
        ("yolov7", LOGISTIC, V4, "YOLOv7 with raw grids (as asked); guessed: anchors of YOLOv7, "),
        ("yolov7", LEAKY_RELU, V3, "YOLOv7 with raw grids (as asked); guessed: anchors of YOLOv7"),
        ("yolov5", LOGISTIC, V3, "YOLOv5 with raw grids (as asked); guessed: anchors of YOLOv5"),
        ("yolov4", LEAKY_RELU, V4, "YOLOv3 with raw grids (as asked); guessed: anchors of COCO"),
    ],
)
def test_a_yolov7_has_the_anchors_of_yolov4_unless_it_is_tiny(made, family, code, first, summary):
    outputs = [tensor(f"grid{side}", (1, side, side, 255)) for side in (20, 40, 80)]
    entry = made((640, 640), *outputs, query={"family": family}, **operator(code))
    assert [head.anchors[0] for head in entry.spec.yolo.heads] == first
    assert entry.inferred.summary().startswith(summary)


def test_five_dimensional_grids_with_a_leaky_relu_may_be_a_yolov7_tiny(made):
    outputs = [tensor(f"grid{side}", (1, 3, side, side, 85)) for side in (20, 40, 80)]
    entry = made((640, 640), *outputs, **operator(LEAKY_RELU))
    assert entry.spec.yolo.coding == "squared"
    assert not entry.inferred.find("yolo.coding").certain
    assert "coding of YOLOv5" in entry.inferred.summary()
    flat = [tensor(f"grid{side}", (1, side, side, 255)) for side in (20, 40, 80)]
    entry = made((640, 640), *flat, **operator(LEAKY_RELU))
    assert entry.spec.yolo.coding == "exponential"
    assert entry.inferred.find("yolo.coding").certain


@pytest.mark.parametrize("shape", [(1, 25200, 85), (1, 85, 25200)])
def test_a_decoded_yolov7_that_is_asked_for_is_called_so(made, shape):
    query = {"family": "yolov7"}
    if shape[1] == 85:
        query["layout"] = "columns"
    entry = made((640, 640), tensor("output", shape), query=query)
    assert entry.inferred.find("kind").value == "YOLOv7"
    assert entry.spec.decoded.objectness


def test_grids_of_two_scales_for_coco_are_a_tiny_yolo(made):
    outputs = [tensor(f"grid{side}", (1, side, side, 255)) for side in (13, 26)]
    heads = made((416, 416), *outputs).spec.yolo.heads
    assert [head.anchors for head in heads] == [
        [(23, 27), (37, 58), (81, 82)],
        [(81, 82), (135, 169), (344, 319)],
    ]


def test_grids_of_other_classes_say_that_their_anchors_are_missing(made):
    outputs = [tensor(f"grid{side}", (1, side, side, 18)) for side in (5, 10)]
    with pytest.raises(ModelError, match="the anchors are not in the file") as error:
        made((160, 160), *outputs, name="my.tflite")
    assert "my.tflite?anchors=W,H" in error.value.hint
    assert "6 pairs" in error.value.hint
    anchors = {"anchors": "4,9,10,25,23,49,32,93,62,106,113,132"}
    heads = made((160, 160), *outputs, query=anchors).spec.yolo.heads
    assert [head.anchors[0] for head in heads] == [(4, 9), (32, 93)]
    with pytest.raises(ModelError, match="1 anchors for 2 grids"):
        made((160, 160), *outputs, query={"anchors": "4,9"})


def test_a_family_that_is_asked_for_goes_before_what_the_shapes_say(made):
    output = tensor("output", (1, 2100, 9))
    assert made((320, 320), output, query={"family": "yolox"}).spec.decoded.objectness
    assert not made((320, 320), output, query={"family": "yolo11"}).spec.decoded.objectness
    with pytest.raises(ConfigError, match="family must be one of ssd, "):
        made((320, 320), output, query={"family": "cat"})


def test_what_is_known_better_can_be_said_in_a_query(made):
    query = {
        "color": "bgr",
        "mean": "1,2,3",
        "std": "4",
        "resize": "stretch",
        "unit": "pixels",
        "box": "xyxy",
        "score_threshold": "0.2",
    }
    entry = made((320, 320), tensor("output", (1, 6, 2100)), query=query)
    spec = entry.spec
    assert (spec.input.color, spec.input.mean, spec.input.std) == ("bgr", (1, 2, 3), 4)
    assert (spec.input.resize, spec.decoded.unit, spec.decoded.box) == ("stretch", "pixels", "xyxy")
    assert spec.nms.score_threshold == 0.2
    assert entry.inferred.find("input.color").source == "query"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("color", "cmyk"),
        ("size", "320"),
        ("size", "0x320"),
        ("mean", "a"),
        ("mean", "1,2"),
        ("std", "0"),
        ("std", "nan"),
        ("score_threshold", "2"),
        ("label_offset", "0.5"),
        ("anchors", "1,2,3"),
        ("pad", "256"),
    ],
)
def test_impossible_values_in_a_query_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=key):
        parse_overrides({key: value})


def test_a_deviation_of_zero_is_refused_for_what_it_is():
    with pytest.raises(ConfigError, match="std must be greater than 0, got '0'"):
        parse_overrides({"std": "0"})


def test_the_values_of_the_input_may_be_the_output(made):
    """The small models of other tests are of no known family without a manifest."""
    with pytest.raises(ModelError, match=r"no detector|no known kind"):
        made((8, 8), tensor("head", (1, 4, 4, 12), values=FROM_INPUT))


def test_the_line_at_start_names_family_labels_and_guesses(made, tmp_path):
    (tmp_path / "model.txt").write_text("cat\ndog\n")
    entry = made((640, 640), tensor("output", (1, 6, 8400)))
    assert entry.inferred.summary() == (
        "YOLOv8 (from its shapes), 2 labels from model.txt; guessed: boxes in pixels, rgb, 0 to 1"
    )
    assert entry.title == "model.tflite"


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"color": "rgb"}, "rgb as asked; guessed: boxes in pixels, COCO's labels, 0 to 255"),
        ({"std": "255"}, "0 to 1 as asked; guessed: boxes in pixels, COCO's labels, bgr"),
        (
            {"mean": "127.5", "std": "127.5"},
            "-1 to 1 as asked; guessed: boxes in pixels, COCO's labels, bgr",
        ),
        (
            {"mean": "1,2,3"},
            "mean 1/2/3, deviation 1 as asked; guessed: boxes in pixels, COCO's labels, bgr",
        ),
        (
            {"mean": "123.675,116.28,103.53", "std": "58.395,57.12,57.375"},
            "mean and deviation of ImageNet as asked; guessed: boxes in pixels, COCO's labels, bgr",
        ),
        (
            {"size": "416x416", "unit": "pixels"},
            "416x416 as asked, unit pixels as asked; guessed: COCO's labels, bgr, 0 to 255",
        ),
    ],
)
def test_the_line_at_start_says_what_was_asked_instead_of_guessed(made, query, line):
    query = {"family": "yolox", **query}
    entry = made((416, 416), tensor("output", (1, 3549, 85)), query=query)
    assert entry.inferred.summary() == f"YOLOX (as asked), {line}"


def test_the_encoding_that_was_asked_for_is_in_the_line_at_start(made):
    output = tensor("output", (1, 6, 2100))
    entry = made((320, 320), output, query={"encoding": "normalized"}, dtype="int8")
    assert "normalized input as asked" in entry.inferred.summary()


def test_constants_of_a_graph_are_read_as_real_numbers(tmp_path):
    from edge_detect.models.file.graph import read_graph

    values = np.array([-1.0, 0.5, 1.0])
    path = write_made(
        tmp_path / "model.tflite",
        [tensor("image", (1, 8, 8, 3))],
        [tensor("output", (1, 3), values=0)],
        constants=[tensor("c", (3,), "int8", 0.5, 1, values=values)],
    )
    graph = read_graph(path, path.read_bytes())
    index = next(each.index for each in graph.tensors if each.name == "c")
    assert graph.constant(index).tolist() == values.tolist()
    assert graph.constant(graph.inputs[0].index) is None
