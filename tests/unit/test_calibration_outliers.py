"""Pictures on which a network runs wild are left out of calibration."""

import numpy as np
from support.small_networks import SIZE, SmallNetwork

from edge_detect.tools.convert.outliers import usual_pictures


def network():
    net = SmallNetwork(3)
    return net.to_bytes(out=net.conv(net.image, 4, size=1))


def pictures(*sizes):
    shape = (1, SIZE, SIZE, 3)
    random = np.random.default_rng(4)
    return [np.float32(size) * random.uniform(0.5, 1, shape).astype(np.float32) for size in sizes]


def test_a_picture_with_outputs_many_times_as_large_is_left_out():
    usual = usual_pictures(network(), pictures(1, 1.2, 0.9, 30, 1))
    assert usual.tolist() == [True, True, True, False, True]


def test_ordinary_differences_leave_all_pictures_in():
    assert usual_pictures(network(), pictures(1, 2, 0.3, 1.5)).all()


def test_of_two_pictures_none_is_the_unusual_one():
    assert usual_pictures(network(), pictures(1, 50)).all()
