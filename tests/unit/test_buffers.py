"""An image of the pool is reused only when nobody can see it any more."""

import numpy as np
import pytest

from edge_detect.core.buffers import ImagePool


def test_a_released_buffer_is_reused() -> None:
    pool = ImagePool(1)
    image = pool.take(4, 6)
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    address = image.ctypes.data
    del image
    assert pool.take(4, 6).ctypes.data == address


@pytest.mark.parametrize(
    "hold",
    [
        lambda image: image,
        lambda image: image[1:],
        lambda image: image[1:][:, 2:].T[0],
        lambda image: [{"key": image}],
        memoryview,
        lambda image: memoryview(image[2:]),
        lambda image: np.frombuffer(memoryview(image), np.uint8),
        lambda image: lambda: image,
    ],
)
def test_a_held_buffer_is_never_handed_out_again(hold) -> None:
    pool = ImagePool(2)
    kept = hold(pool.take(4, 6))
    buffer = pool._buffers[0]
    address = buffer.ctypes.data
    del buffer
    for _ in range(10):
        assert pool.take(4, 6).ctypes.data != address
    del kept
    assert address in {pool.take(4, 6).ctypes.data for _ in range(4)}


def test_when_all_are_held_images_are_made_afresh_and_not_kept() -> None:
    pool = ImagePool(2)
    held = [pool.take(4, 6) for _ in range(5)]
    assert len({image.ctypes.data for image in held}) == 5
    assert len(pool) == 2


def test_another_size_gets_its_own_buffers_and_leaves_held_images_alone() -> None:
    pool = ImagePool()
    old = pool.take(4, 6)
    old[:] = 7
    new = pool.take(8, 8)
    new[:] = 9
    assert new.shape == (8, 8, 3)
    assert (old == 7).all()
    assert len(pool) == 1


def test_a_steady_loop_needs_two_buffers() -> None:
    pool = ImagePool()
    image = None
    for _ in range(100):
        image = pool.take(4, 6)
    assert image is not None
    assert len(pool) == 2


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ImagePool(0)
