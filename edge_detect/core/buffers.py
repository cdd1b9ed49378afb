"""Image buffers that are reused as soon as, and only when, nobody looks at them any more."""

import sys

import numpy as np

from edge_detect.core.frame import Image

__all__ = ["ImagePool"]


class ImagePool:
    """Hands out image arrays and takes them back by itself.

    A buffer is free when nothing but the pool refers to it. NumPy views, views of views and
    memoryviews all hold a reference to the array that owns the memory, so CPython's
    reference count of that array tells: no `release()` that someone could forget or call
    too early. Each pool belongs to one thread; the images may travel to any other.

    Args:
        capacity: Most buffers kept for reuse; when all are held, further images are
            allocated afresh and not kept.
    """

    def __init__(self, capacity: int = 8) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._capacity = capacity
        self._buffers: list[Image] = [np.empty((1, 1, 3), np.uint8)]
        # How many references an unused buffer has, seen from inside _find_free; measured,
        # because interpreters differ in what a loop and a call add.
        self._unused = 0
        self._unused = self._count(0)
        self._buffers.clear()
        self._shape: tuple[int, int, int] = (0, 0, 0)
        self._next = 0

    def take(self, height: int, width: int) -> Image:
        """A writable image with unspecified content.

        Args:
            height: Pixels; a change drops the buffers of the old size.
            width: Pixels.

        Returns:
            (height, width, 3) uint8, C-contiguous; nobody else holds it.
        """
        shape = (height, width, 3)
        if shape != self._shape:
            self._buffers.clear()
            self._shape = shape
        count = len(self._buffers)
        for step in range(count):
            # Round robin: the buffer given longest ago is the likeliest to be free.
            index = (self._next + step) % count
            if self._count(index) == self._unused:
                self._next = index + 1
                return self._buffers[index]
        image = np.empty(shape, np.uint8)
        if count < self._capacity:
            self._buffers.append(image)
        return image

    def __len__(self) -> int:
        """How many buffers the pool keeps, free or held."""
        return len(self._buffers)

    def _count(self, index: int) -> int:
        return sys.getrefcount(self._buffers[index])
