"""From a frame to the bytes of a model's input tensor, without a float on the way.

Two steps, so that they can run in two threads: `InputBuffer.fill` resizes a frame and sets
its colours right, `InputWriter.write` brings that into the interpreter's memory.
"""

from time import perf_counter_ns
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Image, Letterbox, Size
from edge_detect.models.spec import InputSpec

__all__ = ["ColorOrder", "InputBuffer", "InputWriter", "check_image"]

ColorOrder = Literal["bgr", "rgb"]

# uint8 and int8 inputs differ by an offset of 128, which is the highest bit.
_SIGN_BIT = 0x80


def check_image(image: Image) -> Size:
    """The size of an image, once it is known to be one.

    Raises:
        ValueError: It is not a (height, width, 3) uint8 array with at least one pixel.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"image must be a NumPy array, got {type(image).__name__}")  # noqa: TRY004
    if image.dtype != np.uint8:
        raise ValueError(f"image must be uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image must be (height, width, 3) and not empty, got {image.shape}")
    return Size(image.shape[1], image.shape[0])


class InputBuffer:
    """One frame as a model's input wants it, but for the sign of its numbers.

    Args:
        spec: How the frame is to lie in it.

    Attributes:
        pixels: (height, width, 3) uint8 in the colour order of the model, padding included.
        letterbox: Where the frame lies in it.
        preprocess_ns: How long the last `fill` took.
    """

    __slots__ = ("_image", "_inner", "_resized", "_spec", "letterbox", "pixels", "preprocess_ns")

    def __init__(self, spec: InputSpec) -> None:
        size = spec.frame_size
        self.pixels: Image = np.full((size.height, size.width, 3), spec.pad, np.uint8)
        self.letterbox = Letterbox.fit(size, size, keep_aspect=True)
        self.preprocess_ns = 0
        self._image = size
        self._inner = self.pixels
        self._resized: Image = np.empty_like(self.pixels)
        self._spec = spec

    def fill(self, image: Image, color: ColorOrder = "bgr", frame_size: Size | None = None) -> None:
        """Bring a frame into the buffer: resized, in the model's colour order.

        Args:
            image: (height, width, 3) uint8, any strides; read, never kept.
            color: Its channel order.
            frame_size: Size of the picture that boxes are to be measured in, where `image`
                is a smaller version of it; None: boxes are in pixels of `image`.

        Raises:
            ValueError: It is not such an array.
        """
        begin_ns = perf_counter_ns()
        size = check_image(image)
        if size != self._image or (frame_size or size) != self.letterbox.frame:
            self._place(size, frame_size or size)
        if image.strides[1:] != (3, 1) or image.strides[0] < 3 * size.width:
            # Mirrored, transposed or channel-swapped views: OpenCV takes plain rows only.
            image = np.ascontiguousarray(image)
        swap = color != self._spec.color
        if size != self.letterbox.inner:
            target = self._resized if swap else self._inner
            cv2.resize(image, self.letterbox.inner, target, interpolation=cv2.INTER_LINEAR)
            image = target
        if swap:
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, self._inner)
        elif image is not self._inner:
            np.copyto(self._inner, image)
        self.preprocess_ns = perf_counter_ns() - begin_ns

    def _place(self, image: Size, frame: Size) -> None:
        spec = self._spec
        box = Letterbox.fit(image, spec.frame_size, keep_aspect=spec.resize == "letterbox")
        self.pixels.fill(spec.pad)
        self._image = image
        self.letterbox = box.measured_in(frame)
        self._inner = self.pixels[
            box.offset_y : box.offset_y + box.inner.height,
            box.offset_x : box.offset_x + box.inner.width,
        ]
        self._resized = np.empty((box.inner.height, box.inner.width, 3), np.uint8)


class InputWriter:
    """Writes buffers into an input tensor of one model.

    Quantized tensors get the pixel itself (uint8) or the pixel minus 128 (int8), float ones
    `(pixel - mean) / std`.

    Args:
        spec: The model's input.
        dtype: Of the tensor: uint8, int8 or float32.
    """

    def __init__(self, spec: InputSpec, dtype: np.dtype[Any]) -> None:
        if dtype not in (np.uint8, np.int8, np.float32):
            raise ValueError(f"dtype must be uint8, int8 or float32, got {dtype}")
        # Kernels take a tenth of a second to import; listing models does not need them.
        from edge_detect.kernels.pixels import flip_bits
        from edge_detect.kernels.registry import prepare

        prepare(flip_bits)
        self._flip_bits = flip_bits
        self._mask = np.uint8(_SIGN_BIT if dtype == np.int8 else 0)
        self._float = dtype == np.float32
        self._mean = np.asarray(spec.mean, np.float32)
        self._std = np.asarray(spec.std, np.float32)

    def write(self, pixels: Image, tensor: NDArray[Any]) -> None:
        """Write pixels straight into the tensor.

        Args:
            pixels: (height, width, 3) uint8, contiguous, from `InputBuffer`.
            tensor: (1, height, width, 3), contiguous; overwritten. Not kept.
        """
        if self._float:
            np.subtract(pixels, self._mean, out=tensor[0])
            np.divide(tensor[0], self._std, out=tensor[0])
        else:
            self._flip_bits(pixels.reshape(-1), self._mask, tensor.reshape(-1).view(np.uint8))
