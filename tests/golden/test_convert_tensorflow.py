"""TensorFlow's own formats become INT8 by way of a float file."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_detect.app.cli import main
from edge_detect.core import ModelError, Size
from edge_detect.models.infer.overrides import parse_overrides
from edge_detect.models.spec import read_manifest
from edge_detect.tools.convert.float_file import read_float_file
from edge_detect.tools.convert.from_float import convert_float_file
from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.tfjs import is_ssd
from tests.support import float_networks as networks
from tests.support import saved_models, tfjs_models

pytestmark = [pytest.mark.convert, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def tf():
    from edge_detect.tools.convert.float_model import load_tensorflow

    return load_tensorflow()


def run(path, image):
    interpreter = open_interpreter(path.read_bytes(), keep=False)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_a_saved_model_becomes_int8(tf, tmp_path):
    """The float file computes what TensorFlow computes; INT8 finds what float finds."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model

    saved_models.save(tf, tmp_path / "net")
    (tmp_path / "pictures").mkdir()
    for seed in range(4):
        cv2.imwrite(str(tmp_path / "pictures" / f"{seed}.png"), networks.squares(128, seed))
    made = convert_saved_model(tmp_path / "net", tmp_path, None)
    image = np.random.default_rng(1).random((1, 64, 64, 3), np.float32)
    wanted = saved_models.detector(tf, 64)(image)["output"].numpy()
    np.testing.assert_allclose(run(made, image), wanted, atol=1e-5)
    (tmp_path / "labels.txt").write_text("red\ngreen\n", encoding="utf-8")
    source = read_float_file(made, parse_overrides({}))
    found = convert_float_file(source, [tmp_path / "pictures"], tmp_path / "out.tflite", origin={})
    assert found.spec.labels == ["red", "green"]
    assert found.agreement.recall >= 0.95
    assert found.agreement.mean_iou >= 0.95


def test_an_open_size_has_to_be_given(tf, tmp_path):
    """A model that takes any size gets the one of `--size`."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model

    saved_models.save(tf, tmp_path / "net", open_size=True)
    with pytest.raises(ModelError, match="any size") as caught:
        convert_saved_model(tmp_path / "net" / "saved_model.pb", tmp_path, None)
    assert "--size" in caught.value.hint
    made = convert_saved_model(tmp_path / "net", tmp_path, Size(64, 64))
    assert run(made, np.zeros((1, 64, 64, 3), np.float32)).shape == (1, 6, 80)


def test_a_directory_without_a_saved_model_is_named(tmp_path):
    """The directory is the one with saved_model.pb."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model

    with pytest.raises(ModelError, match=r"has no saved_model\.pb"):
        convert_saved_model(tmp_path, tmp_path, None)


def test_a_directory_without_its_variables_is_one_error(tf, tmp_path):
    """Weights lie in a folder of their own, which is easily forgotten."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model, model_files

    module = tf.Module()
    module.factor = tf.Variable(2.0)
    picture = tf.TensorSpec((1, 8, 8, 3), tf.float32, name="images")
    module.detect = tf.function(lambda x: {"y": x * module.factor}, input_signature=[picture])
    tf.saved_model.save(module, str(tmp_path / "net"), signatures=module.detect)
    names = [path.name for path in model_files(tmp_path / "net")]
    assert names == ["saved_model.pb", "variables.data-00000-of-00001", "variables.index"]
    shutil.rmtree(tmp_path / "net" / "variables")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        convert_saved_model(tmp_path / "net", tmp_path, None)
    assert "variables" in caught.value.hint


@pytest.mark.parametrize(
    ("shape", "size", "fact", "hint"),
    [
        ((4, 64, 64, 3), None, "takes 4 pictures at once", "batch 1"),
        ((1, 64, 64, 3), Size(32, 64), "takes pictures of 64x64, not 32x64", "leave out the size"),
        ((None, 3, 64, 64), None, "no picture", "1 x height x width x 3"),
        (None, None, "any shape", "1 x height x width x 3"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(tf, tmp_path, shape, size, fact, hint):
    """One error with the way out, not a traceback of TensorFlow."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model

    module = tf.Module()
    picture = tf.TensorSpec(shape, tf.float32, name="images")
    module.detect = tf.function(lambda x: {"y": x + 1.0}, input_signature=[picture])
    tf.saved_model.save(module, str(tmp_path / "net"), signatures=module.detect)
    with pytest.raises(ModelError, match=fact) as caught:
        convert_saved_model(tmp_path / "net", tmp_path, size)
    assert hint in caught.value.hint


def test_of_several_signatures_none_is_taken_silently(tf, tmp_path):
    """The one for serving, or the only one."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model

    module = tf.Module()
    picture = tf.TensorSpec((1, 64, 64, 3), tf.float32, name="images")
    module.detect = tf.function(saved_models.detector(tf, 64), input_signature=[picture])
    for names in (("train", "evaluate"), ("only",), ("train", "serving_default")):
        folder = tmp_path / names[-1]
        signatures = dict.fromkeys(names, module.detect.get_concrete_function())
        tf.saved_model.save(module, str(folder), signatures=signatures)
        if names[-1] == "evaluate":
            with pytest.raises(ModelError, match="2 signatures: evaluate, train"):
                convert_saved_model(folder, tmp_path, None)
        else:
            assert convert_saved_model(folder, tmp_path, None).name == f"{names[-1]}.tflite"


def test_a_directory_by_its_dot_keeps_its_name(tf, tmp_path, monkeypatch):
    """The command may run in the model's own directory."""
    from edge_detect.tools.convert.from_saved_model import convert_saved_model

    saved_models.save(tf, tmp_path / "net")
    monkeypatch.chdir(tmp_path / "net")
    assert convert_saved_model(Path(), tmp_path, None) == tmp_path / "net.tflite"


def test_the_command_names_the_files_of_a_saved_model(tf, tmp_path, monkeypatch):
    """Labels that are named behind the directory lie in it."""
    saved_models.save(tf, tmp_path / "net")
    (tmp_path / "net" / "colours.txt").write_text("red\ngreen\n", encoding="utf-8")
    cv2.imwrite(str(tmp_path / "photo.png"), networks.squares(128))
    monkeypatch.chdir(tmp_path)
    command = ["models", "convert", "savedmodel", "net?labels=colours.txt"]
    assert main([*command, "--calibration", "photo.png"]) == 0
    spec = read_manifest(tmp_path / "net-int8.toml")
    assert spec.labels == ["red", "green"]
    assert {"saved_model.pb", "colours.txt"} <= set(spec.origin.files)


def test_a_graph_that_tensorflow_cannot_read_is_one_error(tf, tmp_path):
    """An operator of another program, or an attribute that is missing."""
    from edge_detect.tools.convert.tfjs_function import convert_tfjs

    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, 64, 64, 3), name="images")
        saved_models.detector(tf, 64)(image)
    definition = graph.as_graph_def()
    next(node for node in definition.node if node.op == "Conv2D").op = "NoSuchOperator"
    tfjs_models.write_tfjs(tf, definition, tmp_path)
    with pytest.raises(ModelError, match="a graph that TensorFlow cannot read") as caught:
        convert_tfjs(tmp_path, tmp_path, None)
    assert "tensorflowjs_converter" in caught.value.hint


def test_operators_without_a_result_are_no_outputs(tf):
    """Checks and groups are left in the graph by training."""
    from edge_detect.tools.convert.tfjs_function import _results

    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 3), name="images")
        check = tf.raw_ops.Assert(condition=tf.constant(True), data=[image])
        tf.group(check, name="group")
        tf.identity(image * 2.0, name="output")
    assert _results(graph.as_graph_def()) == ["output"]


def test_any_detector_for_tensorflow_js_becomes_a_float_file(tf, tmp_path):
    """A graph model that is no SSD of the Object Detection API is read by its graph alone."""
    from edge_detect.tools.convert.tfjs_function import convert_tfjs

    folder = tmp_path / "net_web_model"
    folder.mkdir()
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, 64, 64, 3), name="images")
        saved_models.detector(tf, 64)(image)
    tfjs_models.write_tfjs(tf, graph.as_graph_def(), folder)
    assert not is_ssd(folder)
    made = convert_tfjs(folder, tmp_path, None)
    picture = np.random.default_rng(1).random((1, 64, 64, 3), np.float32)
    wanted = saved_models.detector(tf, 64)(picture)["output"].numpy()
    np.testing.assert_allclose(run(made, picture), wanted, atol=1e-5)
