"""From a frame to the bytes of a model's input tensor, without arithmetic in floats on the way.

Two steps, so that they can run in two threads: `InputBuffer.fill` resizes a frame and sets
its colours right, `InputWriter.write` brings that into the interpreter's memory.
"""

import math
from time import perf_counter_ns
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Image, Letterbox, ModelError, Size
from edge_detect.models.spec import InputSpec
from edge_detect.models.tensors import INPUT_TYPES, TensorInfo

__all__ = ["ColorOrder", "InputBuffer", "InputWriter", "check_image", "pixel_table"]

ColorOrder = Literal["bgr", "rgb"]

_INT8_OFFSET = 128
# Elements of a tensor as plain bits, by their size in bytes.
_BITS: dict[int, type[np.unsignedinteger[Any]]] = {1: np.uint8, 2: np.uint16, 4: np.uint32}
# What OpenCV is to do with a frame, by its channel order and the model's; as usual, grey is
# 0.299 R + 0.587 G + 0.114 B in integers (ITU-R BT.601).
_CONVERSIONS = {
    ("bgr", "rgb"): cv2.COLOR_BGR2RGB,
    ("rgb", "bgr"): cv2.COLOR_RGB2BGR,
    ("bgr", "grey"): cv2.COLOR_BGR2GRAY,
    ("rgb", "grey"): cv2.COLOR_RGB2GRAY,
}
# A frame of at most so many times the pixels of the input is quicker to resize in grey.
_GREY_FIRST = 4


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
    """One frame as a model's input wants it, but for what its numbers mean there.

    Args:
        spec: How the frame is to lie in it.

    Attributes:
        pixels: (height, width, channels) uint8 in the colours of the model, padding included.
        letterbox: Where the frame lies in it.
        preprocess_ns: How long the last `fill` took.
    """

    __slots__ = (
        "_between",
        "_grey_first",
        "_image",
        "_inner",
        "_spec",
        "letterbox",
        "pixels",
        "preprocess_ns",
    )

    def __init__(self, spec: InputSpec) -> None:
        size = spec.frame_size
        self.pixels: Image = np.full(spec.tensor_shape[1:], spec.pad, np.uint8)
        self.preprocess_ns = 0
        self._spec = spec
        self._place(size, size)

    def fill(self, image: Image, color: ColorOrder = "bgr", frame_size: Size | None = None) -> None:
        """Bring a frame into the buffer: resized, in the model's colours.

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
        self._convert(image, _CONVERSIONS.get((color, self._spec.color)))
        self.preprocess_ns = perf_counter_ns() - begin_ns

    def _convert(self, image: Image, colors: int | None) -> None:
        """Resize and change colours, whichever is quicker first."""
        inner, between, size = self._inner, self._between, self.letterbox.inner
        if self._image == size:
            if colors is None:
                np.copyto(inner, image)
            else:
                cv2.cvtColor(image, colors, inner)
        elif colors is None:
            cv2.resize(image, size, inner, interpolation=cv2.INTER_LINEAR)
        elif self._grey_first:
            cv2.cvtColor(image, colors, between)
            cv2.resize(between, size, inner, interpolation=cv2.INTER_LINEAR)
        else:
            cv2.resize(image, size, between, interpolation=cv2.INTER_LINEAR)
            cv2.cvtColor(between, colors, inner)

    def _place(self, image: Size, frame: Size) -> None:
        spec = self._spec
        box = Letterbox.fit(image, spec.frame_size, keep_aspect=spec.resize == "letterbox")
        self.pixels.fill(spec.pad)
        self._image = image
        self.letterbox = box.measured_in(frame)
        rows = slice(box.offset_y, box.offset_y + box.inner.height)
        columns = slice(box.offset_x, box.offset_x + box.inner.width)
        grey = spec.color == "grey"
        self._inner = self.pixels[rows, columns, 0] if grey else self.pixels[rows, columns]
        # Resizing costs by the pixels that it makes, three times as much in colour as in grey
        # (measured: 1.8 against 0.6 ns), turning grey 0.27 ns by those that there are.
        made = box.inner.width * box.inner.height
        self._grey_first = grey and image.width * image.height <= _GREY_FIRST * made
        size = image if self._grey_first else box.inner
        shape = (size.height, size.width) if self._grey_first else (size.height, size.width, 3)
        self._between: Image = np.empty(shape, np.uint8)


class InputWriter:
    """Writes buffers into an input tensor of one model.

    Args:
        spec: The model's input.
        tensor: The tensor.

    Raises:
        ModelError: No pixel fits into such a tensor, see `pixel_table`.
    """

    def __init__(self, spec: InputSpec, tensor: TensorInfo) -> None:
        # Kernels take a tenth of a second to import; listing models does not need them.
        from edge_detect.kernels.pixels import flip_bits, look_up
        from edge_detect.kernels.registry import prepare

        table = pixel_table(spec, tensor)
        self._bits: type[np.unsignedinteger[Any]] = _BITS[table.itemsize]
        self._table = table.view(self._bits)
        self._mask = _mask_of(self._table)
        self._flip_bits, self._look_up = flip_bits, look_up
        if self._mask is None:
            prepare(look_up, self._bits.__name__)
        else:
            prepare(flip_bits)

    def write(self, pixels: Image, tensor: NDArray[Any]) -> None:
        """Write pixels straight into the tensor.

        Args:
            pixels: (height, width, channels) uint8, contiguous, from `InputBuffer`.
            tensor: (1, height, width, channels), contiguous; overwritten. Not kept.
        """
        flat, out = pixels.reshape(-1), tensor.reshape(-1).view(self._bits)
        if self._mask is None:
            self._look_up(flat, self._table, out)
        else:
            self._flip_bits(flat, self._mask, out)


def pixel_table(spec: InputSpec, tensor: TensorInfo) -> NDArray[Any]:
    """What stands in an input tensor for each pixel value.

    Float tensors hold `real = (pixel - mean) / std`, computed in float64. Quantized ones hold
    the pixel itself (int8: less 128) or, where the encoding is `normalized`, `real / scale`
    rounded (halves away from zero, as TFLite's Quantize does), plus the zero point and held
    within the type.

    Args:
        spec: The model's input.
        tensor: uint8, int8, int16, float16 or float32.

    Returns:
        (channels, 256) of the tensor's type; one row where all channels have the same.

    Raises:
        ModelError: The tensor is int16 and the encoding `pixels`, it has no scale and the
            encoding needs one, or a number is too large for it.
        ValueError: The tensor's type is another one.
    """
    dtype = tensor.dtype
    if dtype.name not in INPUT_TYPES:
        raise ValueError(f"dtype must be one of {', '.join(INPUT_TYPES)}, got {dtype}")
    pixels = np.arange(256)
    if dtype.kind != "f" and spec.encoding == "pixels":
        if dtype == np.int16:
            raise ModelError(
                f"input.encoding is 'pixels', but {tensor.name!r} is int16",
                'set encoding = "normalized", and mean and std, in [input] of the manifest',
            )
        return (pixels - (_INT8_OFFSET if dtype == np.int8 else 0)).astype(dtype)[np.newaxis]
    mean, std = (np.reshape(value, (-1, 1)).astype(np.float64) for value in (spec.mean, spec.std))
    real = (pixels - mean) / std
    table = _as_float(real, tensor) if dtype.kind == "f" else _quantize(real, tensor)
    return table[:1] if (table == table[0]).all() else table


def _as_float(real: NDArray[np.float64], tensor: TensorInfo) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        table: NDArray[Any] = real.astype(tensor.dtype)
    if not np.isfinite(table).all():
        raise ModelError(
            f"input.mean and input.std make numbers up to {np.abs(real).max():g}, too large for"
            f" {tensor.name!r} ({tensor.dtype})",
            "correct mean and std in [input] of the manifest",
        )
    return table


def _quantize(real: NDArray[np.float64], tensor: TensorInfo) -> NDArray[Any]:
    if not (math.isfinite(tensor.scale) and tensor.scale > 0):
        raise ModelError(
            f"input.encoding is 'normalized', but {tensor.name!r} ({tensor.dtype}) has the scale"
            f" {tensor.scale}",
            'set encoding = "pixels" in [input] of the manifest, or convert the model again',
        )
    steps = real / tensor.scale
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + tensor.zero_point
    limits = np.iinfo(tensor.dtype)
    table: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(tensor.dtype)
    return table


def _mask_of(table: NDArray[Any]) -> np.uint8 | None:
    """The bits in which entries differ from pixels; None if not all in the same."""
    mask = table[0, 0]
    if table.itemsize == 1 and (table == np.arange(256, dtype=np.uint8) ^ mask).all():
        return np.uint8(mask)
    return None
