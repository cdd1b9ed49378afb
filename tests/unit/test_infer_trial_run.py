"""What one inference on the synthetic picture tells, and what it leaves a guess."""

import numpy as np
import pytest
from support.made_models import tensor, write_made

from edge_detect.core import ModelError
from edge_detect.models import load_model

IMAGE = tensor("image", (1, 64, 64, 3))
BOX = [16, 24, 48, 40]


@pytest.fixture
def load(tmp_path):
    def open_made(outputs, query="", **others):
        path = write_made(tmp_path / "m.tflite", [IMAGE], outputs, **others)
        return load_model(f"{path}{query}", accelerator="cpu")

    return open_made


def find(detector):
    found = detector(np.zeros((64, 64, 3), np.uint8))
    return [
        (name, round(float(score), 3), [round(float(edge), 2) for edge in box])
        for name, score, box in zip(found.names, found.scores, found.boxes, strict=True)
    ]


def joined(*rows, count=300):
    values = np.zeros((1, count, 6))
    values[0, : len(rows)] = rows
    return tensor("rows", values.shape, values=values)


def test_rows_that_pad_the_output_do_not_make_boxes_relative(load):
    with load([joined([*BOX, 0.9, 3])]) as detector:
        assert find(detector) == [("motorcycle", 0.9, BOX)]
        assert "boxes in pixels" in detector.inferred.summary()


def test_rows_without_a_score_do_not_tell_the_unit(load):
    padding = [[0.5, 0.5, 0.5, 0.5, 0.0, 0]] * 200
    with load([joined([*BOX, 0.9, 3], [*BOX, 0.5, 3], [*BOX, 0.4, 3], *padding)]) as detector:
        assert detector.spec.decoded.unit == "pixels"
        assert detector.inferred.find("decoded.unit").certain


def test_one_box_in_parts_of_the_input_is_still_a_guess(load):
    with load([joined([0.25, 0.375, 0.75, 0.625, 0.9, 3])]) as detector:
        assert find(detector) == [("motorcycle", 0.9, BOX)]
        assert "guessed: boxes in parts of the input" in detector.inferred.summary()


def test_rows_beyond_the_count_do_not_tell_the_unit(load):
    boxes, scores = np.full((1, 25, 4), 0.5), np.full((1, 25), 0.9)
    boxes[0, :3] = BOX
    outputs = [
        tensor("b", boxes.shape, values=boxes),
        tensor("scores", scores.shape, values=scores),
        tensor("ids", (1, 25), "int32", values=np.ones((1, 25))),
        tensor("n", (1,), values=[3]),
    ]
    with load(outputs, "?box=xyxy") as detector:
        assert detector.spec.decoded.unit == "pixels"
        assert find(detector) == [("bicycle", 0.9, BOX)]


def test_one_value_above_1_does_not_make_probabilities_logits(load, caplog):
    values = np.zeros((1, 6, 84))
    values[0, :4] = np.reshape([32, 32, 16, 16], (4, 1))
    values[0, 4] = 0.01
    values[0, 5, 7] = 1.02
    with load([tensor("o", values.shape, values=values)]) as detector:
        assert detector.spec.decoded.scores == "probability"
        assert find(detector) == [("class 1", 1.0, [24, 24, 40, 40])]
        assert "1 scores are above 1, up to 1.02" in caplog.text


def test_scores_without_one_below_0_are_reported_as_no_logits(load, caplog):
    values = np.zeros((1, 6, 84))
    values[0, :4] = np.reshape([32, 32, 16, 16], (4, 1))
    values[0, 5, 7] = 1.02
    with load([tensor("o", values.shape, values=values)], "?scores=sigmoid") as detector:
        find(detector)
    assert 'decoded.scores = "probability" in the manifest would fit them' in caplog.text


def grid(logits):
    """(1, 8, 8, 3): background, cat and dog; the dog from 24, 24 to 40, 40."""
    values = np.zeros((1, 8, 8, 3))
    values[..., 0] = 1
    values[0, 3:5, 3:5] = [0.05, 0, 0.95]
    return values * 8 - 4 if logits else values


@pytest.mark.parametrize(
    ("scores", "dtype", "scale"),
    [
        ("probability", "float32", 0.0),
        ("softmax", "float32", 0.0),
        ("probability", "int16", 1 / 32767),
        ("probability", "int8", 1 / 127),
    ],
)
def test_the_scores_of_a_fomo_are_logits_or_probabilities(load, scores, dtype, scale):
    values = grid(logits=scores == "softmax")
    with load([tensor("o", values.shape, dtype, scale, values=values)]) as detector:
        assert detector.spec.fomo.scores == scores
        (name, score, box), *rest = find(detector)
        assert (name, box, rest) == ("class 1", [24, 24, 40, 40], [])
        assert score == pytest.approx(0.95 if scores == "probability" else 0.999, abs=0.005)
        assert "scores are" not in detector.inferred.summary()


@pytest.mark.parametrize(
    ("query", "fits"), [("softmax", "probability"), ("probability", "softmax")]
)
def test_scores_of_a_fomo_that_are_not_what_was_said_are_reported(load, caplog, query, fits):
    values = grid(logits=fits == "softmax")
    with load([tensor("o", values.shape, values=values)], f"?scores={query}") as detector:
        find(detector)
    assert f'fomo.scores = "{fits}" in the manifest would fit them' in caplog.text


def test_a_grid_of_quantized_logits_names_the_query_that_reads_it(load):
    values = grid(logits=True)
    outputs = [tensor("o", values.shape, "int8", 1 / 16, values=values)]
    with pytest.raises(ModelError, match="int8 cannot be identified: quantized logits") as error:
        load(outputs)
    assert error.value.hint.endswith("name it: m.tflite?family=fomo")
    with load(outputs, "?family=fomo") as detector:
        assert find(detector) == [("class 1", 0.999, [24, 24, 40, 40])]


@pytest.mark.parametrize("dtype", ["int16", "int8"])
def test_symmetric_scores_of_a_yolov8_are_not_logits_for_certain(load, dtype):
    boxes, scores = np.zeros((1, 84, 4)), np.zeros((1, 84, 2))
    boxes[0], scores[0, 7, 1] = [32, 32, 16, 16], 0.9
    step = 1 / (32767 if dtype == "int16" else 127)
    outputs = [
        tensor("box", boxes.shape, values=boxes),
        tensor("score", scores.shape, dtype, step, values=scores),
    ]
    with load(outputs) as detector:
        assert find(detector) == [("class 1", pytest.approx(0.9, abs=0.004), [24, 24, 40, 40])]


def numbered(*, swapped, score, number):
    """Boxes, then class numbers and scores, or the other way round where swapped."""
    boxes, scores, numbers = np.zeros((1, 25, 4)), np.zeros((1, 25)), np.zeros((1, 25))
    boxes[0, 0], scores[0, 0], numbers[0, 0] = [16, 24, 48, 40], score, number
    pair = (scores, numbers) if swapped else (numbers, scores)
    return [
        tensor("a", boxes.shape, values=boxes),
        *(tensor(name, each.shape, values=each) for name, each in zip("bc", pair, strict=True)),
    ]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("number", [0, 1, 7])
def test_values_that_are_not_whole_are_scores(load, swapped, number):
    outputs = numbered(swapped=swapped, score=0.9, number=number)
    with load(outputs, "?box=xyxy") as detector:
        assert find(detector) == [(detector.spec.labels[number], 0.9, BOX)]
        assert detector.inferred.find("decoded.outputs.scores").certain
        assert "order of scores" not in detector.inferred.summary()


@pytest.mark.parametrize("swapped", [False, True])
def test_values_above_1_are_class_numbers(load, swapped):
    outputs = numbered(swapped=swapped, score=1, number=7)
    with load(outputs, "?box=xyxy") as detector:
        assert find(detector) == [("truck", 1.0, BOX)]


def test_class_numbers_come_before_scores_where_nothing_tells(load):
    with load(numbered(swapped=False, score=1, number=0), "?box=xyxy") as detector:
        assert dict(detector.spec.decoded.outputs) == {"boxes": "a", "classes": "b", "scores": "c"}
        assert "guessed: order of scores and classes" in detector.inferred.summary()
        assert find(detector) == [("person", 1.0, BOX)]


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_the_layout_of_as_many_values_as_candidates_is_told_by_pixels(load, layout):
    values = np.zeros((1, 84, 84))
    values[0, :, :4] = [32, 32, 16, 16]
    values[0, 7, 4 + 16] = 0.9
    if layout == "columns":
        values = values.swapaxes(1, 2)
    output = tensor("o", values.shape, values=values)
    for query in ("", f"?layout={layout}"):
        with load([output], query) as detector:
            assert find(detector) == [("dog", 0.9, [24, 24, 40, 40])]
            assert "layout" not in detector.inferred.summary()


def test_a_layout_that_nothing_tells_is_a_guess_that_is_shown(load):
    with load([tensor("o", (1, 84, 84), values=0)]) as detector:
        assert detector.spec.decoded.layout == "columns"
        assert "guessed: layout columns" in detector.inferred.summary()
    with load([tensor("o", (1, 84, 84), values=0)], "?layout=rows") as detector:
        assert detector.spec.decoded.layout == "rows"


def test_the_usual_strides_tell_rows_from_columns(load):
    """85 values may be cells of four grids, but 84 candidates are those of the usual three."""
    values = np.zeros((1, 84, 85))
    values[0, :, :4] = [32, 32, 16, 16]
    values[0, 7, [4, 5 + 16]] = 0.9, 1.0
    with load([tensor("o", values.shape, values=values)]) as detector:
        assert find(detector) == [("dog", 0.9, [24, 24, 40, 40])]
        assert "YOLOX" in detector.inferred.summary()


def test_a_trial_run_is_kept_for_one_list_of_labels_and_one_manifest_alone(tmp_path):
    values = np.zeros((1, 6, 84))
    values[0, :4] = np.reshape([0.5, 0.5, 0.25, 0.25], (4, 1))
    outputs = [tensor("o", values.shape, values=values)]
    path = write_made(tmp_path / "m.tflite", [IMAGE], outputs)
    for names in (["cat", "dog"], ["fish", "bird"]):
        path.with_suffix(".txt").write_text("\n".join(names))
        with load_model(path, accelerator="cpu") as detector:
            assert (detector.spec.labels, detector.spec.decoded.unit) == (names, "relative")
    for color in ("bgr", "rgb"):
        path.with_suffix(".toml").write_text(f'[input]\ncolor = "{color}"\n')
        with load_model(path, accelerator="cpu") as detector:
            assert (detector.spec.input.color, detector.spec.decoded.unit) == (color, "relative")


def test_many_boxes_of_three_pixels_are_still_in_pixels(load):
    small = [[1, 1, 3, 3, 0.01, 0]] * 299
    with load([joined([*BOX, 0.9, 3], *small)]) as detector:
        assert find(detector) == [("motorcycle", 0.9, BOX)]


def test_a_box_that_is_no_number_does_not_keep_the_others_from_telling_the_unit(load):
    values = np.zeros((1, 6, 84))
    values[0, :4] = np.reshape([0.5, 0.5, 0.25, 0.25], (4, 1))
    values[0, 5, 7] = 0.9
    values[0, 0, 3] = np.nan
    with load([tensor("o", values.shape, values=values)]) as detector:
        assert find(detector) == [("class 1", 0.9, [24, 24, 40, 40])]
        assert "boxes in" not in detector.inferred.summary()
