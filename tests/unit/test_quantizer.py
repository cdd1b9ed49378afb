"""Float TFLite files become INT8 ones that compute nearly the same, without TensorFlow."""

import numpy as np
import pytest
from support.quantized import RANGE, noise_share, run
from support.small_networks import (
    SmallNetwork,
    leaky_network,
    relu6_network,
    small_pictures,
)

from edge_detect.core import ModelError
from edge_detect.tools.convert.equalize import choose_factors, equalize
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.flip import flip_negative_channels
from edge_detect.tools.convert.importance import channel_importance
from edge_detect.tools.convert.quantize import (
    QuantizerOptions,
    calibrate,
    quantize,
    quantize_calibrated,
)
from edge_detect.tools.convert.ranges import RangePlanner
from edge_detect.tools.convert.simplify import simplify

NETWORKS = {"relu6": relu6_network, "leaky": leaky_network}


@pytest.fixture(scope="module", params=list(NETWORKS))
def content(request):
    """A float network."""
    return NETWORKS[request.param]()


@pytest.fixture(scope="module")
def fresh():
    """A picture that calibration does not see."""
    return small_pictures(1, seed=9)[0]


def test_quantized_network_computes_nearly_the_same(content, fresh):
    made = quantize(content, small_pictures(), RANGE, options=QuantizerOptions())
    assert noise_share(run(content, fresh), run(made, fresh)) < 0.12


def test_all_operators_and_outputs_are_int8_and_keep_their_names(content):
    graph = Graph(quantize(content, small_pictures(), RANGE, options=QuantizerOptions()))
    types = graph.schema.TensorType
    assert {tensor.type for tensor in graph.tensors} <= {types.INT8, types.INT32}
    assert [graph.name(int(index)) for index in graph.subgraph.outputs] == ["boxes", "scores"]


def test_same_pictures_give_the_same_bytes(content):
    first, second = (
        quantize(content, small_pictures(), RANGE, options=QuantizerOptions()) for _ in range(2)
    )
    assert first == second


def unequal_network():
    """ReLU6 with channels that differ in size by up to a hundred, none of which reaches six."""
    net = SmallNetwork(2)
    sizes = 10.0 ** net.random.uniform(-2, 0, (24, 1, 1, 1))
    weights = sizes * net.random.normal(0, 0.5, (24, 1, 1, 3))
    wide = net.conv(net.image, 24, size=1, activation="RELU6", weights=weights, bias=np.zeros(24))
    back = net.random.normal(0, 0.3, (4, 1, 1, 24)) / sizes.reshape(24)
    return net.to_bytes(out=net.conv(wide, 4, size=1, weights=back))


def test_equalization_makes_channels_of_unequal_size_precise(fresh):
    content = unequal_network()
    calibrated = calibrate(content, small_pictures(), RANGE)
    wanted = run(content, fresh)
    without, with_it = (
        noise_share(wanted, run(quantize_calibrated(calibrated, QuantizerOptions(limit)), fresh))
        for limit in (0, 24)
    )
    assert with_it < 0.7 * without


def test_simplified_network_computes_the_same(content, fresh):
    graph = Graph(content)
    simplify(graph)
    wanted, found = run(content, fresh), run(graph.to_bytes(), fresh)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


@pytest.mark.parametrize("make", [leaky_network, unequal_network])
def test_equalized_network_computes_the_same(make):
    calibrated = calibrate(make(), small_pictures(), RANGE)
    graph, histograms = Graph(calibrated.content), calibrated.statistics.histograms
    planner = RangePlanner(graph, histograms, channel_importance(graph, histograms), {})
    powers = choose_factors(graph, planner, clip_weight=4, limit=16)
    assert max(one.max() for one in powers.values()) > 4
    equalize(graph, powers)
    pixels = small_pictures(1, seed=3)[0]
    wanted, found = run(calibrated.content, pixels), run(graph.to_bytes(), pixels)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)


def test_outputs_and_sums_with_them_keep_their_size():
    calibrated = calibrate(relu6_network(), small_pictures(), RANGE)
    graph, histograms = Graph(calibrated.content), calibrated.statistics.histograms
    planner = RangePlanner(graph, histograms, channel_importance(graph, histograms), {})
    powers = choose_factors(graph, planner, clip_weight=4, limit=16)
    (total,) = (one for one in graph.operators if graph.kind(one) == "ADD")
    for index in map(int, graph.subgraph.outputs):
        assert not powers[index].any()
    first, second, result = (powers[int(i)] for i in (*total.inputs, *total.outputs))
    np.testing.assert_array_equal(first, result)
    np.testing.assert_array_equal(second, result)


def test_positive_values_pass_a_leaky_relu_without_being_rounded_again():
    graph = Graph(quantize(leaky_network(), small_pictures(), RANGE, options=QuantizerOptions()))
    units = [one for one in graph.operators if graph.kind(one) == "LEAKY_RELU"]
    steps = {(graph.scale(int(one.inputs[0])), graph.scale(int(one.outputs[0]))) for one in units}
    assert all(before == pytest.approx(after, rel=1e-6) for before, after in steps)


def test_pool_comes_before_the_leaky_relu_that_it_followed():
    graph = Graph(leaky_network())
    simplify(graph)
    kinds = [graph.kind(one) for one in graph.operators]
    assert kinds[:3] == ["CONV_2D", "MAX_POOL_2D", "LEAKY_RELU"]


def negative_channel_network():
    """A network with a channel that is never above zero, and is read with large weights."""
    net = SmallNetwork(3)
    weights = net.random.normal(0, 0.2, (4, 1, 1, 3))
    first = net.leaky(net.conv(net.image, 4, size=1, weights=weights, bias=[1, -3, 0, 0.5]))
    reading = net.random.normal(0, 0.3, (6, 3, 3, 4))
    reading[..., 1] *= 10
    second = net.leaky(net.conv(first, 6, weights=reading))
    return net.to_bytes(out=net.conv(second, 3, size=1))


def test_channel_that_is_never_positive_is_negated(fresh):
    content = negative_channel_network()
    calibrated = calibrate(content, small_pictures(), RANGE)
    graph = Graph(calibrated.content)
    (unit, *_) = (one for one in graph.operators if graph.kind(one) == "LEAKY_RELU")
    histogram = calibrated.statistics.histograms[int(unit.outputs[0])]
    assert histogram.low[1] >= 0
    wanted, found = run(content, fresh), run(calibrated.content, fresh)
    np.testing.assert_allclose(found["out"], wanted["out"], atol=1e-4)
    made = quantize_calibrated(calibrated, QuantizerOptions())
    assert noise_share(wanted, run(made, fresh)) < 0.05


def test_no_channel_is_negated_twice():
    calibrated = calibrate(negative_channel_network(), small_pictures(), RANGE)
    assert flip_negative_channels(Graph(calibrated.content), calibrated.statistics) == 0


def test_bias_of_a_filter_of_zeros_is_kept(fresh):
    net = SmallNetwork(5)
    weights = net.random.normal(0, 0.5, (4, 3, 3, 3))
    weights[2] = 0
    first = net.conv(net.image, 4, weights=weights, bias=[0.1, 0.2, 3.0, 0.4], activation="RELU6")
    content = net.to_bytes(out=net.conv(first, 2, size=1))
    made = quantize(content, small_pictures(), RANGE, options=QuantizerOptions())
    wanted, found = run(content, fresh)["out"], run(made, fresh)["out"]
    np.testing.assert_allclose(found, wanted, atol=0.06)


def test_operators_without_integer_kernel_stay_in_float_between_conversions(fresh):
    net = SmallNetwork(7)
    middle = net.exponential(net.conv(net.image, 4))
    content = net.to_bytes(out=net.conv(middle, 2, size=1))
    made = quantize(content, small_pictures(), RANGE, options=QuantizerOptions())
    graph = Graph(made)
    kinds = [graph.kind(one) for one in graph.operators]
    assert kinds == ["CONV_2D", "DEQUANTIZE", "EXP", "QUANTIZE", "CONV_2D"]
    assert noise_share(run(content, fresh), run(made, fresh)) < 0.06


def test_logistic_has_the_range_that_its_kernel_demands(fresh):
    net = SmallNetwork(7)
    content = net.to_bytes(out=net.logistic(net.conv(net.image, 4)))
    made = quantize(content, small_pictures(), RANGE, options=QuantizerOptions())
    graph = Graph(made)
    assert graph.scale(int(graph.subgraph.outputs[0])) == 1 / 256
    assert noise_share(run(content, fresh), run(made, fresh)) < 0.06


def test_logits_have_the_range_of_plus_minus_eight_whatever_was_seen(content):
    made = quantize(
        content, small_pictures(), RANGE, score_outputs=["scores"], options=QuantizerOptions()
    )
    graph = Graph(made)
    assert graph.scale(int(graph.subgraph.outputs[1])) == pytest.approx(16 / 255)


def test_range_that_is_given_for_an_output_is_taken():
    calibrated = calibrate(
        leaky_network(), small_pictures(), RANGE, output_ranges={"boxes": (-3.0, 5.0)}
    )
    graph = Graph(quantize_calibrated(calibrated, QuantizerOptions()))
    assert graph.scale(int(graph.subgraph.outputs[0])) == pytest.approx(8 / 255)


def test_network_of_another_type_is_refused(content):
    made = quantize(content, small_pictures(), RANGE, options=QuantizerOptions())
    with pytest.raises(ModelError, match="float32"):
        quantize(made, small_pictures(), RANGE, options=QuantizerOptions())
