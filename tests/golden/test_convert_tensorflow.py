"""TensorFlow's own formats become INT8 by way of a float file."""

import cv2
import numpy as np
import pytest

from edge_detect.core import ModelError, Size
from edge_detect.models.infer.overrides import parse_overrides
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
