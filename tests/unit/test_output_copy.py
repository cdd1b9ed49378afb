"""Copies of what a model put out."""

import numpy as np
import pytest
from support import references

from edge_detect.models.decoders import make_decoder
from edge_detect.models.output_copy import OutputCopy
from edge_detect.models.tensors import TensorInfo

# Beyond the last, NumPy copies.
SIZES = [0, 1, 1000, 70_000]


def outputs(seed, dtype, size):
    values = np.random.default_rng(seed).integers(0, 100, (1, size, 2))
    return {"boxes": values.astype(dtype), "scores": values.astype(dtype)[..., :1] + 1}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float32", "int64", "bool"])
def test_a_copy_stays_when_the_next_inference_overwrites_the_outputs(dtype, size):
    views, copy = outputs(1, dtype, size), OutputCopy(["boxes", "scores"])
    copy.take(views)
    for view in views.values():
        view[...] = 0
    for name, wanted in outputs(1, dtype, size).items():
        np.testing.assert_array_equal(copy.outputs[name], wanted)
        assert copy.outputs[name].dtype == wanted.dtype


@pytest.mark.parametrize("size", SIZES)
def test_the_memory_of_a_copy_is_used_again(size):
    copy = OutputCopy(["boxes", "scores"])
    copy.take(outputs(1, "int8", size))
    before = dict(copy.outputs)
    copy.take(outputs(2, "int8", size))
    assert all(copy.outputs[name] is array for name, array in before.items())
    np.testing.assert_array_equal(copy.outputs["boxes"], outputs(2, "int8", size)["boxes"])


def test_outputs_that_take_another_shape_get_other_memory():
    copy = OutputCopy(["boxes"])
    for size in (3, 5, 2):
        copy.take(outputs(size, "float32", size))
        np.testing.assert_array_equal(
            copy.outputs["boxes"], outputs(size, "float32", size)["boxes"]
        )


def test_only_what_the_decoder_reads_is_copied():
    tensors = {
        "boxes": np.zeros((1, 18, 4), np.float32),
        "scores": np.zeros((1, 18, 1), np.float32),
        "masks": np.zeros((1, 18, 32), np.float32),
    }
    infos = {name: TensorInfo(name, 0, each.shape, each.dtype) for name, each in tensors.items()}
    decoder = make_decoder(references.ssd_manifest(), infos)
    copy = OutputCopy(decoder.reads)
    copy.take(tensors)
    assert set(copy.outputs) == {"boxes", "scores"}
