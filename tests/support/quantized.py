"""Running networks before and after quantization."""

import numpy as np

from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.quantize import to_int8, to_real

__all__ = ["RANGE", "noise_share", "run"]

RANGE = (-1.0, 1.0)


def run(content, pixels):
    """Real values of all outputs, by name."""
    interpreter = open_interpreter(content, keep=False)
    place = interpreter.get_input_details()[0]
    given = to_int8(pixels) if place["dtype"] == np.int8 else to_real(pixels, RANGE)
    interpreter.set_tensor(place["index"], given)
    interpreter.invoke()
    outputs = {}
    for one in interpreter.get_output_details():
        values = interpreter.get_tensor(one["index"]).astype(np.float64)
        scale, zero = one["quantization"]
        outputs[one["name"]] = (values - zero) * scale if scale else values
    return outputs


def noise_share(wanted, found):
    """Root mean square of the difference, in parts of that of the deviation from the mean."""
    errors = [np.sqrt(((wanted[k] - found[k]) ** 2).mean()) / wanted[k].std() for k in wanted]
    return max(errors)
