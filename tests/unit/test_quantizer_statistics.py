"""What a network's layers see is recorded exactly, also where it hardly changes."""

import numpy as np
import pytest
from support.small_networks import SIZE, SmallNetwork

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.statistics import gather_statistics


def gathered(content, pictures, averaged=range(9)):
    graph = Graph(content)
    return graph, gather_statistics(graph, pictures, averaged=averaged, progress=lambda: None)


def pictures_around(value, spread, count=3):
    random = np.random.default_rng(1)
    shape = (1, SIZE, SIZE, 3)
    return [random.normal(value, spread, shape).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_covariance_is_exact_however_large_the_mean(spread):
    net = SmallNetwork()
    made = net.conv(net.image, 4, size=1)
    content = net.to_bytes(out=made)
    _, found = gathered(content, pictures_around(50, spread))
    seen = found.inputs[made]
    np.testing.assert_allclose(seen.mean, 50, atol=spread)
    variances = np.diagonal(seen.covariance)
    np.testing.assert_allclose(variances, spread**2, rtol=0.4)
    assert np.linalg.eigvalsh(seen.covariance).min() > 0


def test_mean_is_taken_over_the_chosen_pictures():
    net = SmallNetwork()
    made = net.conv(net.image, 3, size=1, weights=np.eye(3).reshape(3, 1, 1, 3), bias=np.zeros(3))
    pictures = [np.full((1, SIZE, SIZE, 3), value, np.float32) for value in (0.25, 0.5, 0.75)]
    _, found = gathered(net.to_bytes(out=made), pictures, averaged=range(0, 3, 2))
    np.testing.assert_allclose(found.histograms[made].mean(np.ones(3), -9, 9), 0.5)


def test_layers_with_very_many_inputs_have_variances_alone():
    net = SmallNetwork()
    taps = SIZE * SIZE * 8
    flat = net.add("RESHAPE", [net.conv(net.image, 8), net.constant(np.array([1, taps], np.int32))],
                   (1, taps), "Reshape")  # fmt: skip
    weights = net.constant(net.random.normal(0, 0.01, (2, taps)).astype(np.float32))
    made = net.add("FULLY_CONNECTED", [flat, weights], (1, 2), "FullyConnected")
    _, found = gathered(net.to_bytes(out=made), pictures_around(0, 1))
    assert found.inputs[made].covariance.shape == (taps,)
