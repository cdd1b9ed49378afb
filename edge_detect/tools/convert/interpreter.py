"""LiteRT's interpreter, as the converter needs it."""

import os
from typing import Any

from numpy.typing import NDArray

from edge_detect.core import DependencyError, ModelError
from edge_detect.models.chatter import without_announcements

__all__ = ["invoke", "open_interpreter"]

_MAX_THREADS = 4


def open_interpreter(content: bytes, *, keep: bool = True) -> Any:
    """An interpreter ready to run.

    Args:
        content: A TFLite file.
        keep: Whether all inner tensors can be read after a run, which takes slower kernels.

    Raises:
        DependencyError: LiteRT is not installed.
        ModelError: LiteRT cannot run the network.
    """
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError as error:
        raise DependencyError(
            f"converting models needs LiteRT: {error}", "pip install 'ai-edge-litert>=2.1'"
        ) from error
    resolvers = litert.OpResolverType
    with without_announcements(b"INFO: Created TensorFlow Lite XNNPACK delegate"):
        try:
            opened = litert.Interpreter(
                model_content=content,
                num_threads=_idle_cores(),
                experimental_preserve_all_tensors=keep,
                experimental_op_resolver_type=(
                    resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep else resolvers.AUTO
                ),
            )
            opened.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"LiteRT cannot prepare the network: {error}") from error
    return opened


def invoke(interpreter: Any, *inputs: NDArray[Any]) -> None:
    """Run a network.

    Args:
        interpreter: From `open_interpreter`.
        inputs: In the order of the network's.

    Raises:
        ModelError: LiteRT cannot run it.
    """
    try:
        for place, values in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(place["index"], values)
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"LiteRT cannot run the network: {error}") from error


def _idle_cores() -> int:
    # Threads that wait for each other on a busy machine are slower than one.
    cores = len(os.sched_getaffinity(0))
    return max(1, min(_MAX_THREADS, cores - int(os.getloadavg()[0])))
