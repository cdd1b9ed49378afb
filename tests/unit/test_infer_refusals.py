"""Files that are no detectors, named as what they are, with the way out."""

import io
import zipfile

import pytest
from support.made_models import Op, tensor, write_made

from edge_detect.core import ModelError
from edge_detect.models import find_model
from edge_detect.models.infer.overrides import parse_overrides

IMAGE = tensor("image", (1, 320, 320, 3))


def zip_of(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
ONNX = b"\x08\x07\x12\x07pytorch\x1a\x051.10"


@pytest.mark.parametrize(
    ("name", "content", "what", "way_out"),
    [
        ("a.tflite", b"", "is empty", "download or copy it again"),
        ("a.tflite", LFS, "Git LFS pointer", "git lfs pull"),
        ("a.tflite", b"<!DOCTYPE html><html>", "is a web page", "download the file itself"),
        ("a.tflite", b"\n\n  <html lang=en>", "is a web page", "Raw"),
        ("a.onnx", ONNX, "is an ONNX model", "models convert onnx a.onnx"),
        ("a.tflite", ONNX, "is an ONNX model", "models convert onnx a.tflite"),
        (
            "a.pt",
            zip_of("a/data.pkl"),
            "is a PyTorch model",
            "yolo export model=a.pt format=tflite",
        ),
        ("a.tflite", zip_of("a/data.pkl"), "is a PyTorch", "rename it to a.pt; export it where"),
        ("a.tflite", zip_of("a/data.pkl"), "is a PyTorch", "yolo export model=a.pt format"),
        ("a.pt", zip_of("archive/x"), "is a PyTorch model", "yolo export model=a.pt"),
        ("a.pth", b"\x80\x02}q\0", "is a PyTorch model", "export"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 9, "is a Keras model", "from_keras_model"),
        ("a.keras", zip_of("config.json", "model.weights.h5"), "Keras", "from_keras_model"),
        ("a.pb", b"\n\x02", "is a TensorFlow graph", "models convert savedmodel"),
        ("a.xml", b"<?xml version='1.0'?><net name='x'>", "OpenVINO", "yolo export"),
        ("a.mlmodel", b"\x08\x01", "Core ML", "yolo export"),
        ("a.task", zip_of("d.tflite"), "bundle of MediaPipe that holds d.tflite", "unzip a.task"),
        ("a.zip", zip_of("x/d.tflite"), "zip that holds x/d.tflite", "give the path of d.tflite"),
        ("a.zip", zip_of("readme"), "zip without a TFLite model", "give the path"),
        ("a.tflite", b"PK\x03\x04nonsense", "damaged zip", "again"),
        ("a.tar.gz", b"\x1f\x8b\x08", "packed with gzip", "tar xf a.tar.gz"),
        (
            "a.weights",
            b"\0\0\0\0\2\0\0\0",
            "Darknet weights",
            (
                "convert darknet --name NAME --names LABELS --calibration PICTURES --cfg FILE "
                "--weights a.weights"
            ),
        ),
        (
            "a.pb",
            b"\n\x02",
            "is a TensorFlow graph",
            "ssd-frozen-graph --name NAME --graph a.pb --names LABELS --calibration PICTURES",
        ),
        ("a.tflite", b"\0" * 1000, "all zeros", "again"),
        ("a.tflite", b"\x1c\0\0\0TFL2" + b"\0" * 50, "is not a TFLite model", "TFL3"),
        ("a.engine", b"ftrt", "TensorRT", "yolo export"),
    ],
)
def test_another_file_is_named_with_the_way_out(tmp_path, name, content, what, way_out):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=what) as error:
        find_model(path)
    assert str(path) in error.value.message
    assert way_out in error.value.hint


def test_a_directory_says_what_is_in_it(tmp_path):
    with pytest.raises(ModelError, match=r"is a directory, neither a \.tflite file nor a manifest"):
        find_model(tmp_path)
    (tmp_path / "a.tflite").write_bytes(b"")
    with pytest.raises(ModelError, match="is a directory") as error:
        find_model(tmp_path)
    assert "a.tflite" in error.value.hint
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match="is a SavedModel") as error:
        find_model(tmp_path)
    assert "models convert savedmodel" in error.value.hint


@pytest.mark.parametrize(
    ("file", "what", "kind"),
    [
        ("saved_model.pb", "is a SavedModel", "savedmodel"),
        ("model.json", "is a TensorFlow.js model", "tfjs"),
    ],
)
def test_a_directory_is_named_without_a_slash_as_well(tmp_path, monkeypatch, file, what, kind):
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / file).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for said in ("exported", "./exported", str(folder)):
        with pytest.raises(ModelError, match=what) as error:
            find_model(said)
        assert f"models convert {kind} exported --calibration PICTURES" in error.value.hint


def test_a_file_that_is_cut_off_is_damaged(tmp_path):
    whole = write_made(tmp_path / "a.tflite", [IMAGE], [tensor("o", (1, 4), values=0)])
    content = whole.read_bytes()
    for end in (9, 40, len(content) // 2):
        whole.write_bytes(content[:end])
        with pytest.raises(ModelError, match="cannot be loaded") as error:
            find_model(whole)
        assert "truncated" in error.value.hint


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        ([(1, 1001)], r"a classifier, no detector \(one output of 1001 scores\)"),
        ([(1, 1, 1, 5)], "a classifier, no detector"),
        ([(1, 320, 320, 21)], "a segmentation model, no detector"),
        ([(1, 160, 160, 2)], "a segmentation model, no detector"),
        ([(1, 116, 2100), (1, 80, 80, 32)], r"a segmentation model, no detector \(output of masks"),
        ([(1, 116, 2100), (1, 32, 80, 80)], "a segmentation model, no detector"),
        ([(1, 56, 2100)], "a pose model, no detector"),
    ],
)
def test_a_model_for_another_task_is_named(tmp_path, outputs, what):
    made = [tensor(f"o{number}", shape, values=0) for number, shape in enumerate(outputs)]
    with pytest.raises(ModelError, match=what) as error:
        find_model(write_made(tmp_path / "a.tflite", [IMAGE], made))
    assert "edge-detect needs a detection model" in error.value.hint


def test_three_dimensions_are_no_mask(tmp_path):
    output = tensor("o", (1, 3549, 85), values=0)
    with pytest.raises(ModelError, match="no known kind of detector") as error:
        find_model(write_made(tmp_path / "a.tflite", [IMAGE], [output]))
    assert "'a.tflite?family=…'" in error.value.hint


def test_another_size_than_the_only_one_that_a_file_takes_is_named(tmp_path):
    output = tensor("o", (1, 84, 2100), values=0)
    path = write_made(tmp_path / "a.tflite", [IMAGE], [output])
    with pytest.raises(ModelError, match="takes 320x320 only, not 416x416") as error:
        find_model(path, parse_overrides({"size": "416x416"}))
    assert error.value.hint == "leave the size 416x416 out"
    assert find_model(path, parse_overrides({"size": "320x320"})).spec.input.size == (320, 320)


@pytest.mark.parametrize(
    ("inputs", "what", "way_out"),
    [
        ([tensor("x", (1, 3, 320, 320))], "channels first", "channels last"),
        ([tensor("x", (1, 40))], "takes no picture", "height x width"),
        ([tensor("x", (4, 320, 320, 3))], "batches of 4", "batch size 1"),
        ([tensor("x", (1, 320, 320, 4))], "4 channels", "3 channels"),
        ([tensor("x", (1, 320, 320, 3), "int64")], "type int64", "convert"),
        ([IMAGE, tensor("h_in", (1, 64))], "2 inputs", "recurrent"),
        ([], "0 inputs", "input"),
        ([tensor("x", (1, 1, 1, 3), signature=(1, -1, -1, 3))], "any size", "?size=640x640"),
    ],
)
def test_an_input_that_is_no_picture_is_named(tmp_path, inputs, what, way_out):
    path = write_made(tmp_path / "a.tflite", inputs, [tensor("o", (1, 84, 2100), values=0)])
    with pytest.raises(ModelError, match=what) as error:
        find_model(path)
    assert way_out in error.value.hint


def test_a_model_with_a_state_is_named(tmp_path):
    state = tensor("state", (1, 4), values=0, variable=True)
    output = tensor("o", (1, 84, 2100), values=0)
    path = write_made(tmp_path / "a.tflite", [IMAGE], [output], constants=[state])
    with pytest.raises(ModelError, match="keeps a state from one picture to the next"):
        find_model(path)


def test_a_recurrent_operator_is_named(tmp_path):
    output = tensor("o", (1, 84, 2100), values=0)
    aside = tensor("aside", (1, 4), values=0)
    step = Op(44, ["image"], ["aside"])
    path = write_made(tmp_path / "a.tflite", [IMAGE], [output], constants=[aside], operators=[step])
    with pytest.raises(ModelError, match="UNIDIRECTIONAL_SEQUENCE_LSTM"):
        find_model(path)


def test_outputs_of_one_name_cannot_be_told_apart(tmp_path):
    outputs = [tensor("o", (1, 300, 4), values=0), tensor("o", (1, 300, 80), values=0)]
    with pytest.raises(ModelError, match="without names of their own"):
        find_model(write_made(tmp_path / "a.tflite", [IMAGE], outputs))


def test_a_postprocess_operator_whose_outputs_are_hidden_is_named(tmp_path):
    from support.made_models import postprocess

    model = postprocess(output_order=(0, 1, 2))
    model["constants"].append(tensor("count", (1,), values=0))
    with pytest.raises(ModelError, match="output 'count' of TFLite_Detection_PostProcess"):
        find_model(write_made(tmp_path / "a.tflite", **model))
