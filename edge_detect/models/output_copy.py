"""What one inference put out, kept while the next one overwrites the interpreter's memory."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OutputCopy"]

# For a copy NumPy releases the GIL, and in a busy pipeline gets it back much later. Only larger
# tensors than this are copied that way: holding the GIL would stop the other threads for too long.
_HELD_BYTES = 256 * 1024


class OutputCopy:
    """A copy of output tensors, in memory that is used again for later frames.

    Args:
        names: The tensors that are copied.

    Attributes:
        outputs: They, by name, batch dimension included.
        invoke_ns: How long their inference took, nanoseconds.
        copy_ns: How long the copying took, nanoseconds.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.outputs: dict[str, NDArray[Any]] = {}
        self.invoke_ns = self.copy_ns = 0
        self._names = tuple(dict.fromkeys(names))
        self._bytes: dict[str, memoryview] = {}

    def take(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy the outputs of an inference.

        Args:
            views: The outputs' memory by tensor name; none is kept.
        """
        for name in self._names:
            view = views[name]
            out = self.outputs.get(name)
            if out is None or out.shape != view.shape:
                out = self._make_room(name, view)
            if out.nbytes > _HELD_BYTES:
                np.copyto(out, view)
            else:
                self._bytes[name][:] = _bytes_of(view)

    def _make_room(self, name: str, view: NDArray[Any]) -> NDArray[Any]:
        """Memory for one tensor, whose shape some files do not tell."""
        out: NDArray[Any] = np.empty(view.shape, view.dtype)
        self.outputs[name], self._bytes[name] = out, _bytes_of(out)
        return out


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
