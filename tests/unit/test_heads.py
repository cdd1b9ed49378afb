"""Where a float network is cut, and what the detector can decode of the rest."""

import numpy as np
import pytest

from edge_detect.core import ModelError
from edge_detect.models.infer.overrides import Overrides, parse_overrides
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float_file import read_float_file
from edge_detect.tools.convert.fuse import fuse_activations
from edge_detect.tools.convert.heads import cut_at, find_heads, split_filters
from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.output_heads import logit_outputs
from edge_detect.tools.convert.raw_heads import raw_guesses
from tests.support import float_networks as networks

ANCHORS = ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 30))


@pytest.fixture
def read(tmp_path):
    def read_network(content, **said):
        (tmp_path / "net.tflite").write_bytes(content)
        (tmp_path / "net.names").write_text("\n".join(networks.LABELS), encoding="utf-8")
        return read_float_file(tmp_path / "net.tflite", parse_overrides(said))

    return read_network


def run(content, names=None):
    interpreter = open_interpreter(content, keep=False)
    detail = interpreter.get_input_details()[0]
    image = np.random.default_rng(1).random(detail["shape"], np.float32)
    interpreter.set_tensor(detail["index"], image)
    interpreter.invoke()
    return {
        one["name"]: interpreter.get_tensor(one["index"])
        for one in interpreter.get_output_details()
        if names is None or one["name"] in names
    }


def test_heads_are_the_last_convolutions_with_trained_weights(read):
    """The mean of a distribution is a convolution, too, but has no trained weights."""
    graph = Graph(read(networks.yolov8()).content)
    heads = find_heads(graph)
    assert [graph.shape(head) for head in heads] == [
        (1, 8, 8, 64),
        (1, 8, 8, 2),
        (1, 4, 4, 64),
        (1, 4, 4, 2),
    ]
    assert {graph.kind(graph.producer(head)) for head in heads} == {"CONV_2D"}


def test_a_network_whose_input_reaches_an_output_has_no_heads():
    """What is not behind a layer cannot be cut from it."""
    net = networks.FloatNet(8, 8)
    assert find_heads(Graph(net.to_bytes([net.unary("LOGISTIC", net.image)]))) == []


def test_a_cut_network_gives_what_the_whole_one_has_inside(read):
    """Cutting changes no value."""
    content = read(networks.yolov8()).content
    head = find_heads(Graph(content))[1]
    cut = cut_at(content, {"classes": head})
    graph = Graph(content)
    graph.set_outputs({"classes": head})
    assert np.array_equal(run(cut)["classes"], run(graph.to_bytes())["classes"])
    assert len(Graph(cut).operators) < len(graph.operators)


def test_filters_can_be_told_apart(read):
    """A convolution in parts gives the same values as in one piece."""
    graph = Graph(read(networks.yolov5()).content)
    head = find_heads(graph)[0]
    whole = run(cut_at(graph.to_bytes(), {"whole": head}))["whole"]
    made = split_filters(graph, head, {"even": list(range(0, 21, 2)), "odd": list(range(1, 21, 2))})
    found = run(cut_at(graph.to_bytes(), made))
    assert np.allclose(found["even"], whole[..., ::2], rtol=1e-5, atol=1e-5)
    assert np.allclose(found["odd"], whole[..., 1::2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "family", "logits"),
    [
        (networks.yolov8(), "dfl", 2),
        (networks.yolox(), "yolo", 6),
        (networks.yolov5(), "yolo", 4),
    ],
)
def test_known_heads_are_guessed(read, content, family, logits):
    """The first guess is the network's own family."""
    found = read(content)
    guess = next(raw_guesses(found.content, found.spec, find_heads(Graph(found.content))))
    assert guess.manifest["family"] == family
    named = logit_outputs(guess.manifest)
    assert len(named) == logits
    assert set(named) < set(run(guess.content))


def test_anchors_are_measured_in_the_graph(read):
    """Anchors of one's own training need not be given: the graph multiplies by them."""
    found = read(networks.yolov5(anchors=ANCHORS))
    guess = next(raw_guesses(found.content, found.spec, find_heads(Graph(found.content))))
    measured = [head["anchors"] for head in guess.manifest["yolo"]["heads"]]
    for pairs, flat in zip(measured, ANCHORS, strict=True):
        assert np.allclose(np.ravel(pairs), flat, rtol=1e-3)


def test_float16_weights_are_widened(read):
    """A float16 file becomes the float32 one with rounded weights."""
    found = read(networks.with_float16_weights(networks.yolov8()))
    kinds = {Graph(found.content).kind(one) for one in Graph(found.content).operators}
    assert "DEQUANTIZE" not in kinds


@pytest.mark.parametrize(
    ("change", "fact"),
    [("input", "is quantized already"), ("weights", "has quantized weights")],
)
def test_what_is_quantized_already_is_refused(tmp_path, change, fact):
    """An INT8 file is used as it is."""
    graph = Graph(networks.yolov8())
    int8 = graph.schema.TensorType.INT8
    first = graph.operators[0]
    graph.tensors[graph.subgraph.inputs[0] if change == "input" else first.inputs[1]].type = int8
    (tmp_path / "net.tflite").write_bytes(graph.to_bytes())
    with pytest.raises(ModelError, match=fact) as caught:
        read_float_file(tmp_path / "net.tflite", Overrides())
    assert "edge-detect models add net.tflite" in caught.value.hint


def test_activations_join_the_convolutions_before_them():
    """Converters of PyTorch's networks leave activations as operators of their own."""
    net = networks.FloatNet(8, 8)
    x = net.conv(net.image, np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3)), np.zeros(4))
    shown = net.conv(net.unary("RELU", x), np.ones((2, 1, 1, 4)), np.zeros(2))
    twice = net.add("ADD", [shown, net.unary("RELU6", shown)], [net.shape(shown)])
    content = net.to_bytes([twice], ["output"])
    fused = fuse_activations(content)
    assert np.array_equal(run(fused)["output"], run(content)["output"])
    graph = Graph(fused)
    # What another operator reads, too, stays as it is.
    assert [graph.kind(one) for one in graph.operators] == ["CONV_2D", "CONV_2D", "RELU6", "ADD"]


def test_operators_of_old_files_are_not_mixed_up():
    """Old files number operators in a field of one byte alone."""
    graph = Graph(networks.yolov8())
    for code in graph.model.operatorCodes:
        code.builtinCode, code.version = 0, 2
    graph = Graph(graph.to_bytes())
    first = graph.operators[0].outputs[0]
    made = graph.add_tensor("sum", list(graph.shape(int(first))))
    graph.add_operator("ADD", [first, first], [made], version=2)
    assert graph.kind(graph.operators[-1]) == "ADD"
