"""What an input tensor holds for a picture, pixel by pixel in float64."""

import numpy as np


def written(pixels, spec, tensor):
    """Elements of the tensor for (height, width, channels) pixels."""
    real = (pixels.astype(np.float64) - np.array(spec.mean)) / np.array(spec.std)
    if tensor.dtype.kind == "f":
        return real.astype(tensor.dtype)
    if spec.encoding == "pixels":
        return (pixels.astype(int) - (128 if tensor.dtype == np.int8 else 0)).astype(tensor.dtype)
    steps = real / tensor.scale
    # Halves go away from zero.
    rounded = np.where(steps < 0, np.ceil(steps - 0.5), np.floor(steps + 0.5))
    low, high = np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max
    return np.minimum(np.maximum(rounded + tensor.zero_point, low), high).astype(tensor.dtype)
