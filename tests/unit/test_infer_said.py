"""What a query or a manifest says: it counts, is refused, or is reported to change nothing."""

import numpy as np
import pytest
from support.made_models import postprocess, tensor, write_made

from edge_detect.core import ConfigError, ModelError
from edge_detect.models import find_model, load_model
from edge_detect.models.infer.manifest import manifest_of
from edge_detect.models.options import LoadOptions, find_with_options
from edge_detect.tools.convert.write_manifest import manifest_text


def find(said):
    return find_with_options(str(said), LoadOptions())[0]


def columns(classes):
    """A YOLOv8 for 64 x 64 pixels, with one box and its first score."""
    values = np.zeros((1, 4 + classes, 84))
    values[0, :4] = np.reshape([32, 32, 16, 16], (4, 1))
    values[0, 4, 7] = 0.9
    return values


@pytest.fixture
def make(tmp_path):
    def write(values=None, dtype="float32", scale=0.0, labels="cat\ndog\n"):
        values = columns(2) if values is None else values
        image = tensor("image", (1, 64, 64, 3), dtype, scale)
        (tmp_path / "m.txt").write_text(labels)
        output = tensor("output", values.shape, values=values)
        return write_made(tmp_path / "m.tflite", [image], [output])

    return write


@pytest.mark.parametrize(
    ("query", "remark"),
    [
        ("anchors=10,13", "anchors changes nothing: the model has no raw YOLO grids"),
        ("encoding=pixels", "encoding changes nothing: the input is floating point"),
        ("resize=stretch&pad=3", "pad changes nothing: resize is stretch"),
        ("nms=none&iou_threshold=0.4", "iou_threshold changes nothing: the model has no"),
    ],
)
def test_a_key_that_changes_nothing_is_named_in_the_line_at_start(make, query, remark):
    assert remark in find(f"{make()}?{query}").inferred.summary()


def test_keys_that_change_something_are_not_remarked_on(make):
    said = f"{make()}?pad=3&mean=0&std=1&iou_threshold=0.4&nms=soft"
    assert find(said).inferred.remarks == ()


@pytest.mark.parametrize(
    ("query", "remark"),
    [
        ("iou_threshold=0.4", "TFLite_Detection_PostProcess suppresses in the graph"),
        ("nms=soft", "TFLite_Detection_PostProcess suppresses in the graph"),
        ("scores=sigmoid", "those of TFLite_Detection_PostProcess are taken as they are"),
    ],
)
def test_a_key_for_what_the_graph_does_itself_changes_nothing(tmp_path, query, remark):
    path = write_made(tmp_path / "ssd.tflite", **postprocess())
    key = query.partition("=")[0]
    assert find(f"{path}?{query}").inferred.remarks == (f"{key} changes nothing: {remark}",)
    assert find(f"{path}?score_threshold=0.2").inferred.remarks == ()


def test_a_scale_for_pixels_that_are_taken_as_they_are_changes_nothing(make):
    path = make(dtype="uint8", scale=1 / 255)
    remarks = find(f"{path}?mean=3&encoding=pixels").inferred.remarks
    assert remarks == ("mean changes nothing: the input takes pixels as they are",)


@pytest.mark.parametrize(
    ("manifest", "query", "remarks"),
    [
        ('resize = "stretch"', "pad=3", ("pad changes nothing: resize is stretch",)),
        ('resize = "letterbox"', "pad=3", ()),
        ('resize = "stretch"', "pad=3&resize=letterbox", ()),
    ],
)
def test_what_changes_nothing_is_told_by_the_manifest_too(make, manifest, query, remarks):
    path = make()
    path.with_suffix(".toml").write_text(f"[input]\n{manifest}\n")
    assert find(f"{path}?{query}").inferred.remarks == remarks


def test_what_a_manifest_makes_useful_is_not_remarked_on(tmp_path):
    """An SSD alone is stretched."""
    path = write_made(tmp_path / "ssd.tflite", **postprocess())
    assert find(f"{path}?pad=3").inferred.remarks == ("pad changes nothing: resize is stretch",)
    path.with_suffix(".toml").write_text('[input]\nresize = "letterbox"\n')
    assert find(f"{path}?pad=3").inferred.remarks == ()


def test_what_changes_nothing_beside_a_complete_manifest_is_a_warning(make, caplog):
    path = make()
    path.with_suffix(".toml").write_text(manifest_text(manifest_of(find(path).inferred)))
    entry = find(f"{path}?encoding=pixels&pad=3&resize=stretch&score_threshold=0.1")
    assert entry.inferred is None
    assert caplog.messages == [
        "m.tflite: encoding changes nothing: the input is floating point",
        "m.tflite: pad changes nothing: resize is stretch",
    ]


def test_a_key_that_is_given_twice_is_refused(make):
    with pytest.raises(ConfigError, match=r"m\.tflite': box is given twice"):
        find(f"{make()}?box=xyxy&unit=pixels&box=yxyx")


def test_a_file_of_labels_without_a_name_is_refused(make):
    with pytest.raises(ConfigError, match="labels must be the path of a file"):
        find(f"{make()}?labels=")


def test_a_manifest_beside_a_model_that_names_another_file_is_refused(make):
    path = make()
    path.with_suffix(".toml").write_text('file = "other.tflite"\n')
    with pytest.raises(ModelError, match=r"file: it is 'other.tflite', not 'm.tflite'"):
        find_model(path)


@pytest.mark.parametrize(("family", "kind"), [("yolov5", "YOLOv5"), ("yolox", "YOLOX")])
def test_the_family_that_is_asked_for_is_the_one_that_is_named(make, family, kind):
    values = columns(3)
    values[0, 6, 7] = 0.8
    with load_model(f"{make(values)}?family={family}", accelerator="cpu") as detector:
        found = detector(np.zeros((64, 64, 3), np.uint8))
        assert f"{kind} (as asked)" in detector.inferred.summary()
        assert (found.names, float(found.scores[0])) == (["dog"], pytest.approx(0.72))


def test_a_yolov5_whose_values_are_4_and_the_classes_has_no_objectness(make):
    with load_model(f"{make()}?family=yolov5", accelerator="cpu") as detector:
        found = detector(np.zeros((64, 64, 3), np.uint8))
        assert (found.names, float(found.scores[0])) == (["cat"], pytest.approx(0.9))
        assert "YOLOv5 without an objectness: 6 values" in detector.inferred.summary()


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        ('labels = ["a"]\n[input]\ncolour = "bgr"', "input.colour: Extra inputs are not permitted"),
        ("[input]\nstd = [-1, 2, 3]", "input.std.0: Input should be greater than 0"),
        ("[input]\nmean = [1, 2]", "input.mean.2: Field required"),
        ("[nms]\nscore_threshold = 3", "nms.score_threshold: Input should be less than or equal"),
        ('[decoded.outputs]\nrows = "a"', "decoded.outputs.rows: Input should be 'joined'"),
    ],
)
def test_a_fault_of_a_short_manifest_is_named_without_what_it_leaves_out(make, manifest, fault):
    path = make()
    path.with_suffix(".toml").write_text(manifest)
    with pytest.raises(ModelError) as error:
        find_model(path)
    assert error.value.message.startswith(f"{path.with_suffix('.toml')}: {fault}")
    assert "; " not in error.value.message


def test_a_value_that_fits_none_of_its_types_is_one_fault(make):
    path = make()
    path.with_suffix(".toml").write_text('[input]\nmean = "x"')
    with pytest.raises(ModelError, match=r"input\.mean: Input should be a valid number.* or ") as e:
        find_model(path)
    assert "tuple[" not in e.value.message
