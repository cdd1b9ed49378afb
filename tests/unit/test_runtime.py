"""What the door to TFLite lets in, and what it says to the rest."""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.echo_models import MODELS

from edge_detect.core import ConfigError, DependencyError, ModelError
from edge_detect.models.runtime import RUNTIMES, default_threads, open_session
from edge_detect.models.structure import check_structure

pytestmark = pytest.mark.model

FAKES = Path(__file__).parents[1] / "fakes"


def test_a_session_describes_its_tensors():
    with open_session(MODELS / "echo-int8.tflite", threads=1) as session:
        (image,) = session.inputs
        head = session.outputs["head"]
        assert (image.name, image.shape, image.dtype) == ("image", (1, 8, 8, 3), np.int8)
        assert (head.name, head.shape, head.dtype) == ("head", (1, 4, 4, 12), np.int8)
        assert head.scale == pytest.approx(1 / 255)
        assert head.zero_point == -128


def test_a_float_tensor_has_scale_zero():
    with open_session(MODELS / "echo-float32.tflite") as session:
        assert (session.inputs[0].scale, session.inputs[0].zero_point) == (0.0, 0)


def test_what_is_written_into_the_input_is_what_the_model_sees():
    with open_session(MODELS / "echo-uint8.tflite") as session:
        values = np.arange(192, dtype=np.uint8)
        session.input_view()[:] = values.reshape(1, 8, 8, 3)
        session.invoke()
        assert np.array_equal(session.output_views()["head"].ravel(), values)


def test_a_view_that_is_kept_stops_the_next_inference():
    with open_session(MODELS / "echo-uint8.tflite") as session:
        view = session.input_view()
        with pytest.raises(RuntimeError, match="reference"):
            session.invoke()
        del view
        session.invoke()


def test_a_closed_session_cannot_be_used():
    session = open_session(MODELS / "echo-uint8.tflite")
    session.close()
    with pytest.raises(ValueError, match="must be open"):
        session.invoke()
    with pytest.raises(ValueError, match="must be open"):
        session.input_view()
    with pytest.raises(ValueError, match="must be open"):
        session.output_views()


def test_the_session_says_which_runtime_and_how_many_threads():
    with open_session(MODELS / "echo-uint8.tflite", threads=2) as session:
        name, version = session.runtime.split()
        assert name in RUNTIMES
        assert version[0].isdigit()
        assert session.threads == 2


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 3), (8, 4)])
def test_the_default_leaves_one_core_to_the_camera(monkeypatch, cores, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert default_threads() == threads


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_refused(threads):
    with pytest.raises(ValueError, match=f"threads must be at least 1, got {threads}"):
        open_session(MODELS / "echo-uint8.tflite", threads=threads)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"TFL3", "is not a TFLite model"),
        (b"GIF89a, or any other file", "is not a TFLite model"),
    ],
)
def test_another_kind_of_file_is_refused_by_name(tmp_path, content, says):
    path = tmp_path / "odd.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=says) as caught:
        open_session(path)
    assert str(path) in caught.value.message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read model .*gone\.tflite: No such file"):
        open_session(tmp_path / "gone.tflite")


@given(data=st.data())
def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path_factory, data):
    whole = (MODELS / "echo-uint8.tflite").read_bytes()
    path = tmp_path_factory.getbasetemp() / "half.tflite"
    path.write_bytes(whole[: data.draw(st.integers(8, len(whole) - 1))])
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        open_session(path)
    assert "truncated" in caught.value.hint


@given(data=st.data())
def test_pointers_that_lead_nowhere_are_refused_without_following_them(data):
    content = bytearray((MODELS / "echo-uint8.tflite").read_bytes())
    at = data.draw(st.integers(0, len(content) // 4 - 1)) * 4
    content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    # Any other exception would reach the user as a traceback.
    with contextlib.suppress(ValueError):
        check_structure(bytes(content))


def test_every_shipped_model_has_a_sound_structure():
    for path in sorted((MODELS.parent.parent / "models_tflite").glob("*.tflite")):
        content = path.read_bytes()
        check_structure(content)
        with pytest.raises(ValueError, match=r"are missing|beyond its end"):
            # Files may end in padding.
            check_structure(content[:-64])


def test_a_model_that_is_written_over_while_it_is_in_use_goes_on_as_it_was(tmp_path):
    path = tmp_path / "echo.tflite"
    path.write_bytes((MODELS / "echo-int8.tflite").read_bytes())
    with open_session(path) as session:
        # What is mapped is gone with the file's content: a process that reads it, ends.
        assert str(path) not in Path("/proc/self/maps").read_text()
        path.write_bytes(b"")
        session.invoke()


def test_a_model_for_an_edge_tpu_names_its_twin_for_a_cpu():
    with pytest.raises(ModelError, match="compiled for an Edge TPU") as caught:
        open_session(MODELS / "edgetpu-custom-op.tflite", cpu_twin="plain-model")
    assert "'plain-model'" in caught.value.hint


def test_an_unknown_custom_operator_is_named():
    with pytest.raises(ModelError, match="custom operator 'made-up-op'"):
        open_session(MODELS / "made-up-op.tflite")


def test_an_operator_of_the_future_asks_for_a_newer_runtime():
    with pytest.raises(ModelError, match="operator that this runtime does not have") as caught:
        open_session(MODELS / "newer-op.tflite")
    assert "pip install" in caught.value.hint


def test_an_unknown_runtime_lists_the_known_ones():
    with pytest.raises(ConfigError, match="unknown runtime 'caffe'") as caught:
        open_session(MODELS / "echo-uint8.tflite", runtime="caffe")
    assert "litert, tflite-runtime" in caught.value.hint


def test_the_environment_can_force_a_runtime(monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_RUNTIME", "caffe")
    with pytest.raises(ConfigError, match="unknown runtime 'caffe'"):
        open_session(MODELS / "echo-uint8.tflite")


def test_without_any_runtime_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delenv("EDGE_DETECT_RUNTIME", raising=False)
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"{package}.interpreter", raising=False)
    with pytest.raises(DependencyError, match="ai-edge-litert is not installed") as caught:
        open_session(MODELS / "echo-uint8.tflite")
    assert "pip install 'ai-edge-litert" in caught.value.hint


def test_a_forced_runtime_that_is_missing_is_the_one_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    monkeypatch.delitem(sys.modules, "tflite_runtime.interpreter", raising=False)
    with pytest.raises(DependencyError, match="tflite-runtime is not installed") as caught:
        open_session(MODELS / "echo-uint8.tflite", runtime="tflite-runtime")
    assert "'numpy<2'" in caught.value.hint


def test_a_runtime_built_for_another_numpy_says_so(monkeypatch):
    for module in ("tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(str(FAKES / "runtime_for_numpy1"))
    with pytest.raises(DependencyError, match="does not fit numpy") as caught:
        open_session(MODELS / "echo-uint8.tflite", runtime="tflite-runtime")
    assert "pip install 'tflite-runtime>=2.14' 'numpy<2'" in caught.value.hint
    # The next test must find the real one again.
    for module in ("tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.delitem(sys.modules, module)
