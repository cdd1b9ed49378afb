"""Every pixel on its way into a model."""

import cv2
import numpy as np
import pytest
from support.echo_models import write_model

from edge_detect.core import ModelError, Size
from edge_detect.models import load_model
from edge_detect.models.preprocess import InputBuffer, InputWriter, pixel_table
from edge_detect.models.spec import InputSpec
from edge_detect.models.tensors import TensorInfo

pytestmark = pytest.mark.model

LETTERBOX = InputSpec(size=(416, 416), resize="letterbox", pad=77)


def noise(height, width, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def describe(spec, dtype, scale=0.0, zero_point=0):
    """The input tensor of a model."""
    return TensorInfo("image", 0, spec.tensor_shape, np.dtype(dtype), scale, zero_point)


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
    InputWriter(spec, describe(spec, np.int8)).write(image, tensor)
    assert np.array_equal(tensor[0], expected(image, "int8"))


@pytest.mark.parametrize("color", ["bgr", "rgb"])
@pytest.mark.parametrize("size", [(416, 416), (640, 360), (300, 200)])
def test_grey_is_what_opencv_makes_of_the_resized_frame(size, color):
    image = noise(360, 640)
    spec = InputSpec(size=size, color="grey", resize="stretch")
    buffer = InputBuffer(spec)
    buffer.fill(image, color)
    code = cv2.COLOR_BGR2GRAY if color == "bgr" else cv2.COLOR_RGB2GRAY
    wanted = cv2.cvtColor(cv2.resize(image, size), code)
    assert buffer.pixels.shape == (size[1], size[0], 1)
    # What is resized after it has become grey is rounded once less.
    assert np.abs(buffer.pixels[..., 0].astype(int) - wanted).max() <= 1


def test_a_grey_letterbox_is_padded_like_a_coloured_one():
    image = np.full((90, 160, 3), (255, 0, 0), np.uint8)
    buffer = InputBuffer(InputSpec(size=(160, 160), color="grey", resize="letterbox", pad=77))
    buffer.fill(image)
    assert np.all(buffer.pixels[:35] == 77)
    assert np.all(buffer.pixels[125:] == 77)
    # Blue weighs 0.114.
    assert np.all(buffer.pixels[35:125] == 29)


def test_a_normalized_input_that_equals_the_pixels_is_copied_with_one_bit_flipped():
    spec = InputSpec(size=(4, 4), resize="stretch", encoding="normalized")
    table = pixel_table(spec, describe(spec, np.int8, 1 / 255, -128))
    assert np.array_equal(table, [np.arange(-128, 128)])
    assert InputWriter(spec, describe(spec, np.int8, 1 / 255, -128))._mask == 0x80
    assert InputWriter(spec, describe(spec, np.uint8, 1 / 255, 0))._mask == 0
    assert InputWriter(spec, describe(spec, np.uint8, 1 / 254, 0))._mask is None


def test_a_full_integer_export_of_ultralytics_gets_its_own_scale():
    spec = InputSpec(size=(4, 4), resize="stretch", encoding="normalized")
    (table,) = pixel_table(spec, describe(spec, np.int8, 0.018658, -14))
    assert (table[0], table[255]) == (-14, 40)


def test_values_beyond_the_type_stop_at_its_ends():
    spec = InputSpec(size=(4, 4), resize="stretch", std=1.0, encoding="normalized")
    (table,) = pixel_table(spec, describe(spec, np.int8, 1.0, 0))
    assert (table[127], table[128], table[255]) == (127, 127, 127)


def test_halves_are_rounded_away_from_zero():
    spec = InputSpec(size=(4, 4), resize="stretch", mean=2.0, std=2.0, encoding="normalized")
    (table,) = pixel_table(spec, describe(spec, np.int8, 1.0, 0))
    assert table[:6].tolist() == [-1, -1, 0, 1, 1, 2]


def test_plain_pixels_do_not_fit_into_int16():
    spec = InputSpec(size=(4, 4), resize="stretch")
    with pytest.raises(ModelError, match=r"input\.encoding is 'pixels', but 'image' is int16"):
        InputWriter(spec, describe(spec, np.int16, 1 / 32768))


def test_a_normalized_input_needs_a_scale():
    spec = InputSpec(size=(4, 4), resize="stretch", encoding="normalized")
    with pytest.raises(ModelError, match=r"'image' \(uint8\) has the scale 0.0"):
        InputWriter(spec, describe(spec, np.uint8))


def test_numbers_that_a_float16_cannot_hold_are_refused():
    spec = InputSpec(size=(4, 4), resize="stretch", std=0.001)
    with pytest.raises(ModelError, match=r"up to 255000, too large for 'image' \(float16\)"):
        InputWriter(spec, describe(spec, np.float16))


def test_grey_has_one_mean():
    with pytest.raises(ValueError, match="mean has three numbers, but grey has one channel"):
        InputSpec(size=(4, 4), color="grey", resize="stretch", mean=(1.0, 2.0, 3.0))


@pytest.mark.parametrize("key", ["mean", "std"])
def test_numbers_without_end_are_refused(key):
    with pytest.raises(ValueError, match="finite"):
        InputSpec(size=(4, 4), resize="stretch", **{key: float("inf")})


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


@pytest.mark.parametrize("color", ["rgb", "grey"])
@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (10_000, 3)])
def test_extreme_frames_keep_at_least_one_pixel(size, color):
    buffer = InputBuffer(LETTERBOX.model_copy(update={"color": color}))
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
    with pytest.raises(ValueError, match=r"must be one of uint8, .*, got int32"):
        InputWriter(LETTERBOX, describe(LETTERBOX, np.int32))
