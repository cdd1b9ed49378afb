"""From a frame to the bytes of a model's input tensor, without a float on the way.

Two steps, so that they can run in two threads: `FrameResizer.resize` brings a frame of any
size into an `InputBuffer`, `fill_input` brings that into the interpreter's memory.
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
_SIGN_BITS = np.uint64(0x8080_8080_8080_8080)


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
    """One frame at the size of a model's input, waiting to be run.

    Args:
        spec: How the frame is to lie in it.

    Attributes:
        image: (height, width, 3) uint8 in the colour order of the frame, padding included.
        letterbox: Where the frame lies in it.
        preprocess_ns: How long the last `resize` took.
    """

    __slots__ = ("_inner", "_spec", "image", "letterbox", "preprocess_ns")

    def __init__(self, spec: InputSpec) -> None:
        size = spec.frame_size
        self.image: Image = np.full((size.height, size.width, 3), spec.pad, np.uint8)
        self.letterbox = Letterbox.fit(size, size, keep_aspect=True)
        self.preprocess_ns = 0
        self._inner = self.image
        self._spec = spec

    def resize(self, image: Image) -> None:
        """Bring a frame into the buffer.

        Args:
            image: (height, width, 3) uint8, any strides; read, never kept.

        Raises:
            ValueError: It is not such an array.
        """
        begin_ns = perf_counter_ns()
        frame = check_image(image)
        if frame != self.letterbox.frame:
            self._place(frame)
        if image.strides[1:] != (3, 1) or image.strides[0] < 3 * frame.width:
            # Mirrored, transposed or channel-swapped views: OpenCV takes plain rows only.
            image = np.ascontiguousarray(image)
        if frame == self.letterbox.inner:
            np.copyto(self._inner, image)
        else:
            cv2.resize(image, self.letterbox.inner, self._inner, interpolation=cv2.INTER_LINEAR)
        self.preprocess_ns = perf_counter_ns() - begin_ns

    def _place(self, frame: Size) -> None:
        spec = self._spec
        box = Letterbox.fit(frame, spec.frame_size, keep_aspect=spec.resize == "letterbox")
        self.image.fill(spec.pad)
        self.letterbox = box
        self._inner = self.image[
            box.offset_y : box.offset_y + box.inner.height,
            box.offset_x : box.offset_x + box.inner.width,
        ]


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
        self._color = spec.color
        self._signed = dtype == np.int8
        self._mean, self._std = np.float32(spec.mean), np.float32(spec.std)
        size = spec.frame_size
        self._pixels: Image | None = (
            np.empty((size.height, size.width, 3), np.uint8) if dtype == np.float32 else None
        )

    def write(self, image: Image, color: ColorOrder, tensor: NDArray[Any]) -> None:
        """Convert the colours, and the numbers where needed, into the tensor.

        Args:
            image: (height, width, 3) uint8, contiguous, at the size of the model's input.
            color: Its channel order.
            tensor: (1, height, width, 3), contiguous; overwritten. Not kept.
        """
        scratch = self._pixels
        pixels = tensor[0].view(np.uint8) if scratch is None else scratch
        if color == self._color:
            np.copyto(pixels, image)
        else:
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, pixels)
        if scratch is not None:
            np.subtract(scratch, self._mean, out=tensor[0])
            np.divide(tensor[0], self._std, out=tensor[0])
        elif self._signed:
            _flip_sign(pixels.reshape(-1))


def _flip_sign(pixels: NDArray[np.uint8]) -> None:
    # Eight bytes at a time; the few that do not fill a word follow one by one.
    whole = pixels.size & ~7
    words = pixels[:whole].view(np.uint64)
    np.bitwise_xor(words, _SIGN_BITS, out=words)
    rest = pixels[whole:]
    np.bitwise_xor(rest, np.uint8(0x80), out=rest)
