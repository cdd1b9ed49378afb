"""Which options of the quantizer suit a network best, by what its outputs lose.

No layer's own error tells what an error there costs; the outputs do. So each of a few
candidates is made, run over the calibration pictures, and compared with the float network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.output_error import (
    OutputHead,
    decode_outputs,
    output_error,
)
from edge_detect.tools.convert.quantize import (
    Progress,
    QuantizerOptions,
    quantize,
    sample_pictures,
    silent,
    to_int8,
    to_real,
)

__all__ = ["Choice", "choose_quantization", "more_views"]

_Pixels = NDArray[np.uint8]
CANDIDATES = tuple(
    QuantizerOptions(clip_weight=weight, correction_pictures=pictures)
    for pictures in (0, 8)
    for weight in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
)


@dataclass(frozen=True)
class Choice:
    """The best candidate.

    Attributes:
        content: The quantized file.
        options: How it was made.
        error: See `output_error`.
    """

    content: bytes
    options: QuantizerOptions
    error: float


def choose_quantization(
    content: bytes,
    inputs: Sequence[_Pixels],
    input_range: tuple[float, float],
    heads: Sequence[OutputHead],
    *,
    score_outputs: Sequence[str] = (),
    candidates: Sequence[QuantizerOptions] = CANDIDATES,
    progress: Progress = silent,
) -> Choice:
    """Quantize a float TFLite file in several ways and keep the one that loses least.

    Args:
        content: The float file, from `float_tflite`.
        inputs: Calibration pictures, (1, height, width, channels) uint8.
        input_range: Real values of a black and of a white pixel.
        heads: Its outputs, from `output_heads`.
        score_outputs: Names of the outputs that are logits.
        candidates: What to try; of equals the first wins.
        progress: Called with the name of a step, how much is done, and how much there is.
    """
    views = more_views(inputs)
    wanted = decode_outputs(content, [to_real(one, input_range) for one in views], heads)
    signed = [to_int8(one) for one in views]
    samples = sample_pictures(content, inputs, input_range, progress=progress)
    best: Choice | None = None
    for number, options in enumerate(candidates, 1):
        made = quantize(
            content,
            inputs,
            input_range,
            score_outputs=score_outputs,
            options=options,
            samples=samples,
        )
        error = output_error(wanted, decode_outputs(made, signed, heads))
        progress("trying ranges", number, len(candidates))
        if best is None or error * _handicap(options) < best.error * _handicap(best.options):
            best = Choice(made, options, error)
    if best is None:
        raise ValueError("candidates must not be empty")
    pictures = min(best.options.correction_pictures, len(inputs))
    return replace(best, options=replace(best.options, correction_pictures=pictures))


def _handicap(options: QuantizerOptions) -> float:
    # Corrected biases were fitted to the pictures that they are judged by: a small gain is
    # none elsewhere (measured with yolov3-tiny, 3 % here, precision and boxes worse there).
    return 1.1 if options.correction_pictures else 1.0


def more_views(inputs: Sequence[_Pixels]) -> list[_Pixels]:
    """The pictures, each mirrored, and each four times smaller beside three others.

    Calibration pictures are few; an error measured at a handful of objects would be luck,
    and photos show things larger than cameras on a wall do.
    """
    mirrored = [np.ascontiguousarray(one[:, :, ::-1]) for one in inputs]
    mosaics = [_mosaic([*inputs[index:], *mirrored, *inputs][:4]) for index in range(len(inputs))]
    return [*inputs, *mirrored, *mosaics]


def _mosaic(pictures: Sequence[_Pixels]) -> _Pixels:
    _, height, width, channels = pictures[0].shape
    out: NDArray[Any] = np.zeros_like(pictures[0])
    for number, picture in enumerate(pictures):
        row, column = divmod(number, 2)
        top, left = row * (height // 2), column * (width // 2)
        size = (width // 2, height // 2)
        small = cv2.resize(picture[0], size, interpolation=cv2.INTER_AREA)
        # OpenCV drops the last dimension where there is one channel.
        small = small.reshape(size[1], size[0], channels)
        out[0, top : top + size[1], left : left + size[0]] = small
    return out
