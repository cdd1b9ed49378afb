"""Float TFLite files that are changed before they are quantized still compute the same."""

import numpy as np
import pytest

from edge_detect.core import ModelError, Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.sections.anchors import BoxAnchors
from tests.support import tfjs_models as tfjs

pytestmark = pytest.mark.convert


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A small SSD as float32 TFLite file; its third class is left in as a background first."""
    import tensorflow as tf

    from edge_detect.tools.convert.float_model import float_tflite
    from edge_detect.tools.convert.tfjs import convert_ssd_tfjs

    folder = tmp_path_factory.mktemp("ssd")
    anchors = anchor_boxes(BoxAnchors(**tfjs.RULE), Size(tfjs.SIZE, tfjs.SIZE))
    tfjs.write_tfjs(tf, tfjs.small_ssd(tf, tfjs.corners(anchors)), folder)
    model, _ = convert_ssd_tfjs(folder, ["first", "second", "third"])
    return float_tflite(model)


def outputs_of(content):
    from edge_detect.tools.convert.interpreter import open_interpreter

    random = np.random.default_rng(6)
    image = random.uniform(-1, 1, (1, tfjs.SIZE, tfjs.SIZE, 3)).astype(np.float32)
    interpreter = open_interpreter(content, keep=False)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return {
        one["name"]: interpreter.get_tensor(one["index"])
        for one in interpreter.get_output_details()
    }


def weights_in(content, kind):
    """Bytes of all constants of a type."""
    from edge_detect.tools.convert.flatbuffer import Graph

    graph = Graph(content)
    wanted = getattr(graph.schema.TensorType, kind)
    return sum(
        len(graph.model.buffers[tensor.buffer].data)
        for index, tensor in enumerate(graph.tensors)
        if tensor.type == wanted and graph.is_constant(index)
    )


def test_float16_weights_take_half_the_room_and_change_little(content):
    from edge_detect.tools.convert.float16 import store_float16

    halved = store_float16(content)
    assert 2 * weights_in(halved, "FLOAT16") == weights_in(content, "FLOAT32")
    assert weights_in(halved, "FLOAT32") == 0
    wanted, found = outputs_of(content), outputs_of(halved)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=0.02, rtol=0.02)
        assert not np.array_equal(found[name], values)


def test_folding_float16_weights_gives_the_same_numbers_without_dequantize(content):
    from edge_detect.tools.convert.flatbuffer import Graph
    from edge_detect.tools.convert.float16 import fold_float16, store_float16

    halved = store_float16(content)
    folded = fold_float16(halved)
    graph = Graph(folded)
    assert "DEQUANTIZE" not in {graph.kind(one) for one in graph.operators}
    assert graph.schema.TensorType.FLOAT16 not in {one.type for one in graph.tensors}
    wanted, found = outputs_of(halved), outputs_of(folded)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_file_without_float16_weights_is_left_as_it_is(content):
    from edge_detect.tools.convert.float16 import fold_float16

    assert fold_float16(content) is content


def test_a_weight_beyond_float16_is_refused(content):
    from edge_detect.tools.convert.flatbuffer import Graph
    from edge_detect.tools.convert.float16 import store_float16

    graph = Graph(content)
    weights = int(graph.operators[0].inputs[1])
    graph.set_values(weights, graph.values(weights) + np.float32(1e5))
    with pytest.raises(ModelError, match="65504"):
        store_float16(graph.to_bytes())


def test_dropped_background_leaves_the_other_columns_as_they_were(content):
    from edge_detect.tools.convert.drop_background import drop_background

    wanted = outputs_of(content)
    found = outputs_of(drop_background(content, "scores", 3))
    np.testing.assert_array_equal(found["boxes"], wanted["boxes"])
    np.testing.assert_array_equal(found["scores"], wanted["scores"][..., 1:])


@pytest.mark.parametrize(("name", "columns"), [("boxes", 5), ("scores", 7), ("nothing", 3)])
def test_background_of_another_network_is_refused(content, name, columns):
    from edge_detect.tools.convert.drop_background import drop_background

    with pytest.raises(ModelError):
        drop_background(content, name, columns)
