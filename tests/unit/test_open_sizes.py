"""Inputs whose size the file leaves open, and models that need more memory than there is."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.echo_models import MODELS
from support.made_models import Op, made_model, tensor
from support.open_size import open_model, write_open_model

from edge_detect.board.memory import free_memory
from edge_detect.core import ModelError
from edge_detect.models import footprint, load_model
from edge_detect.models.catalogue import bundled_models
from edge_detect.models.footprint import least_footprint
from edge_detect.models.runtime import open_session

pytestmark = pytest.mark.model

GREATER, WHERE, EXP = 61, 109, 47
GIGABYTE = 10**9


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param((1, -1, -1, 3), id="size"),
        pytest.param((-1, -1, -1, 3), id="size and batch"),
        pytest.param((-1, -1, -1, -1), id="all"),
        pytest.param(None, id="not said"),
    ],
)
def test_the_manifest_sets_a_size_that_the_file_leaves_open(tmp_path, signature):
    path = write_open_model(tmp_path, (12, 8), signature=signature)
    image = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    with load_model(path) as detector:
        session = detector.lanes.engine.session
        assert session.inputs[0].shape == (1, 8, 12, 3)
        assert session.outputs["head"].shape == (1, 8, 12, 6)
        detector(image, color="rgb")
        head = detector.outputs()["head"]
    wanted = ((image - 127.5) / 63.75).astype(np.float32)
    assert np.array_equal(head[0], np.concatenate([wanted, wanted], axis=-1))


def test_an_open_batch_is_one_picture(tmp_path):
    shape, signature = (1, 8, 12, 3), (-1, 8, 12, 3)
    path = write_open_model(tmp_path, (12, 8), shape=shape, signature=signature)
    with load_model(path) as detector:
        assert detector.lanes.engine.session.outputs["head"].shape == (1, 8, 12, 6)


def test_a_fixed_size_is_not_changed(tmp_path):
    path = write_open_model(tmp_path, (12, 8), shape=(1, 8, 8, 3), signature=None)
    with pytest.raises(ModelError, match=r"open.toml: input.size: 12x8 needs an input of shape"):
        load_model(path)


def test_a_size_that_the_network_cannot_take_is_named(tmp_path):
    # The second part has a fixed size.
    part = tensor("part", (1, 8, 8, 3), values=0.5)
    content = made_model(
        [tensor("image", (1, 1, 1, 3), signature=(1, -1, -1, 3))],
        [tensor("sum", (1, 8, 8, 3))],
        operators=[Op(0, ["image", "part"], ["sum"])],
        constants=[part],
    )
    path = tmp_path / "part.tflite"
    path.write_bytes(content)
    with open_session(path, input_shape=(1, 8, 8, 3)) as session:
        assert session.outputs["sum"].shape == (1, 8, 8, 3)
    with pytest.raises(ModelError, match=r"part.tflite cannot take pictures of 16x9: "):
        open_session(path, input_shape=(1, 9, 16, 3))


def test_outputs_that_grow_with_what_is_found_are_refused_when_they_do(tmp_path):
    content = made_model(
        [tensor("image", (1, 2, 2, 3))],
        [
            tensor("places", (1, 4), "int64", signature=(-1, 4)),
            tensor("bright", (1, 2, 2, 3), "bool"),
        ],
        operators=[Op(GREATER, ["image", "limit"], ["bright"]), Op(WHERE, ["bright"], ["places"])],
        constants=[tensor("limit", (1, 2, 2, 3), values=0.5)],
    )
    path = tmp_path / "places.tflite"
    path.write_bytes(content)
    with open_session(path) as session:
        # None, and all of them: one is not as many as there were at first.
        said = [what_is_said_of(session, bright) for bright in (0, 1)]
    assert any(said)
    assert all("'places' changes its shape with the picture" in each for each in said if each)


def what_is_said_of(session, bright):
    session.input_view()[:] = bright
    session.invoke()
    try:
        session.output_views()
    except ModelError as error:
        return error.message
    return ""


def test_a_model_without_an_input_is_refused(tmp_path):
    path = tmp_path / "nothing.tflite"
    content = made_model(
        [],
        [tensor("head", (1, 2, 2, 3))],
        operators=[Op(EXP, ["values"], ["head"])],
        constants=[tensor("values", (1, 2, 2, 3), values=1.0)],
    )
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"nothing.tflite has no input"):
        open_session(path)


def test_shapes_beyond_all_memory_are_refused_before_anything_is_allocated(tmp_path):
    path = tmp_path / "huge.tflite"
    path.write_bytes(open_model(None, (1, 100_000, 100_000, 3), "uint8"))
    with pytest.raises(ModelError, match=r"at least 210.00 GB of memory, .* 60.00 GB .* 'head'"):
        open_session(path)


def test_a_size_set_by_the_user_beyond_all_memory_is_refused(tmp_path):
    path = write_open_model(tmp_path, (1_000_000, 1_000_000))
    with pytest.raises(ModelError, match=r"needs at least 84000.* GB .* 'head'"):
        load_model(path)


def test_activations_of_an_open_size_are_counted_by_a_smaller_picture(tmp_path, monkeypatch):
    parts = [f"part {number}" for number in range(2)]
    content = made_model(
        [tensor("image", (1, 1, 1, 3), signature=(1, -1, -1, 3))],
        [tensor(name, (1, 1, 1, 3), signature=(1, -1, -1, 3)) for name in (*parts, "head")],
        operators=[
            Op(EXP, ["image"], [parts[0]]),
            Op(EXP, [parts[0]], [parts[1]]),
            Op(EXP, [parts[1]], ["head"]),
        ],
    )
    path = tmp_path / "wide.tflite"
    path.write_bytes(content)
    monkeypatch.setattr(footprint, "free_memory", lambda: 40_000_000)
    with pytest.raises(ModelError, match="needs at least"):
        open_session(path, input_shape=(1, 2000, 1600, 3))


def test_the_footprint_is_that_of_the_largest_operator_and_of_two_copies_of_the_outputs():
    content = (MODELS / "echo-int8.tflite").read_bytes()
    found = least_footprint(content)
    assert found.total_bytes == len(content) + 2 * 192 + 2 * 192


@pytest.mark.parametrize("entry", bundled_models(), ids=lambda entry: entry.name)
def test_bundled_models_need_megabytes(entry):
    content = entry.path.read_bytes()
    assert 2e6 < least_footprint(content).total_bytes - len(content) < 2e7


@given(data=st.data())
def test_footprints_of_damaged_files_are_numbers_or_clear_errors(data):
    content = bytearray((MODELS / "echo-uint8.tflite").read_bytes())
    at = data.draw(st.integers(0, len(content) // 4 - 1)) * 4
    content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    # Any other exception would reach the user as a traceback.
    with contextlib.suppress(ValueError):
        least_footprint(bytes(content))


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_free_memory_is_what_is_available_with_swap(tmp_path):
    write(tmp_path, "proc/meminfo", "MemAvailable: 3000 kB\nSwapFree: 1000 kB\n")
    assert free_memory(tmp_path) == 4000 * 1024


def test_a_container_has_what_its_control_groups_leave(tmp_path):
    write(tmp_path, "proc/meminfo", "MemAvailable: 8000000 kB\n")
    write(tmp_path, "proc/self/cgroup", "0::/machine/camera\n")
    groups = "sys/fs/cgroup/machine"
    write(tmp_path, f"{groups}/memory.max", "1000000\n")
    write(tmp_path, f"{groups}/memory.current", "400000\n")
    write(tmp_path, f"{groups}/memory.stat", "anon 5\ninactive_file 50000\n")
    write(tmp_path, f"{groups}/camera/memory.max", "max\n")
    write(tmp_path, f"{groups}/camera/memory.current", "300000\n")
    assert free_memory(tmp_path) == 650_000


def test_control_groups_of_the_first_version_count_as_well(tmp_path):
    write(tmp_path, "proc/self/cgroup", "4:memory:/docker/1234\n1:cpu:/\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.usage_in_bytes", "500000\n")
    assert free_memory(tmp_path) == 1_500_000


def test_memory_that_the_kernel_does_not_tell_of_is_not_judged(tmp_path):
    assert free_memory(tmp_path) is None
