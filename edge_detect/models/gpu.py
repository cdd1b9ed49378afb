"""LiteRT's own way to a GPU, behind the interface of all sessions.

It is used within a helper only: drivers of GPUs print a lot, and some of them hang.
"""

from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import AcceleratorError
from edge_detect.models.runtime import open_session

__all__ = ["CompiledSession", "open_compiled"]


class CompiledSession:
    """A model that LiteRT has compiled for a device.

    Args:
        model: LiteRT's `CompiledModel`.
        likeness: The same model in an interpreter, which tells what the tensors mean.
    """

    slots = 1
    deferred = True
    threads = 1
    device = "gpu"

    def __init__(self, model: Any, likeness: Any) -> None:
        self.runtime = f"litert {metadata.version('ai-edge-litert')}"
        self.inputs = likeness.inputs
        self.outputs = dict(likeness.outputs)
        self._model = model
        key = next(iter(model.get_signature_list()))
        names = list(model.get_output_tensor_details(key))
        self._infos = [self.outputs[name] for name in names]
        self._given = model.create_input_buffers(0)
        self._taken = model.create_output_buffers(0)
        self._input: NDArray[Any] = np.zeros(self.inputs[0].shape, self.inputs[0].dtype)
        self._results: dict[str, NDArray[Any]] = {}

    def input_view(self, slot: int = 0) -> NDArray[Any]:  # noqa: ARG002 - there is one
        """See `Session`."""
        return self._input

    def output_views(self, slot: int = 0) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """See `Session`."""
        return self._results

    def begin(self, slot: int = 0) -> None:
        """Nothing yet: the thread that waits for the result does the work."""

    def finish(self, slot: int = 0) -> int:  # noqa: ARG002
        """See `Session`; bringing the tensors to the device and back counts."""
        begin_ns = perf_counter_ns()
        self._given[0].write(self._input)
        self._model.run_by_index(0, self._given, self._taken)
        for info, buffer in zip(self._infos, self._taken, strict=True):
            values = buffer.read(int(np.prod(info.shape)), info.dtype)
            self._results[info.name] = values.reshape(info.shape)
        return perf_counter_ns() - begin_ns

    def invoke(self) -> None:
        """See `Session`."""
        self.finish()

    def close(self) -> None:
        """See `Session`."""
        self._results.clear()
        self._given, self._taken = [], []
        self._model = None


def open_compiled(
    path: Path, *, on_gpu: bool = True, input_shape: Sequence[int] | None = None
) -> CompiledSession:
    """Compile a model for a GPU; what the GPU does not take stays on the CPU.

    Args:
        path: The `.tflite` file.
        on_gpu: Whether a GPU is used at all; else the same by the CPU alone.
        input_shape: Shape of the input, taken where the model leaves it open.

    Raises:
        AcceleratorError: There is no GPU that LiteRT can use, it refuses the model, or LiteRT
            is not installed.
        ModelError: The file cannot be used.
    """
    try:
        litert: Any = import_module("ai_edge_litert.compiled_model")
    except ImportError as error:
        raise AcceleratorError(
            f"a GPU needs LiteRT: {error}", "pip install 'ai-edge-litert>=2.1'"
        ) from error
    likeness = open_session(path, threads=1, runtime="litert", input_shape=input_shape)
    kinds = litert.HardwareAccelerator
    try:
        model = litert.CompiledModel.from_file(
            str(path), hardware_accel=kinds.GPU | kinds.CPU if on_gpu else kinds.CPU
        )
        if -1 in likeness.inputs[0].signature[1:]:
            model.resize_input_tensor(0, likeness.inputs[0].shape, strict=False)
        return CompiledSession(model, likeness)
    except (RuntimeError, ValueError) as error:
        raise AcceleratorError("LiteRT found no GPU that it can use for this model") from error
    finally:
        likeness.close()
