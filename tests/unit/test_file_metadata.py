"""What metadata says about a model: TFLite's, Ultralytics' and Edge Impulse's."""

import json

import numpy as np
import pytest
from support.flatbuffer_writer import Scalar, flatbuffer
from support.made_models import (
    associated_file,
    model_metadata,
    postprocess,
    tensor,
    tensor_metadata,
    write_made,
)

from edge_detect.core import ModelError
from edge_detect.models import find_model
from edge_detect.models.file.metadata import read_metadata
from edge_detect.models.file.operators import read_options

IMAGE = tensor("image", (1, 320, 320, 3))
QUANTIZED = tensor("image", (1, 320, 320, 3), "int8", 0.018658, -14)
V8 = tensor("output", (1, 6, 2100), values=0)


def test_labels_and_normalization_of_tflite_metadata_are_believed(tmp_path):
    said = model_metadata(
        [tensor_metadata("image", normalization=([127.5], [127.5]), color=1)],
        [tensor_metadata("boxes", files=[associated_file("names.txt")], threshold=0.35)],
    )
    path = write_made(
        tmp_path / "model.tflite",
        [IMAGE],
        [V8],
        metadata={"TFLITE_METADATA": said},
        files={"names.txt": "cat\ndog\n"},
    )
    entry = find_model(path)
    spec = entry.spec
    assert spec.labels == ["cat", "dog"]
    assert (spec.input.mean, spec.input.std, spec.input.color) == (127.5, 127.5, "rgb")
    assert spec.nms.score_threshold == 0.35
    assert entry.inferred.find("input.mean").source == "metadata"
    assert "2 labels from its metadata" in entry.inferred.summary()


def test_mean_and_deviation_per_channel_are_believed(tmp_path):
    said = model_metadata([tensor_metadata(normalization=([123.7, 116.3, 103.5], [58, 57, 56]))])
    path = write_made(tmp_path / "m.tflite", [IMAGE], [V8], metadata={"TFLITE_METADATA": said})
    spec = find_model(path).spec
    assert spec.input.mean == pytest.approx((123.7, 116.3, 103.5))
    assert spec.input.std == (58, 57, 56)


def test_a_uint8_input_takes_pixels_whatever_its_normalization(tmp_path):
    said = model_metadata([tensor_metadata(normalization=([127.5], [127.5]))])
    image = tensor("image", (1, 320, 320, 3), "uint8", 0.0078125, 127)
    path = write_made(tmp_path / "m.tflite", [image], [V8], metadata={"TFLITE_METADATA": said})
    assert find_model(path).spec.input.encoding == "pixels"


def test_an_int8_input_of_its_own_range_is_normalized_through_its_scale(tmp_path):
    said = model_metadata([tensor_metadata(normalization=([127.5], [127.5]))])
    path = write_made(tmp_path / "m.tflite", [QUANTIZED], [V8], metadata={"TFLITE_METADATA": said})
    spec = find_model(path).spec
    assert (spec.input.encoding, spec.input.mean) == ("normalized", 127.5)


def test_coordinates_of_tflite_metadata_are_believed(tmp_path):
    boxes = tensor_metadata("boxes", box=(1, 1, (1, 0, 3, 2)))
    said = model_metadata([tensor_metadata()], [boxes])
    assert (read_metadata(said).outputs[0].box, read_metadata(said).outputs[0].unit) == (
        "yxyx",
        "pixels",
    )
    path = write_made(tmp_path / "m.tflite", [IMAGE], [V8], metadata={"TFLITE_METADATA": said})
    assert find_model(path).spec.decoded.unit == "pixels"


def anchors_of_mediapipe(count):
    floats = [{n: Scalar("f", 0.1 * (n + 1)) for n in range(4)} for _ in range(count)]
    decoding = {
        0: Scalar("i", 2),
        1: Scalar("i", count),
        2: Scalar("i", 4),
        6: Scalar("f", 10),
        7: Scalar("f", 9),
        8: Scalar("f", 5),
        9: Scalar("f", 4),
        10: Scalar("B", 1),
        11: Scalar("B", 1),
    }
    return flatbuffer({1: {0: {0: floats}}, 2: decoding}, b"V001")


def test_anchors_in_the_metadata_of_mediapipe_are_taken(tmp_path):
    said = model_metadata(custom={"DETECTOR_METADATA": anchors_of_mediapipe(37)})
    outputs = [tensor("a", (1, 37, 4), values=0), tensor("b", (1, 37, 2), values=0)]
    path = write_made(tmp_path / "m.tflite", [IMAGE], outputs, metadata={"TFLITE_METADATA": said})
    ssd = find_model(path).spec.ssd
    assert len(ssd.anchors.boxes) == 37
    assert ssd.anchors.boxes[0] == pytest.approx((0.2, 0.1, 0.4, 0.3))
    assert (ssd.box_scales, ssd.scores) == ((9, 10, 4, 5), "sigmoid")


def test_damaged_metadata_is_ignored_and_named(tmp_path):
    said = bytearray(model_metadata([tensor_metadata("image")]))
    said[0:4] = b"\xff\xff\xff\x7f"
    path = write_made(
        tmp_path / "m.tflite", [IMAGE], [V8], metadata={"TFLITE_METADATA": bytes(said)}
    )
    assert "its TFLite metadata is damaged" in find_model(path).inferred.remarks[0]


ULTRALYTICS = {
    "description": "Ultralytics YOLO11n model trained on cats.yaml",
    "task": "detect",
    "stride": 32,
    "imgsz": [320, 320],
    "names": {0: "cat", 1: "dog"},
    "channels": 3,
}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("temp_meta.txt", str(ULTRALYTICS)),
        ("metadata.json", json.dumps(ULTRALYTICS)),
        ("sub/metadata.json", json.dumps(ULTRALYTICS)),
    ],
)
def test_metadata_of_ultralytics_tells_all_of_the_input(tmp_path, file, content):
    path = write_made(tmp_path / "best.tflite", [QUANTIZED], [V8], files={file: content})
    entry = find_model(path)
    spec = entry.spec
    assert spec.labels == ["cat", "dog"]
    assert (spec.input.color, spec.input.resize) == ("rgb", "letterbox")
    assert (spec.input.encoding, spec.input.mean, spec.input.std) == ("normalized", 0, 255)
    assert entry.inferred.find("kind").value == "YOLO11n"
    assert spec.decoded.unit == "relative"


def test_old_metadata_of_yolov5_has_names_alone(tmp_path):
    files = {"meta.txt": str({"stride": 32, "names": {0: "cat"}})}
    output = tensor("output", (1, 6300, 6), values=0)
    path = write_made(tmp_path / "best.tflite", [IMAGE], [output], files=files)
    assert find_model(path).spec.labels == ["cat"]


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ("segment", "segmentation model"),
        ("pose", "pose model"),
        ("obb", "rotated boxes"),
        ("classify", "classifier"),
    ],
)
def test_another_task_of_ultralytics_is_named(tmp_path, task, what):
    files = {"metadata.json": json.dumps({**ULTRALYTICS, "task": task})}
    path = write_made(tmp_path / "best.tflite", [IMAGE], [V8], files=files)
    with pytest.raises(ModelError, match=f"{what}.*, no detector") as error:
        find_model(path)
    assert "yolo export model=best.pt format=tflite" in error.value.hint


@pytest.mark.parametrize(
    "content",
    [
        "__import__('os').system('touch /tmp/never')",
        "{'names': open('/etc/passwd')}",
        "{'names': " + "[" * 5000,
        "{" * 100_000,
        "-" * 100_000 + "1",
        "1" * 300_000,
        "\x00\xff",
        "[]",
    ],
)
def test_what_is_no_literal_is_ignored_and_never_run(tmp_path, content):
    path = write_made(tmp_path / "best.tflite", [IMAGE], [V8], files={"temp_meta.txt": content})
    assert find_model(path).spec.labels == ["class 0", "class 1"]


def test_metadata_of_edge_impulse_lies_beside_the_model(tmp_path):
    said = {
        "metadataVersion": 5,
        "classNames": ["nut", "bolt"],
        "objectDetectionLastLayer": "fomo",
        "imageInputScaling": "-1..1",
        "mode": "object-detection",
    }
    (tmp_path / "model_metadata.json").write_text(json.dumps(said))
    grid = tensor("output", (1, 40, 40, 3), values=0)
    entry = find_model(write_made(tmp_path / "trained.tflite", [IMAGE], [grid]))
    assert entry.spec.labels == ["nut", "bolt"]
    assert (entry.spec.input.mean, entry.spec.input.std) == (127.5, 127.5)
    assert entry.inferred.find("kind").source == "edge impulse"


def test_a_classifier_of_edge_impulse_is_named(tmp_path):
    said = {"metadataVersion": 5, "classNames": ["a", "b"], "mode": "classification"}
    (tmp_path / "model_metadata.json").write_text(json.dumps(said))
    path = write_made(tmp_path / "trained.tflite", [IMAGE], [tensor("o", (1, 2), values=0)])
    with pytest.raises(ModelError, match="a model for classification, no detector"):
        find_model(path)


def test_metadata_goes_before_a_list_of_labels_beside_the_model(tmp_path):
    (tmp_path / "best.txt").write_text("fish\nbird\n")
    files = {"metadata.json": json.dumps(ULTRALYTICS)}
    path = write_made(tmp_path / "best.tflite", [IMAGE], [V8], files=files)
    assert find_model(path).spec.labels == ["cat", "dog"]


def test_metadata_whose_labels_do_not_fit_is_named(tmp_path):
    files = {"metadata.json": json.dumps({**ULTRALYTICS, "names": {0: "cat"}})}
    output = tensor("output", (1, 9, 2100), values=0)
    entry = find_model(write_made(tmp_path / "best.tflite", [IMAGE], [output], files=files))
    assert "1 label does not fit 5 classes" in entry.inferred.remarks[0]
    assert "1 label does not fit 5 classes" in entry.inferred.summary()


def test_options_of_an_operator_are_read_from_its_flexbuffer():
    options = postprocess(classes=7)["operators"][0].custom_options
    said = read_options(options)
    assert (said["num_classes"], said["y_scale"]) == (7, 10)
    for end in range(len(options)):
        damaged = options[:end]
        try:
            read_options(damaged)
        except ValueError:
            continue


def test_the_graph_that_scales_pixels_itself_takes_them_as_they_are(tmp_path):
    from support.made_models import Op

    scaled = [tensor("factor", (1,), values=2 / 255)]
    path = write_made(
        tmp_path / "m.tflite",
        [IMAGE],
        [V8],
        constants=[*scaled, tensor("aside", (1, 320, 320, 3), values=np.float32(0))],
        operators=[Op(18, ["image", "factor"], ["aside"])],
    )
    entry = find_model(path)
    assert (entry.spec.input.mean, entry.spec.input.std) == (0, 1)
    assert entry.inferred.find("input.std").source == "constants"


@pytest.mark.parametrize(
    ("image", "mean", "std"),
    [
        (IMAGE, [float("nan")], [127.5]),
        (IMAGE, [127.5], [float("inf")]),
        (IMAGE, [127.5], [0.0]),
        (QUANTIZED, [float("nan")] * 3, [57.0] * 3),
    ],
)
def test_a_normalization_without_meaning_is_ignored_with_a_remark(tmp_path, image, mean, std):
    said = model_metadata([tensor_metadata(normalization=(mean, std))])
    path = write_made(tmp_path / "m.tflite", [image], [V8], metadata={"TFLITE_METADATA": said})
    inferred = find_model(path).inferred
    assert (inferred.spec.input.mean, inferred.spec.input.std) == (0, 255)
    assert inferred.find("input.mean").source == "rule"
    assert "normalization is ignored" in inferred.summary()
