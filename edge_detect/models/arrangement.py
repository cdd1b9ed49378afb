"""Where the values of each candidate lie in an output tensor, and whether they fit the labels."""

import math
from dataclasses import dataclass

from edge_detect.core import ModelError
from edge_detect.models.tables import real_values
from edge_detect.models.tensors import TensorInfo

__all__ = ["Arrangement", "arrange", "check_scores"]

# A score that changes by more from one element to the next says nothing.
_COARSEST_SCORE = 0.1
_COARSEST_LOGIT = 1.0


@dataclass(slots=True, frozen=True)
class Arrangement:
    """Value v of candidate i is element `i * step + v * value_step` of the flat tensor."""

    candidates: int
    values: int
    step: int
    value_step: int


def arrange(info: TensorInfo, layout: str) -> Arrangement:
    """How a tensor of candidates lies in memory.

    Args:
        info: 1 x values x candidates for `columns`, 1 x candidates x values for `rows`; further
            dimensions of 1 do not count.
        layout: `columns` or `rows`.

    Raises:
        ModelError: It has more than two dimensions that count.
    """
    shape = info.shape[:-1] if len(info.shape) > 3 and info.shape[-1] == 1 else info.shape
    outer, inner = (1, 1, *shape)[-2:]
    if outer * inner != math.prod(info.shape):
        raise ModelError(
            f"output {info.name!r} has shape {info.shape}; candidates with their values need"
            f" two dimensions, beside a batch of 1"
        )
    if layout == "columns":
        return Arrangement(inner, outer, 1, inner)
    return Arrangement(outer, inner, inner, 1)


def check_scores(info: TensorInfo, key: str, *, logits: bool, shared: bool) -> None:
    """Refuse quantized scores that contradict the manifest, or are too coarse to mean anything.

    Args:
        info: The tensor with the scores.
        key: The key of the manifest that says what they are.
        logits: Whether they are logits.
        shared: Whether boxes lie in the same tensor.

    Raises:
        ModelError: Names the cause, and the way out.
    """
    step = float(info.scale)
    if step > (_COARSEST_LOGIT if logits else _COARSEST_SCORE):
        cause = "boxes in pixels and scores share it" if shared else "scores need a finer one"
        raise ModelError(
            f"output {info.name!r} is {info.dtype} with a scale of {step:.3g}: {cause}, and"
            f" no score lies between two steps of {step:.3g}",
            "export the model again with boxes relative to the input (newer exporters do), with"
            " boxes and scores in separate outputs, or in floating point",
        )
    if logits and info.dtype.name in ("int8", "uint8") and real_values(info).min() >= 0:
        raise ModelError(
            f"output {info.name!r} holds nothing below 0, so that every score would be at least"
            " 0.5: these are probabilities",
            f'set {key} = "probability" in the manifest',
        )
