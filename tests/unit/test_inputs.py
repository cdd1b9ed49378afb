"""What a model's input may be, and what is said of others."""

import numpy as np
import pytest

from edge_detect.core import ModelError, Size
from edge_detect.models.inputs import describe_input, shape_to_set
from edge_detect.models.tensors import TensorInfo


def info(shape, dtype="uint8", *, name="image", signature=()):
    return TensorInfo(name, 0, shape, np.dtype(dtype), signature=signature)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_picture_of_any_type_is_taken(dtype, channels):
    taken = describe_input("x.tflite", [info((1, 480, 640, channels), dtype)])
    assert taken.size == Size(640, 480)
    assert taken.channels == channels


@pytest.mark.parametrize(
    ("tensor", "size", "channels"),
    [
        (info((1, 1, 1, 3), signature=(1, -1, -1, 3)), None, 3),
        (info((1, 1, 1, 3), signature=(-1, -1, -1, 3)), None, 3),
        (info((1, 320, 320, 3), signature=(-1, 320, 320, 3)), Size(320, 320), 3),
        (info((1, 1, 1, 1), signature=(1, -1, -1, 1)), None, 1),
        (info((1, 1, 1, 1), signature=(-1, -1, -1, -1)), None, None),
        # As TensorFlow 1 wrote it.
        (info((1, 1, 1, 3)), None, 3),
    ],
)
def test_an_input_may_leave_its_size_open(tensor, size, channels):
    taken = describe_input("x.tflite", [tensor])
    assert (taken.size, taken.channels) == (size, channels)


@pytest.mark.parametrize(
    ("inputs", "says", "hint"),
    [
        ([info((4, 320, 320, 3))], r"batches of 4 pictures: .*'image' .* 4x320x320x3", "size 1"),
        ([info((1, 3, 640, 480))], r"channels first: .*'image' .* 1x3x640x480", "onnx2tf"),
        (
            [info((1, 3, 1, 1), signature=(1, 3, -1, -1))],
            r"channels first: .* 1x3x\?x\?",
            "onnx2tf",
        ),
        ([info((1, 64, 64, 4))], r"pictures of 4 channels: .* 1x64x64x4", "3 channels"),
        ([info((1, 1000), name="words")], "no picture: its input 'words' .* 1x1000", "whole"),
        ([info((), name="size")], r"no picture: its input 'size' .* \(\)", "whole"),
        ([info((1, 64, 64, 3), "int32")], r"input of type int32 \('image'\)", "uint8, int8"),
        ([], "x.tflite has 0 inputs", "only input"),
        (
            [info((1, 64, 64, 3)), info((1, 2), name="scale_factor")],
            r"has 2 inputs; one image is needed: 'image' 1x64x64x3, 'scale_factor' 1x2",
            "only input",
        ),
        ([info((1, 9), name=f"part {n}") for n in range(6)], r"'part 3' 1x9 and 2 more", "only"),
    ],
)
def test_any_other_input_is_refused_with_its_name_shape_and_a_way_out(inputs, says, hint):
    with pytest.raises(ModelError, match=says) as caught:
        describe_input("x.tflite", inputs)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "name",
    ["raw_inputs/init_lstm_c", "conv_state", "hidden:0", "serving_default_h:0", "h_in", "c0"],
)
def test_a_recurrent_network_is_named_as_one(name):
    with pytest.raises(ModelError) as caught:
        describe_input("x.tflite", [info((1, 64, 64, 3)), info((1, 8, 8, 32), name=name)])
    assert f"({name})" in caught.value.hint
    assert "recurrent" in caught.value.hint


@pytest.mark.parametrize(
    ("tensor", "shape"),
    [
        (info((1, 1, 1, 3), signature=(-1, -1, -1, 3)), (1, 480, 640, 3)),
        (info((1, 1, 1, 1), signature=(1, -1, -1, -1)), (1, 480, 640, 3)),
        (info((1, 1, 1, 3)), (1, 480, 640, 3)),
        # One side open, the other is as the file says.
        (info((1, 320, 1, 3), signature=(1, 320, -1, 3)), (1, 320, 640, 3)),
        (info((1, 480, 640, 3), signature=(-1, 480, 640, 3)), None),
        (info((1, 320, 320, 3)), None),
        (info((1, 9)), None),
    ],
)
def test_only_what_the_file_leaves_open_is_set(tensor, shape):
    assert shape_to_set(tensor, (1, 480, 640, 3)) == shape
