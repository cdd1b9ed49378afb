"""Between which real values each activation of a network is to be quantized.

Minimum and maximum are bad answers: one outlier in a thousand pictures costs every other
value its resolution. Here a range is the one that loses least, rounding and clipping
counted together, over values sampled while the float network looks at pictures.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.chatter import without_announcements
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float_model import load_tensorflow

__all__ = ["Samples", "best_range", "open_interpreter", "sample_activations", "scale_groups"]

Samples = dict[int, NDArray[np.float32]]

# One scale for input and output: the kernels of these only move values about.
_MOVERS = {
    "CONCATENATION",
    "MAX_POOL_2D",
    "PAD",
    "RESHAPE",
    "RESIZE_NEAREST_NEIGHBOR",
    "SLICE",
    "SPLIT",
    "STRIDED_SLICE",
    "TRANSPOSE",
}
_BINS = 2048
_STEPS = 40
# A prime, so that the sample does not keep in step with channels.
_SAMPLES_PER_PICTURE = 30011


def open_interpreter(content: bytes, *, keep: bool = True) -> Any:
    """An interpreter ready to run.

    Args:
        content: A TFLite file.
        keep: Whether all inner tensors can be read after a run, which takes slower kernels.
    """
    tf = load_tensorflow()
    resolvers = tf.lite.experimental.OpResolverType
    with without_announcements(b"INFO: Created TensorFlow Lite XNNPACK delegate"):
        interpreter = tf.lite.Interpreter(
            model_content=content,
            num_threads=2,
            experimental_preserve_all_tensors=keep,
            experimental_op_resolver_type=(
                resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep else resolvers.AUTO
            ),
        )
        interpreter.allocate_tensors()
    return interpreter


def sample_activations(
    content: bytes,
    inputs: Sequence[NDArray[np.float32]],
    *,
    progress: Callable[[int, int], None],
) -> Samples:
    """Run a float network over pictures and keep a sample of every activation.

    Args:
        content: A float TFLite file.
        inputs: (1, height, width, channels) float32 each.
        progress: Called with pictures done and pictures in all.

    Returns:
        For each tensor index the sampled values, the extremes of each picture among them.
    """
    graph = Graph(content)
    interpreter = open_interpreter(content)
    place = interpreter.get_input_details()[0]["index"]
    wanted = [index for operator in graph.operators for index in operator.outputs]
    kept: dict[int, list[NDArray[np.float32]]] = {index: [] for index in wanted}
    for number, pixels in enumerate(inputs, 1):
        interpreter.set_tensor(place, pixels)
        interpreter.invoke()
        for index in wanted:
            values = interpreter.get_tensor(index).reshape(-1)
            step = max(1, values.size // _SAMPLES_PER_PICTURE)
            # An even step would see only some of the channels.
            part = values[:: step | 1].copy()
            kept[index].append(np.append(part, [values.min(), values.max()]))
        progress(number, len(inputs))
    return {index: np.concatenate(parts) for index, parts in kept.items()}


def scale_groups(graph: Graph) -> list[list[int]]:
    """Activations that must have one scale in common, each group in order of execution."""
    group_of: dict[int, list[int]] = {}
    for operator in graph.operators:
        outputs = [int(index) for index in operator.outputs]
        if graph.kind(operator) not in _MOVERS:
            for index in outputs:
                group_of.setdefault(index, [index])
            continue
        sources = [int(index) for index in operator.inputs if int(index) in group_of]
        merged: list[int] = []
        for group in _distinct(group_of[index] for index in sources):
            merged += group
        merged += outputs
        for index in merged:
            group_of[index] = merged
    return _distinct(group_of.values())


def _distinct(groups: Iterable[list[int]]) -> list[list[int]]:
    return list({id(group): group for group in groups}.values())


def best_range(
    values: NDArray[np.float32], *, negative_weight: float = 1.0, clip_weight: float = 1.0
) -> tuple[float, float]:
    """The range of 256 steps that loses least of these values.

    Args:
        values: A sample of the tensor.
        negative_weight: What an error below zero counts for: less than 1 where the next
            layer makes negative values smaller.
        clip_weight: What the loss by clipping counts for, against that by rounding: large
            values are rare and are what the network has found.

    Returns:
        Least and greatest value, with zero between them.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if high - low < 1e-6:
        return low, low + 1e-3
    counts, edges = np.histogram(values, _BINS, (low, high))
    centres = ((edges[:-1] + edges[1:]) / 2).astype(np.float64)
    weights = counts * np.where(centres < 0, negative_weight, 1.0)
    shares = np.linspace(1, 0.1, _STEPS)
    # Clipping below and above are independent of each other: two lines, not a grid.
    below = np.array([_clipped(centres, weights, low * share, -np.inf) for share in shares])
    above = np.array([_clipped(centres, weights, np.inf, high * share) for share in shares])
    span = high * shares[None, :] - low * shares[:, None]
    rounding = weights.sum() * (span / 255) ** 2 / 12
    loss = rounding + clip_weight * (below[:, None] + above[None, :])
    row, column = np.unravel_index(np.argmin(loss), loss.shape)
    return float(low * shares[row]), float(high * shares[column])


def _clipped(
    centres: NDArray[np.float64], weights: NDArray[np.float64], floor: float, ceiling: float
) -> float:
    lost = np.zeros_like(centres)
    if np.isfinite(floor):
        lost = np.minimum(centres - floor, 0)
    if np.isfinite(ceiling):
        lost = np.maximum(centres - ceiling, 0)
    return float((weights * lost**2).sum())
