"""Which options of the quantizer suit a network best, by what its outputs lose.

No layer's own error tells what an error there costs; the outputs do. So each of a few
candidates is made, run over views of the calibration pictures that it was not made with, and
compared with the float network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.output_error import Decoded, decode_outputs, output_error
from edge_detect.tools.convert.output_heads import OutputHead
from edge_detect.tools.convert.quantize import (
    Calibrated,
    Progress,
    QuantizerOptions,
    float_operators,
    quantize_calibrated,
    silent,
    to_int8,
    to_real,
)
from edge_detect.tools.convert.views import judged_views

__all__ = ["CANDIDATES", "Choice", "choose_quantization"]

_Pixels = NDArray[np.uint8]
CANDIDATES = tuple(
    QuantizerOptions(equalization=limit, clip_weight=weight)
    for limit in (16, 0)
    for weight in (2.0, 4.0, 8.0, 16.0)
)


@dataclass(frozen=True)
class Choice:
    """The best candidate.

    Attributes:
        content: The quantized file.
        options: How it was made.
        error: See `output_error`; NaN where nothing was compared.
        float_operators: Kinds of operators that have no integer form and compute in float, without
            those that `finish` added.
    """

    content: bytes
    options: QuantizerOptions
    error: float
    float_operators: list[str]


def choose_quantization(
    calibrated: Calibrated,
    inputs: Sequence[_Pixels],
    heads: Sequence[OutputHead],
    *,
    whole: bytes | None = None,
    finish: Callable[[bytes], bytes] | None = None,
    candidates: Sequence[QuantizerOptions] = CANDIDATES,
    progress: Progress = silent,
) -> Choice:
    """Quantize a network in several ways and keep the one that loses least.

    Ranges are tried with weights that are rounded to the nearest step, which is quick, and the
    best with all ways to finish.

    Args:
        calibrated: The network.
        inputs: Calibration pictures, (1, height, width, channels) uint8.
        heads: What its outputs mean, from `output_heads`; empty: the first candidate is made and
            not measured.
        whole: The float file whose outputs the heads are; None: the calibrated network.
        finish: Applied to each quantized file, such as to put a float decoding behind it.
        candidates: What to try; of equals the first wins.
        progress: Called with the name of a step, how much is done, and how much there is.
    """
    trial = _Trial(calibrated, inputs, heads, whole, finish)
    if len(candidates) == 1 or not heads:
        return trial.of(candidates[0])
    best: Choice | None = None
    for number, options in enumerate(candidates, 1):
        made = trial.of(replace(options, rounding="nearest", correction=False))
        best = made if best is None or made.error < best.error else best
        progress("trying ranges", number, len(candidates))
    if best is None:
        raise ValueError("candidates must not be empty")
    finishes = [(False, "covariance"), (True, "nearest"), (True, "covariance")]
    start = best.options
    for number, (correction, rounding) in enumerate(finishes, 1):
        made = trial.of(replace(start, correction=correction, rounding=rounding))
        best = made if made.error < best.error else best
        progress("rounding weights", number, len(finishes))
    return best


class _Trial:
    """Compares quantized networks with the float one."""

    def __init__(
        self,
        calibrated: Calibrated,
        inputs: Sequence[_Pixels],
        heads: Sequence[OutputHead],
        whole: bytes | None,
        finish: Callable[[bytes], bytes] | None,
    ) -> None:
        views = judged_views([one[0] for one in inputs])
        reals = [to_real(one[np.newaxis], calibrated.input_range) for one in views]
        self._calibrated = calibrated
        self._finish = finish
        self._heads = heads
        self._inputs = [to_int8(one[np.newaxis]) for one in views]
        self._wanted: list[Decoded] = []
        if heads:
            self._wanted = decode_outputs(whole or calibrated.original, reals, heads)

    def of(self, options: QuantizerOptions) -> Choice:
        """Make a candidate and measure it."""
        content = quantize_calibrated(self._calibrated, options)
        kinds = float_operators(content)
        if self._finish is not None:
            content = self._finish(content)
        if not self._heads:
            return Choice(content, options, np.nan, kinds)
        found = decode_outputs(content, self._inputs, self._heads)
        return Choice(content, options, output_error(self._wanted, found), kinds)
