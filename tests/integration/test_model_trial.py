"""Model files of unknown origin are tried in a process of their own before they are opened."""

from pathlib import Path

import numpy as np
import pytest
from support.echo_models import change_manifest, write_model
from support.made_models import tensor, write_made

from edge_detect.core import ModelError
from edge_detect.models import load_model
from edge_detect.models.trial import check_by_trial

FAILING = Path(__file__).parents[1] / "fakes" / "failing_runtime"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def let_trials_fail(monkeypatch):
    """A function after which the runtime fails in processes that are started."""

    def begin(how):
        monkeypatch.setenv("PYTHONPATH", str(FAILING), prepend=":")
        monkeypatch.setenv("FAILS_BY", how)

    return begin


def unvouched(folder):
    """A model whose manifest has no checksum."""
    path = write_model(folder)
    text = path.with_suffix(".toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("sha256"))
    change_manifest(path, f"{line}\n", "")
    return path


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS"])
def test_a_file_that_ends_the_runtime_is_refused(tmp_path, let_trials_fail, name):
    path = unvouched(tmp_path)
    let_trials_fail(name)
    with pytest.raises(
        ModelError, match=rf"echo\.tflite ends the runtime, .* \({name}\)"
    ) as caught:
        load_model(path, accelerator="cpu")
    assert "fetch or convert it again" in caught.value.hint


def test_a_process_that_was_killed_may_have_lacked_memory(tmp_path, let_trials_fail):
    path = unvouched(tmp_path)
    let_trials_fail("SIGKILL")
    with pytest.raises(ModelError, match=r"\(SIGKILL\)") as caught:
        load_model(path, accelerator="cpu")
    assert "memory" in caught.value.hint


def test_a_file_that_blocks_the_runtime_is_refused(tmp_path, let_trials_fail):
    path = unvouched(tmp_path)
    let_trials_fail("hang")
    with pytest.raises(ModelError, match=r"has not finished one inference within 1\.5 s"):
        check_by_trial(path, limit_s=1.5)


def test_a_file_that_a_checksum_vouches_for_needs_no_trial(tmp_path, let_trials_fail):
    let_trials_fail("SIGSEGV")
    load_model(write_model(tmp_path), accelerator="cpu").close()


def test_a_trial_that_went_well_is_remembered_until_the_file_changes(tmp_path, let_trials_fail):
    path = unvouched(tmp_path)
    load_model(path, accelerator="cpu").close()
    let_trials_fail("SIGSEGV")
    load_model(path, accelerator="cpu").close()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="ends the runtime"):
        load_model(path, accelerator="cpu")


def test_what_cannot_be_remembered_is_tried_each_time(tmp_path, let_trials_fail, monkeypatch):
    path = unvouched(tmp_path)
    no_folder = tmp_path / "file"
    no_folder.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(no_folder))
    check_by_trial(path)
    let_trials_fail("SIGSEGV")
    with pytest.raises(ModelError, match="ends the runtime"):
        check_by_trial(path)


def test_trials_can_be_left_out(tmp_path, let_trials_fail, monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_TRIAL", "0")
    let_trials_fail("SIGSEGV")
    load_model(unvouched(tmp_path), accelerator="cpu").close()


def test_a_file_that_is_run_to_learn_about_it_has_a_trial_before(tmp_path, let_trials_fail):
    boxes = np.zeros((1, 84, 6))
    path = write_made(
        tmp_path / "best.tflite",
        [tensor("images", (1, 64, 64, 3))],
        [tensor("output", (1, 84, 6), values=boxes)],
    )
    let_trials_fail("SIGSEGV")
    with pytest.raises(ModelError, match=r"best\.tflite ends the runtime"):
        load_model(path, accelerator="cpu")


def test_a_refused_file_gives_the_error_of_opening_it(tmp_path):
    path = unvouched(tmp_path)
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(path, accelerator="cpu")
