"""ONNX files are read without a package; what cannot become a detector is refused by name."""

import json
import zipfile
from io import BytesIO

import pytest

from edge_detect.core import ModelError, Size
from edge_detect.tools.convert.from_onnx import (
    check_onnx,
    last_error,
    metadata_zip,
    shape_options,
)
from edge_detect.tools.convert.onnx_file import OnnxInput, read_onnx
from tests.support import onnx_networks as onnx

NAMES = "{0: 'red', 1: 'green'}"


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="net.onnx"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write_file


def network(shape, *, kind=1, operator=("Relu", ""), second=False):
    net = onnx.OnnxNet()
    image = net.input("images", shape, kind)
    if second:
        net.input("orig_target_sizes", (1, 2), 7)
    net.add(operator[0], image, domain=operator[1])
    return net.to_bytes()


def test_input_operators_and_metadata_are_read(write):
    """An ONNX file tells its input, its operators and what the exporter wrote."""
    found = read_onnx(write(onnx.yolov8(metadata={"names": NAMES, "task": "detect"})))
    assert found.inputs == (OnnxInput("images", (1, 3, 64, 64), "float32"),)
    assert found.operators["", "Conv"] == 9
    assert found.operators["", "Softmax"] == 1
    assert found.metadata == {"names": NAMES, "task": "detect"}
    assert found.data_files == ()
    assert check_onnx(found, None).layout == "NCHW"


def test_what_the_exporter_wrote_stands_behind_the_tflite_file():
    """Values of ONNX metadata are texts; behind the TFLite file they have their types."""
    packed = metadata_zip({"names": NAMES, "stride": "32", "description": "a net (2)"})
    with zipfile.ZipFile(BytesIO(b"TFLite file" + packed)) as opened:
        said = json.loads(opened.read("metadata.json"))
    assert said == {"names": {"0": "red", "1": "green"}, "stride": 32, "description": "a net (2)"}
    assert metadata_zip({"stride": "32"}) == b""


@pytest.mark.parametrize(
    ("content", "fact", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer", "git lfs pull"),
        (b"\x1c\0\0\0TFL3" + bytes(64), "is a TFLite model", "convert tflite"),
        (b"", "is empty", "download"),
        (b"<!doctype html><html>", "web page", "Raw"),
        (onnx.yolov8()[:20000], "cut short", "export it again"),
        (b"\x08\x08" + onnx.text(2, "x"), "no graph", "export it again"),
        (network((1, 3, 64, 64), second=True), "2 inputs: images", "only input"),
        (network((4, 3, 64, 64)), "takes 4 pictures at once", "batch 1"),
        (network((1, 3, "height", "width")), "any size", "--size 640x640"),
        (network((1, 80)), "no picture", "1 x 3 x height x width"),
        (network((1, 3, 64, 64), kind=2), "uint8 pixels", "float32"),
        (
            network((1, 3, 64, 64), operator=("EfficientNMS_TRT", "")),
            "EfficientNMS_TRT",
            "without suppression",
        ),
        (
            network((1, 3, 64, 64), operator=("QLinearConv", "com.microsoft")),
            "QLinearConv",
            "for ONNX alone",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused_with_the_way_out(write, content, fact, hint):
    """Each wrong file is one error that names the fact, and the action that mends it."""
    path = write(content)
    with pytest.raises(ModelError) as caught:
        check_onnx(read_onnx(path), None)
    assert fact in caught.value.message
    assert str(path) in caught.value.message
    assert hint in caught.value.hint


def test_weights_in_a_file_that_is_missing_are_named(write, tmp_path):
    """Weights may lie in a second file, which must be beside the first."""
    place = onnx.message(13, onnx.text(1, "location") + onnx.text(2, "net.onnx.data"))
    tensor = onnx.text(8, "weights") + place + b"\x70\x01"
    path = write(onnx.message(7, onnx.message(5, tensor)), "net.onnx")
    with pytest.raises(ModelError, match=r"net\.onnx\.data, which is not beside it"):
        read_onnx(path)
    (tmp_path / "net.onnx.data").write_bytes(b"")
    assert read_onnx(path).data_files == ("net.onnx.data",)


@pytest.mark.parametrize("place", ["/etc/weights", "../weights", "data/../../weights"])
def test_weights_outside_the_folder_are_refused(write, place):
    """A model from elsewhere names no file of this computer."""
    external = onnx.message(13, onnx.text(1, "location") + onnx.text(2, place))
    path = write(onnx.message(7, onnx.message(5, onnx.text(8, "w") + external + b"\x70\x01")))
    with pytest.raises(ModelError, match="outside its folder") as caught:
        read_onnx(path)
    assert place in caught.value.message


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 64, 64, 3), (1, 3, "height", 64)])
def test_a_size_that_the_file_does_not_take_is_refused(write, shape):
    """A fixed side stays as it is: the converter would make an unchecked model."""
    found = read_onnx(write(network(shape)))
    with pytest.raises(ModelError, match="cannot become 32x64"):
        check_onnx(found, Size(32, 64))
    assert check_onnx(found, Size(64, 64))


def test_the_cause_of_a_failure_is_told_from_the_advice_behind_it(tmp_path):
    """onnx2tf ends with the same lines after every error, and writes in colours."""
    log = tmp_path / "log"
    error = "\x1b[31mERROR:\x1b[0m"
    lines = [
        "ValueError: a first attempt, only a warning",
        f"{error} The trace log is below.",
        "Traceback (most recent call last):",
        '  raise ValueError("Error: not at the beginning")',
        "onnx2tf.errors.UnsupportedError: GridSample has no equal",
        f"{error} input_onnx_file_path: /tmp/net.onnx",
        f"{error} onnx_op_name: /head/GridSample",
        f"{error} Read this and deal with it. https://example.org",
        f"{error} Alternatively, if the input OP has a dynamic dimension, use -b",
        f"{error} If the input OP of ONNX before conversion is NHWC, use -kt",
        f"{error} Also, for models that include NonMaxSuppression, try -onwdt",
    ]
    log.write_text("\n".join(lines), encoding="utf-8")
    assert last_error(log) == "onnx2tf.errors.UnsupportedError: GridSample has no equal"
    log.write_text(f"{error} OP_TYPE: GridSample is not supported\n", encoding="utf-8")
    assert last_error(log) == "OP_TYPE: GridSample is not supported"
    log.write_text("", encoding="utf-8")
    assert last_error(log) == "it wrote no file"


@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        ((1, 3, 64, 64), None, []),
        ((-1, 3, 64, 64), None, ["-ois", "images:1,3,64,64"]),
        ((1, 3, -1, -1), Size(320, 256), ["-ois", "images:1,3,256,320"]),
        ((1, 64, 64, 3), None, ["-kat", "images"]),
        ((1, -1, -1, 1), Size(32, 16), ["-ois", "images:1,16,32,1", "-kat", "images"]),
    ],
)
def test_open_sides_are_closed_and_channels_stay_where_they_are(shape, size, options):
    """The converter is told the size, and which inputs are channels last already."""
    assert shape_options(OnnxInput("images", shape, "float32"), size) == options
