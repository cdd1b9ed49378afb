"""What bytes a quantized network takes for pixels, and what its real values are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.spec import InputSpec

__all__ = ["InputSteps", "input_steps"]

_STEPS = 255


@dataclass(frozen=True)
class InputSteps:
    """How real values of a float input become bytes.

    Attributes:
        input_range: Real values of the bytes 0 and 255.
        table: (channels, 256) uint8: the byte for each pixel value of each channel.
        manifest: `[input]` of the quantized model.
    """

    input_range: tuple[float, float]
    table: NDArray[np.uint8]
    manifest: dict[str, Any]

    def bytes_of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the network takes for pixels, (…, channels), as unsigned bytes."""
        channels = np.arange(pixels.shape[-1])
        return np.ascontiguousarray(self.table[channels, pixels])


def input_steps(spec: InputSpec) -> InputSteps:
    """Choose the bytes: the pixels themselves where all channels are scaled alike.

    Args:
        spec: Of the float model.
    """
    mean = np.broadcast_to(np.asarray(spec.mean, np.float64), spec.channels)
    std = np.broadcast_to(np.asarray(spec.std, np.float64), spec.channels)
    pixels = np.arange(256)
    manifest = spec.model_dump(mode="json", exclude={"mean", "std", "encoding"})
    if len(set(zip(mean.tolist(), std.tolist(), strict=True))) == 1:
        ends = (0 - mean[0]) / std[0], (255 - mean[0]) / std[0]
        table = np.broadcast_to(pixels.astype(np.uint8), (spec.channels, 256))
        return InputSteps((float(ends[0]), float(ends[1])), table, manifest)
    reals = (pixels - mean[:, None]) / std[:, None]
    low, high = min(0.0, float(reals.min())), max(0.0, float(reals.max()))
    # One step more than needed, so that zero can be a whole number of steps.
    scale = (high - low) / (_STEPS - 1)
    zero = int(np.ceil(-low / scale))
    table = np.clip(np.rint(reals / scale) + zero, 0, _STEPS).astype(np.uint8)
    manifest |= {"mean": mean.tolist(), "std": std.tolist(), "encoding": "normalized"}
    return InputSteps((-zero * scale, (_STEPS - zero) * scale), table, manifest)
