"""Where a float network is cut, and what the detector can decode of the rest."""

import warnings

import numpy as np
import pytest

from edge_detect.core import ModelError
from edge_detect.models.infer.overrides import Overrides, parse_overrides
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float_file import read_float_file
from edge_detect.tools.convert.float_tail import append_float_tail
from edge_detect.tools.convert.from_float import stays_in_float, without_layers
from edge_detect.tools.convert.fuse import fuse_activations
from edge_detect.tools.convert.heads import cut_at, find_heads, reaches_image, split_filters
from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.output_heads import logit_outputs
from edge_detect.tools.convert.quantize import QuantizerOptions, quantize
from edge_detect.tools.convert.raw_heads import raw_guesses
from edge_detect.tools.convert.save import save_model
from tests.support import float_networks as networks
from tests.support.made_models import FROM_INPUT, tensor, write_made

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
    assert f"edge-detect models add {tmp_path / 'net.tflite'}" in caught.value.hint


def test_a_quantized_file_is_refused_before_its_anchors_are_missed(tmp_path):
    image = tensor("image", (1, 64, 64, 3), "int8", 1 / 255, -128)
    grids = tensor("grids", (1, 8, 8, 21), "int8", 0.1, 0, values=0)
    path = write_made(tmp_path / "net.tflite", [image], [grids])
    with pytest.raises(ModelError, match="is quantized already"):
        read_float_file(path, Overrides())


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


def test_an_operator_without_options_keeps_its_activation_behind_it():
    """Files may leave out options that are all at their defaults."""
    net = networks.FloatNet(8, 8)
    x = net.conv(net.image, np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3)), np.zeros(4))
    graph = Graph(net.to_bytes([net.unary("RELU", net.binary("ADD", x, [0.5]))], ["output"]))
    graph.operators[1].builtinOptions, graph.operators[1].builtinOptionsType = None, 0
    fused = Graph(fuse_activations(graph.to_bytes()))
    assert [fused.kind(one) for one in fused.operators] == ["CONV_2D", "ADD", "RELU"]


def test_an_output_that_is_a_constant_stays_one():
    """Such as the number of candidates, which depends on no pixel."""
    net = networks.FloatNet(8, 8)
    x = net.conv(net.image, np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3)), np.zeros(4))
    count = net.constant(np.float32([3.0]))
    content = net.to_bytes([net.unary("LOGISTIC", x), count], ["output", "count"])
    heads = {"head0": find_heads(Graph(content))[0]}
    random = np.random.default_rng(1)
    pixels = [random.integers(0, 256, (1, 8, 8, 3), np.uint8) for _ in range(2)]
    cut = quantize(cut_at(content, heads), pixels, (0.0, 1.0), options=QuantizerOptions())
    whole = append_float_tail(cut, content, heads)
    interpreter = open_interpreter(whole)
    interpreter.invoke()
    found = {
        one["name"]: interpreter.get_tensor(one["index"])
        for one in interpreter.get_output_details()
    }
    assert found["count"].tolist() == [3.0]
    assert found["output"].shape == (1, 8, 8, 4)


def test_a_head_with_more_columns_than_pixels_is_no_grid(read):
    """A grid is never finer than the picture."""
    found = read(networks.yolov8())
    graph = Graph(found.content)
    heads = find_heads(graph)
    graph.tensors[heads[0]].shape = np.array([1, 8, 300, 64], np.int32)
    assert list(raw_guesses(graph.to_bytes(), found.spec, heads)) == []


def test_anchors_are_measured_beside_another_output(read):
    """Exports may have outputs that the detector does not need."""
    plain = networks.yolov5()
    found = read(plain)
    graph = Graph(found.content)
    heads = find_heads(graph)
    joined = int(graph.subgraph.outputs[0])
    graph.set_outputs({graph.name(joined): joined, "raw": heads[0]})
    guess = next(raw_guesses(graph.to_bytes(), found.spec, heads))
    assert guess.manifest["yolo"]["coding"] == "squared"


def test_saturated_cells_tell_no_anchors_and_warn_of_nothing(read):
    """Logits beyond what exp() can take are the user's model, not a line on the terminal."""
    found = read(networks.yolov5())
    graph = Graph(found.content)
    heads = find_heads(graph)
    bias = int(graph.producer(heads[0]).inputs[2])
    graph.set_values(bias, np.full_like(graph.values(bias), -1e4))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert list(raw_guesses(graph.to_bytes(), found.spec, heads)) == []


def test_a_transformer_is_told_by_its_manifest_and_its_products(read, tmp_path):
    """With a manifest beside it, too; other models stay quantizable."""
    found = read(networks.transformer())
    assert stays_in_float(found)
    manifest = found.spec.model_dump(mode="json", exclude_none=True, exclude={"name", "file"})
    save_model(tmp_path / "net.tflite", networks.transformer(), manifest)
    described = read_float_file(tmp_path / "net.tflite", Overrides())
    assert "as its manifest says" in described.summary
    assert stays_in_float(described)
    (tmp_path / "net.toml").unlink()
    assert not stays_in_float(read(networks.yolov8()))


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


def test_outputs_that_are_constants_are_told_from_pixels_that_pass_by(tmp_path):
    image = tensor("image", (1, 64, 64, 3))
    output = tensor("output", (1, 6, 84), values=0)
    constant = Graph(write_made(tmp_path / "constant.tflite", [image], [output]).read_bytes())
    reshaped = tensor("output", (1, 64 * 64, 3), values=FROM_INPUT)
    passing = Graph(write_made(tmp_path / "passing.tflite", [image], [reshaped]).read_bytes())
    assert find_heads(constant) == find_heads(passing) == []
    assert (reaches_image(constant), reaches_image(passing)) == (False, True)
    assert "its outputs are constants" in without_layers("m.tflite", constant).message
    assert "without any layer between" in without_layers("m.tflite", passing).message
