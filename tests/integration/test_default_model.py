"""Without --model, the best of the box runs on what is there, and the reason is said."""

import numpy as np
import pytest
from support.clip import read_frames

import edge_detect as ed
from edge_detect.app.cli import main
from edge_detect.core import AcceleratorError, bundled_path
from edge_detect.models import find_model, load_model
from edge_detect.models.default import CPU_DEFAULT, EDGE_TPU_DEFAULT, default_model

PHOTO = np.zeros((60, 80, 3), np.uint8)


def test_both_defaults_come_with_the_package_and_one_has_a_twin():
    for edge_tpu in (False, True):
        assert find_model(default_model(edge_tpu=edge_tpu)).present
    twin = find_model(find_model(EDGE_TPU_DEFAULT).spec.edgetpu)
    assert twin.present
    assert twin.spec.cpu_twin == EDGE_TPU_DEFAULT


def test_with_an_edge_tpu_the_default_is_the_model_that_has_a_twin(stand_in):
    with load_model(library=str(stand_in.library)) as detector:
        assert (detector.name, detector.reason) == (EDGE_TPU_DEFAULT, "an Edge TPU was found")
        assert detector.lanes.devices == ("edgetpu:usb:0",)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("devices 0", "there is no Edge TPU"),
        ("list crash", "crashes"),
        ("take all", ""),
    ],
)
def test_without_one_that_works_the_default_is_the_one_for_the_cpu(stand_in, order, says):
    stand_in.tell(order)
    accelerator = "cpu" if order == "take all" else None
    with load_model(library=str(stand_in.library), accelerator=accelerator) as detector:
        assert detector.name == CPU_DEFAULT
        assert says in detector.reason
        assert detector.lanes.devices == ("cpu",)


def test_a_library_that_is_not_installed_is_not_asked(tmp_path, monkeypatch):
    # A process that asks it would be started by this interpreter.
    monkeypatch.setattr("sys.executable", str(tmp_path / "missing"))
    with load_model(library=str(tmp_path / "libedgetpu.so.1")) as detector:
        assert (detector.name, detector.reason) == (CPU_DEFAULT, "no Edge TPU was found")


def test_an_edge_tpu_that_is_asked_for_and_missing_is_an_error(stand_in):
    stand_in.tell("devices 0")
    with pytest.raises(AcceleratorError, match="there is no Edge TPU"):
        load_model(library=str(stand_in.library), accelerator="edgetpu")


def test_a_model_that_is_named_needs_no_reason(stand_in):
    with load_model(CPU_DEFAULT, library=str(stand_in.library)) as detector:
        assert detector.reason == ""


def test_a_pipeline_without_a_model_takes_the_default(stand_in, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_in.library.parent))
    with ed.Pipeline("synthetic://?size=64x48&frames=1", mode="every") as pipeline:
        assert pipeline.detector.name == EDGE_TPU_DEFAULT
        assert len(list(pipeline)) == 1


def test_commands_say_which_model_they_took_and_why(stand_in, monkeypatch, tmp_path, capsys):
    clip = next(bundled_path("demo").glob("*.mp4"))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_in.library.parent))
    words = ["run", str(clip), "--mode", "every", "--duration", "0.1", "--sink"]
    assert main([*words, str(tmp_path / "found.jsonl")]) == 0
    said = capsys.readouterr().err
    assert f"model    {EDGE_TPU_DEFAULT}  300x300" in said
    assert "the default, because an Edge TPU was found; --model takes another" in said


def test_the_twin_for_an_edge_tpu_finds_what_the_model_finds(stand_in, tmp_path):
    """Its one operator gives the heads of the same network; what follows it is in the file."""
    image = read_frames()[40]
    with load_model(EDGE_TPU_DEFAULT, accelerator="cpu") as cpu:
        known = cpu(image)
        heads = cpu.outputs()
        logits = cpu.lanes.engine.session.outputs["scores"]
    real = (np.arange(256) - logits.zero_point) * logits.scale
    table = np.clip(np.round(256 / (1 + np.exp(-real))), 0, 255).astype(np.uint8)
    answer = tmp_path / "answer"
    answer.write_bytes(heads["boxes"].tobytes() + table[heads["scores"]].tobytes())
    stand_in.tell(f"answer {answer}")
    with load_model(EDGE_TPU_DEFAULT, library=str(stand_in.library)) as tpu:
        found = tpu(image)
        assert tpu.lanes.devices == ("edgetpu:usb:0",)
    assert found.names == known.names
    assert len(found) >= 5
    np.testing.assert_allclose(found.scores, known.scores, atol=1 / 256)
    np.testing.assert_allclose(found.boxes, known.boxes, atol=0.01)
