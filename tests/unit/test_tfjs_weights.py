"""Weights of TensorFlow.js models: read as they were written, or refused with a reason."""

import json

import numpy as np
import pytest

from edge_detect.core import ModelError
from edge_detect.tools.convert.tfjs_weights import read_model_json, read_weights


def weights_of(tmp_path, entries, content, paths=("a.bin",)):
    size = -(-len(content) // len(paths))
    for number, path in enumerate(paths):
        (tmp_path / path).write_bytes(content[number * size : (number + 1) * size])
    model = {"weightsManifest": [{"paths": list(paths), "weights": entries}]}
    return read_weights(model, tmp_path)


def test_weights_may_span_several_files_and_groups(tmp_path):
    values = np.arange(5, dtype="<f4")
    (tmp_path / "other").write_bytes(b"\1\0")
    (tmp_path / "a").write_bytes(values.tobytes()[:7])
    (tmp_path / "b").write_bytes(values.tobytes()[7:])
    model = {
        "weightsManifest": [
            {"paths": ["other"], "weights": [{"name": "flags", "shape": [2], "dtype": "bool"}]},
            {"paths": ["a", "b"], "weights": [{"name": "x", "shape": [5], "dtype": "float32"}]},
        ]
    }
    weights = read_weights(model, tmp_path)
    np.testing.assert_array_equal(weights["flags"], [True, False])
    np.testing.assert_array_equal(weights["x"], values)


@pytest.mark.parametrize(("kind", "stored"), [("uint8", "u1"), ("uint16", "<u2")])
def test_quantized_weights_are_scale_times_number_plus_minimum(tmp_path, kind, stored):
    numbers = np.array([0, 1, 200], stored)
    entry = {
        "name": "x",
        "shape": [3],
        "dtype": "float32",
        "quantization": {"dtype": kind, "scale": 0.5, "min": -3},
    }
    found = weights_of(tmp_path, [entry], numbers.tobytes())["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [-3, -2.5, 97])


def test_quantized_integers_are_rounded(tmp_path):
    entry = {
        "name": "x",
        "shape": [2],
        "dtype": "int32",
        "quantization": {"dtype": "uint8", "scale": 0.4, "min": 1},
    }
    found = weights_of(tmp_path, [entry], b"\1\2")["x"]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [1, 2])


def test_float16_weights_have_neither_scale_nor_minimum(tmp_path):
    values = np.array([0.1, -70], "<f2")
    entry = {"name": "x", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}}
    found = weights_of(tmp_path, [entry], values.tobytes())["x"]
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_texts_are_stepped_over(tmp_path):
    entries = [
        {"name": "words", "shape": [2], "dtype": "string"},
        {"name": "x", "shape": [1], "dtype": "int32"},
    ]
    content = b"\2\0\0\0ab\0\0\0\0" + np.int32(7).tobytes()
    assert weights_of(tmp_path, entries, content).keys() == {"x"}


@pytest.mark.parametrize(
    ("entry", "content", "message"),
    [
        ({"name": "x", "shape": [3], "dtype": "float32"}, b"12345678", "end at byte 8, within x"),
        ({"name": "x", "shape": [1], "dtype": "float32"}, b"12345678", "8 bytes .* describes 4"),
        ({"name": "x", "shape": [-2, -1], "dtype": "uint8"}, b"12", "shape"),
        ({"name": "x", "shape": [1 << 40], "dtype": "uint8"}, b"12", "within x"),
        ({"name": "x", "shape": [1], "dtype": "complex64"}, b"12345678", "unknown type complex64"),
        ({"name": "x", "dtype": "uint8"}, b"1", "malformed weight"),
        ("x", b"1", "malformed weight"),
        ({"name": "x", "shape": [1], "dtype": "string"}, b"\xff\xff\xff\xff", "within a text"),
        (
            {"name": "x", "shape": [1], "dtype": "float32", "quantization": {"dtype": "uint8"}},
            b"1",
            "no scale or min",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path, entry, content, message):
    with pytest.raises(ModelError, match=message):
        weights_of(tmp_path, [entry], content)


@pytest.mark.parametrize("path", ["../a.bin", "/etc/hostname", "b/../../a.bin"])
def test_files_outside_the_folder_are_not_read(tmp_path, path):
    with pytest.raises(ModelError, match="outside its folder"):
        read_weights({"weightsManifest": [{"paths": [path], "weights": []}]}, tmp_path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.bin"):
        read_weights({"weightsManifest": [{"paths": ["gone.bin"], "weights": []}]}, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\1", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "not a TensorFlow.js graph model"),
        (json.dumps({"modelTopology": {"model_config": {}}}).encode(), "layers model"),
        (json.dumps({"modelTopology": {"node": 3}}).encode(), "not a TensorFlow.js graph model"),
    ],
)
def test_other_json_is_named_as_what_it_is(tmp_path, content, message):
    file = tmp_path / "model.json"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_model_json(tmp_path)
    with pytest.raises(ModelError, match=message):
        read_model_json(file)
