"""The quantizer takes what converters write, and what it cannot take it refuses."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from support.odd_networks import ODD_NETWORKS, odd_network
from support.quantized import RANGE, noise_share, run
from support.small_networks import SIZE, SmallNetwork, leaky_network, small_pictures

from edge_detect.core import ModelError
from edge_detect.tools.convert.correction import corrected_views, correction_sites
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.quantize import (
    QuantizerOptions,
    calibrate,
    float_operators,
    quantize,
    quantize_calibrated,
)
from edge_detect.tools.convert.simplify import simplify

FRESH = small_pictures(1, seed=9)[0]
IN_FLOAT = {"in_groups": ["CONV_2D"]}


def quantized(content, **more):
    return quantize(content, small_pictures(2), RANGE, options=QuantizerOptions(), **more)


def steps_of(content):
    """Scale and zero point of each output, by name."""
    details = open_interpreter(content, keep=False).get_output_details()
    return {one["name"]: one["quantization"] for one in details}


@pytest.mark.parametrize("name", ODD_NETWORKS)
def test_network_computes_nearly_the_same(name):
    content = odd_network(name)
    made = quantized(content)
    assert noise_share(run(content, FRESH), run(made, FRESH)) < 0.07
    assert float_operators(made) == IN_FLOAT.get(name, [])


@pytest.mark.parametrize("name", ["twice_itself_and_three", "constant_per_column", "sum_by_add_n"])
def test_simplified_network_computes_the_same(name):
    content = odd_network(name)
    graph = Graph(content)
    simplify(graph)
    wanted, found = run(content, FRESH)["out"], run(graph.to_bytes(), FRESH)["out"]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_sum_that_is_an_output_keeps_its_terms():
    net = SmallNetwork()
    first, second = net.conv(net.image, 4), net.conv(net.image, 4)
    total = net.sum(net.sum(first, second), net.constant(np.array([3], np.float32)))
    content = net.to_bytes(first=first, second=second, total=total)
    graph = Graph(content)
    simplify(graph)
    wanted, found = run(content, FRESH), run(graph.to_bytes(), FRESH)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_constant_of_integers_is_not_folded_into_a_bias():
    net = SmallNetwork()
    shape = net.integers("SHAPE", [net.image], (4,), "Shape", outType=schema.TensorType.INT32)
    more = net.constant(np.array([0, 0, 0, 0], np.int32))
    shape = net.integers("ADD", [shape, more], (4,), "Add")
    made = net.add("RESHAPE", [net.conv(net.image, 3), shape], net.shape(net.image), "Reshape")
    assert float_operators(quantized(net.to_bytes(out=made))) == []


def test_constants_of_every_type_can_be_read():
    net = SmallNetwork()
    graph = Graph(net.to_bytes(out=net.conv(net.image, 2)))
    for name, dtype in (("INT64", np.int64), ("FLOAT16", np.float16), ("BOOL", np.bool_)):
        index = graph.add_tensor(name, [3])
        graph.tensors[index].type = getattr(graph.schema.TensorType, name)
        values = np.array([1, 0, 1], dtype)
        graph.set_values(index, values)
        np.testing.assert_array_equal(graph.values(index), values)
        assert graph.values(index).dtype == dtype


def test_outputs_in_one_scale_are_clipped_to_neither_range():
    net = SmallNetwork()
    both = net.conv(net.image, 8, weights=5 * net.random.normal(0, 1, (8, 3, 3, 3)))
    boxes = net.add("SPLIT", [net.constant(np.array(3, np.int32)), both],
                    (1, SIZE, SIZE, 4), "Split", numSplits=2)  # fmt: skip
    scores = net.tensor("scores", (1, SIZE, SIZE, 4))
    net.graph.operators[-1].outputs.append(scores)
    content = net.to_bytes(boxes=boxes, scores=scores)
    made = quantized(content, score_outputs=["scores"])
    wanted, found = run(content, FRESH)["boxes"], run(made, FRESH)["boxes"]
    assert np.abs(wanted).max() > 16
    assert noise_share({"boxes": wanted}, {"boxes": found}) < 0.1
    given = {"boxes": (-60.0, 10.0), "scores": (-20.0, 70.0)}
    steps = steps_of(quantized(content, output_ranges=given))
    for scale, _ in steps.values():
        assert scale == pytest.approx(130 / 255)


def test_leaky_relu_does_not_change_a_given_range():
    net = SmallNetwork()
    scores = net.conv(net.image, 4)
    content = net.to_bytes(scores=scores, out=net.conv(net.leaky(scores), 4))
    steps = steps_of(quantized(content, score_outputs=["scores"]))
    assert steps["scores"][0] == pytest.approx(16 / 255)


def test_probabilities_begin_at_the_least_integer():
    net = SmallNetwork()
    steps = steps_of(quantized(net.to_bytes(out=net.logistic(net.conv(net.image, 4)))))
    assert steps["out"] == (1 / 256, -128)


def test_activation_that_changes_no_output_has_the_range_that_was_seen():
    net = SmallNetwork()
    first = net.conv(net.image, 4)
    unused = net.conv(first, 2, weights=np.zeros((2, 3, 3, 4)))
    graph = Graph(quantized(net.to_bytes(out=unused)))
    source = int(graph.operators[-1].inputs[0])
    assert graph.scale(source) * 255 > 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value):
    net = SmallNetwork()
    weights = net.random.normal(0, 1, (4, 3, 3, 3))
    weights[0, 0, 0, 0] = value
    content = net.to_bytes(out=net.conv(net.conv(net.image, 4, weights=weights), 2))
    with pytest.raises(ModelError, match="not finite on a calibration picture"):
        quantized(content)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_one_picture_without_any_detail_is_enough(grey):
    net = SmallNetwork()
    content = net.to_bytes(out=net.conv(net.conv(net.image, 16, activation="RELU6"), 4))
    flat = np.full((1, SIZE, SIZE, 3), grey, np.uint8)
    made = quantize(content, [flat], RANGE, options=QuantizerOptions())
    wanted, found = run(content, flat)["out"], run(made, flat)["out"]
    np.testing.assert_allclose(found, wanted, atol=0.05 * np.abs(wanted).max())


def test_network_that_cannot_be_run_is_refused():
    net = SmallNetwork()
    first, second = net.conv(net.image, 4), net.conv(net.image, 3)
    with pytest.raises(ModelError, match="LiteRT cannot prepare the network"):
        quantized(net.to_bytes(out=net.sum(first, second)))


def test_output_that_is_listed_twice_stays_listed_twice():
    net = SmallNetwork()
    first = net.conv(net.image, 4)
    made = Graph(quantized(net.with_outputs(first, first)))
    assert len(made.subgraph.outputs) == 2


def test_outputs_of_one_name_are_refused():
    net = SmallNetwork()
    first, second = net.conv(net.image, 4), net.conv(net.image, 4)
    for index in (first, second):
        net.graph.tensors[index].name = "out"
    with pytest.raises(ModelError, match="several outputs are named 'out'"):
        quantized(net.with_outputs(first, second))


def test_activations_of_one_name_are_told_apart():
    net = SmallNetwork()
    first = net.conv(net.image, 4, activation="RELU")
    second = net.conv(first, 4, activation="RELU")
    content = net.to_bytes(out=net.conv(second, 4, size=1))
    named = Graph(content)
    for index in (first, second):
        named.tensors[index].name = b"same"
    made, same = quantized(content), quantized(named.to_bytes())
    np.testing.assert_array_equal(run(made, FRESH)["out"], run(same, FRESH)["out"])


def test_constant_output_is_refused():
    net = SmallNetwork()
    constant = net.constant(np.ones(3, np.float32))
    with pytest.raises(ModelError, match="'constant' is a constant"):
        quantized(net.with_outputs(net.conv(net.image, 4), constant))


def test_second_input_is_refused():
    net = SmallNetwork()
    other = net.tensor("other", net.shape(net.image))
    content = net.to_bytes(out=net.sum(net.image, other))
    graph = Graph(content)
    graph.subgraph.inputs = np.array([net.image, other], np.int32)
    with pytest.raises(ModelError, match="2 inputs"):
        quantized(graph.to_bytes())


def test_operators_in_float_are_listed():
    net = SmallNetwork()
    content = net.to_bytes(out=net.conv(net.exponential(net.conv(net.image, 4)), 2))
    assert float_operators(quantized(content)) == ["EXP"]


def test_file_has_no_codes_of_operators_that_are_gone():
    graph = Graph(quantized(odd_network("sum_by_add_n")))
    codes = {int(operator.opcodeIndex) for operator in graph.operators}
    assert codes == set(range(len(graph.model.operatorCodes)))


def test_original_is_kept_as_it_was_given():
    content = leaky_network()
    assert calibrate(content, small_pictures(1), RANGE).original == content


def test_biases_of_outputs_with_a_given_range_are_not_corrected():
    net = SmallNetwork()
    first = net.conv(net.image, 8)
    shape = (1, SIZE * SIZE, 4)
    target = net.constant(np.array(shape, np.int32))
    boxes, scores = net.conv(first, 4), net.conv(first, 4)
    moved = net.add("RESHAPE", [boxes, target], shape, "Reshape")
    graph = Graph(net.to_bytes(boxes=moved, scores=scores))
    assert [site.seen for site in correction_sites(graph)] == [first, boxes, scores]
    assert [site.seen for site in correction_sites(graph, [moved])] == [first, scores]


def test_biases_of_large_networks_are_corrected_on_fewer_views():
    small = Graph(leaky_network())
    assert list(corrected_views(small, 56)) == list(range(56))
    large = Graph(leaky_network())
    large.tensors[int(large.operators[0].outputs[0])].shape = np.array([1, 640, 640, 64], np.int32)
    assert list(corrected_views(large, 60)) == list(range(0, 60, 4))


def test_correction_takes_out_what_quantization_adds_on_average():
    net = SmallNetwork(4)
    start = net.conv(net.image, 16, activation="RELU6")
    for _ in range(4):
        start = net.conv(net.depthwise(start, activation="RELU6"), 16, size=1, activation="RELU6")
    content = net.to_bytes(out=net.conv(start, 4, size=1))
    calibrated = calibrate(content, small_pictures(2), RANGE)
    wanted = run(content, FRESH)["out"]
    shifts = [
        np.abs((run(quantize_calibrated(calibrated, options), FRESH)["out"] - wanted).mean((1, 2)))
        for options in (QuantizerOptions(0, 1.0, "nearest", correction) for correction in (0, 1))
    ]
    assert shifts[1].mean() < 0.5 * shifts[0].mean()
