"""Every pixel on its way into a model."""

import cv2
import numpy as np
import pytest
from support.echo_models import write_model

from edge_detect.core import Size
from edge_detect.models import load_model
from edge_detect.models.preprocess import InputBuffer, InputWriter
from edge_detect.models.spec import InputSpec

pytestmark = pytest.mark.model

LETTERBOX = InputSpec(size=(416, 416), resize="letterbox", pad=77)


def noise(height, width, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(params=["uint8", "int8", "float32"])
def kind(request):
    return request.param


def expected(rgb, kind):
    """What the tensor should hold, computed the slow way."""
    if kind == "int8":
        return (rgb.astype(np.int16) - 128).astype(np.int8)
    if kind == "float32":
        return ((rgb.astype(np.float64) - 127.5) / 63.75).astype(np.float32)
    return rgb


@pytest.mark.parametrize("color", ["bgr", "rgb"])
@pytest.mark.parametrize("wanted", ["bgr", "rgb"])
def test_each_pixel_arrives_in_the_order_and_type_of_the_model(tmp_path, kind, color, wanted):
    image = noise(8, 8)
    with load_model(write_model(tmp_path, f"echo-{kind}", color=wanted)) as detector:
        detector(image, color=color)
        seen = detector.outputs()["head"].reshape(8, 8, 3)
    shown = image if color == wanted else image[:, :, ::-1]
    assert seen.dtype == kind
    assert np.array_equal(seen, expected(shown, kind))


@pytest.mark.parametrize("size", [(3, 5), (1, 1), (3, 3)])
def test_inputs_that_do_not_fill_whole_words_are_converted_to_the_last_byte(size):
    spec = InputSpec(size=size, resize="stretch")
    image = noise(size[1], size[0])
    tensor = np.zeros((1, size[1], size[0], 3), np.int8)
    InputWriter(spec, tensor.dtype).write(image, tensor)
    assert np.array_equal(tensor[0], expected(image, "int8"))


def test_a_letterboxed_frame_lies_in_the_middle_of_the_padding():
    image = noise(720, 1280)
    buffer = InputBuffer(LETTERBOX)
    buffer.fill(image)
    assert buffer.letterbox.inner == Size(416, 234)
    assert (buffer.letterbox.offset_x, buffer.letterbox.offset_y) == (0, 91)
    assert np.all(buffer.pixels[:91] == 77)
    assert np.all(buffer.pixels[325:] == 77)
    wanted = cv2.resize(image, (416, 234), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(buffer.pixels[91:325], wanted[..., ::-1])


def test_a_stretched_frame_fills_the_input():
    image = noise(720, 1280)
    buffer = InputBuffer(InputSpec(size=(300, 300), resize="stretch"))
    buffer.fill(image)
    assert np.array_equal(buffer.pixels, cv2.resize(image, (300, 300))[..., ::-1])


def test_another_frame_size_leaves_nothing_of_the_last_one():
    used, fresh = InputBuffer(LETTERBOX), InputBuffer(LETTERBOX)
    tall = noise(500, 100)
    for image in (noise(720, 1280), noise(416, 416), tall):
        used.fill(image)
    fresh.fill(tall)
    assert used.letterbox == fresh.letterbox
    assert np.array_equal(used.pixels, fresh.pixels)


def test_a_frame_of_the_input_size_is_copied_exactly():
    image = noise(416, 416)
    buffer = InputBuffer(LETTERBOX)
    buffer.fill(image)
    assert np.array_equal(buffer.pixels, image[..., ::-1])
    buffer.fill(image, "rgb")
    assert np.array_equal(buffer.pixels, image)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda image: image[::-1], id="upside-down"),
        pytest.param(lambda image: image[:, ::-1], id="mirrored"),
        pytest.param(lambda image: image[:, :, ::-1], id="channels-swapped"),
        pytest.param(lambda image: image.transpose(1, 0, 2), id="transposed"),
        pytest.param(lambda image: image[::2, ::3], id="every-other-pixel"),
        pytest.param(lambda image: image[10:200, 20:300], id="cut-out"),
        pytest.param(lambda image: np.broadcast_to(image[:1], (90, 640, 3)), id="repeated-row"),
    ],
)
def test_any_strides_give_what_a_plain_copy_gives(view):
    image = view(noise(360, 640))
    image.flags.writeable = False
    one, other = InputBuffer(LETTERBOX), InputBuffer(LETTERBOX)
    one.fill(image)
    other.fill(np.array(image, order="C"))
    assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (10_000, 3)])
def test_extreme_frames_keep_at_least_one_pixel(size):
    buffer = InputBuffer(LETTERBOX)
    buffer.fill(np.full((*size, 3), 200, np.uint8))
    inner = buffer.letterbox.inner
    assert min(inner) >= 1
    assert np.count_nonzero(buffer.pixels[:, :, 0] == 200) == inner.width * inner.height


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ([[1, 2, 3]], "must be a NumPy array, got list"),
        (np.zeros((4, 4, 3), np.float32), "must be uint8, got float32"),
        (np.zeros((4, 4), np.uint8), r"must be \(height, width, 3\) and not empty, got \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got \(0, 4, 3\)"),
    ],
)
def test_what_is_no_image_is_refused(image, says):
    with pytest.raises(ValueError, match=says):
        InputBuffer(LETTERBOX).fill(image)


def test_a_tensor_type_that_no_pixel_fits_is_refused():
    with pytest.raises(ValueError, match="must be uint8, int8 or float32, got int32"):
        InputWriter(LETTERBOX, np.dtype(np.int32))
