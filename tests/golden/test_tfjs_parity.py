"""An SSD read from a TensorFlow.js graph model computes what TensorFlow computes."""

import json

import numpy as np
import pytest

from edge_detect.core import ModelError, Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.sections.anchors import BoxAnchors, ListedAnchors
from tests.support import tfjs_models as tfjs

pytestmark = pytest.mark.convert
RULE = BoxAnchors(**tfjs.RULE)
LABELS = ["first", "n/a", "third"]
QUANTIZED = {
    "layer_0/weights": "uint8",
    "layer_1/weights": "uint16",
    "BoxPredictor_0/ClassPredictor/weights": "float16",
    "BoxPredictor_1/BoxEncodingPredictor/biases": "uint8",
}
JOINED = ["layer_0", "layer_1", "BoxPredictor_0/ClassPredictor", "BoxPredictor_1/ClassPredictor"]


@pytest.fixture(scope="module")
def tf():
    from edge_detect.tools.convert.float_model import load_tensorflow

    return load_tensorflow()


def corners():
    return tfjs.corners(anchor_boxes(RULE, Size(tfjs.SIZE, tfjs.SIZE)))


def outputs_of(model, pixels):
    """Boxes and logits of the float TFLite file of a network."""
    from edge_detect.tools.convert.float_model import float_tflite
    from edge_detect.tools.convert.interpreter import open_interpreter
    from edge_detect.tools.convert.quantize import to_real

    interpreter = open_interpreter(float_tflite(model))
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], to_real(pixels, model.input_range)
    )
    interpreter.invoke()
    found = {
        one["name"]: interpreter.get_tensor(one["index"])
        for one in interpreter.get_output_details()
    }
    return found["boxes"][0], found["scores"][0]


def decode(raw, scales):
    """Corner form of raw boxes, relative to the picture, written out."""
    anchors = anchor_boxes(RULE, Size(tfjs.SIZE, tfjs.SIZE)) / tfjs.SIZE
    parts = raw / np.array(scales)
    centre = anchors[:, :2] + parts[:, :2] * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(parts[:, 2:]) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


@pytest.mark.parametrize("kinds", [{}, QUANTIZED], ids=["float32", "quantized"])
@pytest.mark.parametrize("joined", [[], JOINED], ids=["apart", "joined"])
def test_boxes_and_scores_equal_those_of_the_tensorflow_session(tf, tmp_path, kinds, joined):
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    graph = tfjs.small_ssd(tf, corners())
    stored = tfjs.quantize_weights(tf, graph, kinds)
    pixels = np.random.default_rng(5).integers(0, 256, (1, tfjs.SIZE, tfjs.SIZE, 3), np.uint8)
    boxes, scores = tfjs.run(tf, graph, pixels, ["decoded", "Postprocessor/convert_scores"])
    tfjs.join(graph, joined)
    tfjs.write_tfjs(tf, graph, tmp_path, stored, texts_as_lists=not joined)

    model, manifest = convert_ssd_tfjs(tmp_path, LABELS)

    assert manifest["labels"] == ["first", "third"]
    raw, logits = outputs_of(model, pixels)
    np.testing.assert_allclose(decode(raw, manifest["ssd"]["box_scales"]), boxes, atol=1e-4)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), scores[:, [1, 3]], atol=1e-4)
    assert scores.std() > 0.1
    assert set(manifest["origin"]["files"]) == {path.name for path in tmp_path.iterdir()}


def test_box_scales_are_those_of_the_graph(tf, tmp_path):
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    graph = tfjs.small_ssd(tf, corners())
    for node in graph.node:
        if node.name == "tenth":
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.float32(0.25)))
    tfjs.write_tfjs(tf, graph, tmp_path)
    _, manifest = convert_ssd_tfjs(tmp_path / "model.json", LABELS)
    assert manifest["ssd"]["box_scales"] == [4, 4, 5, 5]


def test_anchors_that_follow_another_rule_are_listed(tf, tmp_path):
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    tfjs.write_tfjs(tf, tfjs.small_ssd(tf, corners() * 0.9), tmp_path)
    _, manifest = convert_ssd_tfjs(tmp_path, LABELS)
    listed = ListedAnchors.model_validate(manifest["ssd"]["anchors"])
    found = anchor_boxes(listed, Size(tfjs.SIZE, tfjs.SIZE))
    wanted = anchor_boxes(RULE, Size(tfjs.SIZE, tfjs.SIZE)) * 0.9
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_wrong_number_of_labels_is_refused(tf, tmp_path):
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    tfjs.write_tfjs(tf, tfjs.small_ssd(tf, corners()), tmp_path)
    with pytest.raises(ModelError, match="4 labels"):
        convert_ssd_tfjs(tmp_path, ["a", "b", "c", "d"])


def test_a_node_that_cannot_be_read_is_one_clear_error(tf, tmp_path):
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    tfjs.write_tfjs(tf, tfjs.small_ssd(tf, corners()), tmp_path)
    file = tmp_path / "model.json"
    model = json.loads(file.read_text(encoding="utf-8"))
    model["modelTopology"]["node"][3]["attr"] = {"T": {"type": "DT_NONSENSE"}}
    file.write_text(json.dumps(model), encoding="utf-8")
    with pytest.raises(ModelError, match="malformed node"):
        convert_ssd_tfjs(tmp_path, LABELS)
