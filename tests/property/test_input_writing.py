"""Tables of bytes write exactly what arithmetic in float64 gives."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import pixel_references
from support.made_models import Op, made_model, tensor

from edge_detect.models.preprocess import InputWriter, pixel_table
from edge_detect.models.runtime import open_session
from edge_detect.models.spec import InputSpec
from edge_detect.models.tensors import TensorInfo

QUANTIZE = 114
numbers = st.one_of(st.floats(-500, 500), st.sampled_from([0.0, 127.5, 103.53, 128.0]))
deviations = st.one_of(st.floats(1e-3, 1e3), st.sampled_from([1.0, 127.5, 255.0, 57.375]))
scales = st.one_of(st.floats(1e-4, 10), st.sampled_from([1 / 255, 1 / 128, 0.0186584, 1 / 127.5]))
ZERO_POINTS = {"uint8": (0, 255), "int8": (-128, 127), "int16": (0, 0)}


@st.composite
def inputs(draw):
    """A model's input as its manifest has it, the tensor, and the size of a picture."""
    grey = draw(st.booleans())
    values = {
        name: draw(one if grey or draw(st.booleans()) else st.tuples(one, one, one))
        for name, one in (("mean", numbers), ("std", deviations))
    }
    dtype = draw(st.sampled_from(["uint8", "int8", "int16", "float16", "float32"]))
    low = np.min(values["std"]) if dtype == "float16" else 1.0
    assume((255 + np.max(np.abs(values["mean"]))) / low < np.finfo(np.float16).max)
    encoding = "normalized" if dtype == "int16" else draw(st.sampled_from(["pixels", "normalized"]))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 9)))
    color = "grey" if grey else "rgb"
    spec = InputSpec(size=size, color=color, resize="stretch", encoding=encoding, **values)
    scale = float(np.float32(draw(scales))) if dtype in ZERO_POINTS else 0.0
    zero_point = draw(st.integers(*ZERO_POINTS.get(dtype, (0, 0))))
    info = TensorInfo("image", 0, spec.tensor_shape, np.dtype(dtype), scale, zero_point)
    return spec, info


@settings(max_examples=300, deadline=None)
@given(given_input=inputs(), seed=st.integers(0, 2**32))
def test_the_elements_written_are_those_of_the_float_path(given_input, seed):
    spec, info = given_input
    pixels = np.random.default_rng(seed).integers(0, 256, info.shape[1:], np.uint8)
    tensor_memory = np.empty(info.shape, info.dtype)
    InputWriter(spec, info).write(pixels, tensor_memory)
    wanted = pixel_references.written(pixels, spec, info)
    assert np.array_equal(tensor_memory[0], wanted)


@pytest.mark.model
@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "mean", "std"),
    [
        # As a full-integer export of Ultralytics has it.
        ("int8", 0.01865845, -14, 0.0, 255.0),
        ("uint8", 0.0078125, 128, 127.5, 127.5),
        ("int8", 0.0205, 3, 123.675, 58.395),
        ("uint8", 0.0039215689, 0, 0.0, 255.0),
    ],
)
def test_tables_are_what_the_runtimes_own_quantize_makes(
    tmp_path, dtype, scale, zero_point, mean, std
):
    path = tmp_path / "quantize.tflite"
    shape = (1, 16, 16, 1)
    content = made_model(
        [tensor("real", shape)],
        [tensor("quantized", shape, dtype, scale, zero_point)],
        operators=[Op(QUANTIZE, ["real"], ["quantized"])],
    )
    path.write_bytes(content)
    spec = InputSpec(size=(16, 16), color="grey", resize="stretch", mean=mean, std=std)
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    with open_session(path, threads=1) as session:
        InputWriter(spec, session.inputs[0]).write(pixels, session.input_view())
        session.invoke()
        wanted = session.output_views()["quantized"].reshape(-1).copy()
        info = session.outputs["quantized"]
    normalized = spec.model_copy(update={"encoding": "normalized"})
    table = pixel_table(normalized, info)[0]
    steps = (np.arange(256) - mean) / std / info.scale
    # Runtimes compute in float32 and differ among themselves where a value lies half way.
    clear = np.abs(steps - np.floor(steps) - 0.5) > 1e-4
    assert np.count_nonzero(clear) > 250
    assert np.array_equal(table[clear], wanted[clear])
    assert np.all(np.abs(table.astype(int) - wanted.astype(int)) <= 1)
