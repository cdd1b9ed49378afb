"""Between which real values box outputs are to be quantized: by the boxes that can be found.

Most anchors see nothing, and what they say of their box means nothing, however large it is. An
SSD of Open Images gives -80 for one anchor in the corner of every picture; a range that holds
it leaves 17 of 256 steps for all other boxes. So only anchors with a score have a say here.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.output_error import decode_head, raw_rows, read_outputs
from edge_detect.tools.convert.output_heads import OutputHead
from edge_detect.tools.convert.ranges import best_range

__all__ = ["box_ranges"]

_Floats = NDArray[np.float32]
# Anchors below are reported to nobody, but some that are will lie a little beyond what the
# calibration pictures show: hence the margin.
_LEAST_SCORE = 0.1
_LEAST_ANCHORS = 200
_MARGIN = 1.1
# Clipping a box that is found costs more than rounding all.
_CLIP_WEIGHT = 8.0


def box_ranges(
    content: bytes, inputs: Iterable[_Floats], heads: Sequence[OutputHead]
) -> dict[str, tuple[float, float]]:
    """Choose the range of each box output.

    Args:
        content: The float TFLite file, its outputs named.
        inputs: Calibration pictures, as the network takes them.
        heads: Of its outputs those that are raw; see `output_heads`.

    Returns:
        Least and greatest value by the name of the output, zero between them.
    """
    interpreter = open_interpreter(content, keep=False)
    found: dict[str, list[tuple[_Floats, _Floats]]] = {head.boxes: [] for head in heads}
    for pixels in inputs:
        reals = read_outputs(interpreter, pixels)
        for head in heads:
            _, scores = decode_head(reals, head)
            found[head.boxes].append((raw_rows(reals, head), scores.max(axis=1)))
    return {
        name: range_of(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        for name, parts in found.items()
    }


def range_of(boxes: _Floats, scores: _Floats) -> tuple[float, float]:
    """The range that suits the anchors with a score.

    Args:
        boxes: (n, 4 or more) float32, raw.
        scores: (n,) float32, the best of each anchor, 0 to 1.
    """
    order = np.argsort(-scores, kind="stable")
    count = max(int((scores >= _LEAST_SCORE).sum()), min(_LEAST_ANCHORS, len(order)))
    low, high = best_range(boxes[order[:count]].reshape(-1), clip_weight=_CLIP_WEIGHT)
    return low * _MARGIN, high * _MARGIN
