"""How far an output of an ONNX network is from that of its TFLite twin."""

import numpy as np
import pytest

from edge_detect.tools.convert.onnx_parity import nearest

WANTED = np.random.default_rng(2).normal(0, 3, (1, 6, 20)).astype(np.float32)


def test_an_output_in_another_order_of_axes_is_equal():
    assert nearest(WANTED, [WANTED]) == 0
    assert nearest(WANTED, [np.zeros((1, 7)), WANTED.transpose(0, 2, 1)]) == 0


def test_a_difference_is_a_part_of_the_greatest_value():
    scale = np.abs(WANTED).max()
    assert nearest(WANTED, [WANTED + np.float32(scale / 10)]) == pytest.approx(0.1, rel=1e-4)


def test_sixteen_bits_are_compared_as_numbers():
    assert nearest(WANTED.astype(np.float16), [WANTED]) < 1e-3


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["onnx", "tflite"])
def test_what_is_not_finite_is_never_equal(value, where):
    broken = WANTED.copy()
    broken[0, 0, 0] = value
    pair = (broken, WANTED) if where == "onnx" else (WANTED, broken)
    assert nearest(pair[0], [pair[1]]) == 1e9


@pytest.mark.parametrize("found", [[], [WANTED[0]], [WANTED[:, :5]], [WANTED.reshape(1, 20, 2, 3)]])
def test_an_output_of_another_rank_or_size_is_none(found):
    assert nearest(WANTED, found) == 1e9
