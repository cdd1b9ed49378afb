"""What was measured for a board is taken there, and nowhere else."""

import json
import logging
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core import ConfigError
from edge_detect.core.resources import tuning_path, tuning_paths
from edge_detect.models import find_model, load_model
from edge_detect.models.runtime import open_session
from edge_detect.models.tuned import (
    Tuning,
    check_writable,
    find_tuning,
    this_board,
    write_tuning,
)

pytestmark = pytest.mark.model

SSD = "ssdlite-mobilenet-v2-pedestrian"
YOLO = "yolov3-tiny-coco"
# Never what is taken without a tuning, as long as there are two cores.
ALL_CORES = Tuning(len(os.sched_getaffinity(0)))


@pytest.fixture(scope="module")
def runtime():
    """As a session tells it."""
    with open_session(find_model(SSD).path, threads=1) as session:
        return session.runtime


@pytest.fixture
def path(tmp_path, monkeypatch):
    place = tmp_path / "of" / "its own" / "tuned.json"
    monkeypatch.setenv("EDGE_DETECT_TUNED", str(place))
    return place


@pytest.fixture
def written(path, runtime):
    """A file that says something of one model."""
    write_tuning(path, find_model(SSD), runtime, ALL_CORES)
    return path


def change(path, **changes):
    content = json.loads(path.read_text())
    content["board"].update({k: v for k, v in changes.items() if k in content["board"]})
    said = content["models"][SSD]
    said.update({k: v for k, v in changes.items() if k in said and k not in content["board"]})
    path.write_text(json.dumps(content))


def test_what_was_written_is_found(written):
    assert find_tuning(find_model(SSD)) == ALL_CORES


def test_a_model_that_was_not_tuned_has_none(written):
    assert find_tuning(find_model(YOLO)) is None


def test_where_nothing_was_tuned_nothing_is_said(path, caplog):
    caplog.set_level(logging.DEBUG)
    assert find_tuning(find_model(SSD)) is None
    assert caplog.text == ""


def test_a_model_is_loaded_with_the_threads_that_were_measured(written):
    with load_model(SSD, accelerator="cpu") as detector:
        assert detector.threads == ALL_CORES.threads


def test_threads_that_are_asked_for_go_before_what_was_measured(written):
    with load_model(SSD, accelerator="cpu", threads=ALL_CORES.threads + 1) as detector:
        assert detector.threads == ALL_CORES.threads + 1


def test_no_model_is_kept_to_cores_that_others_may_want_as_well(path, runtime):
    core = max(os.sched_getaffinity(0))
    write_tuning(path, find_model(SSD), runtime, Tuning(1, (core,)))
    with load_model(SSD, accelerator="cpu") as detector:
        seen = []
        session = detector.lanes.engine.session
        invoke = session.invoke
        session.invoke = lambda: (seen.append(os.sched_getaffinity(0)), invoke())
        detector(np.zeros((60, 80, 3), np.uint8))
        assert seen == [os.sched_getaffinity(0)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cpu": "Raspberry Pi 5 Model B Rev 1.0"}, "was tuned on another board: Raspberry Pi 5"),
        ({"cores": 64}, "was tuned on another board"),
        ({"checksum": "0" * 64}, "was tuned with another file"),
        ({"runtime": "litert 1.0.1"}, "was tuned with litert 1.0.1, and runs with"),
        ({"threads": 1000}, "was tuned with cores that this process may not use"),
    ],
)
def test_what_was_measured_elsewhere_is_passed_over_with_a_debug_line(
    written, caplog, changes, says
):
    caplog.set_level(logging.DEBUG)
    change(written, **changes)
    assert find_tuning(find_model(SSD)) is None
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert f"{SSD}: {written}: {says}" in record.message


def test_cores_that_this_process_may_not_use_are_not_taken(path, runtime):
    write_tuning(path, find_model(SSD), runtime, Tuning(1, (4095,)))
    assert find_tuning(find_model(SSD)) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0" * 300,
        "{",
        "[]",
        "7",
        "[" * 60_000,
        '{"board": 3, "models": {}}',
        '{"board": {"cpu": "a", "cores": 1}, "models": []}',
        '{"board": {"cpu": "a", "cores": "many"}, "models": {}}',
    ],
)
def test_a_damaged_file_is_passed_over_with_one_warning(path, caplog, content):
    path.parent.mkdir(parents=True)
    path.write_text(content)
    for _ in range(3):
        assert find_tuning(find_model(SSD)) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{path} is damaged" in record.message
    assert "edge-detect tune" in record.message


@pytest.mark.parametrize("threads", [0, -2, 1.5, "2", True, None])
def test_threads_that_are_no_number_are_a_damage(written, caplog, threads):
    change(written, threads=threads)
    assert find_tuning(find_model(SSD)) is None
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("cores", [[-1], ["1"], [None], 1, "01"])
def test_cores_that_are_no_numbers_are_a_damage(written, caplog, cores):
    content = json.loads(written.read_text())
    content["models"][SSD]["cores"] = cores
    written.write_text(json.dumps(content))
    assert find_tuning(find_model(SSD)) is None
    assert "is damaged" in caplog.text


@pytest.fixture(scope="module")
def any_file(tmp_path_factory):
    """A file of its own for `test_a_file_with_any_bytes_in_it_stops_nothing`."""
    path = tmp_path_factory.mktemp("any") / "tuned.json"
    write_tuning(path, find_model(SSD), "litert 2.3.0", Tuning(1))
    return path, path.read_bytes()


@given(data=st.data())
def test_a_file_with_any_bytes_in_it_stops_nothing(any_file, data):
    entry = find_model(SSD)
    path, whole = any_file
    content = bytearray(whole)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_DETECT_TUNED", str(path))
        find_tuning(entry)


def test_the_file_is_for_everybody_whatever_the_mask_of_the_writer(path, runtime):
    before = os.umask(0o077)
    try:
        write_tuning(path, find_model(SSD), runtime, ALL_CORES)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_models_that_were_tuned_before_stay(written, runtime):
    write_tuning(written, find_model(YOLO), runtime, Tuning(1))
    assert find_tuning(find_model(SSD)) == ALL_CORES
    assert find_tuning(find_model(YOLO)) == Tuning(1)
    assert [each.name for each in written.parent.iterdir()] == ["tuned.json"]


def test_what_another_board_has_left_is_dropped(written, runtime):
    change(written, cpu="Raspberry Pi 4 Model B Rev 1.5")
    write_tuning(written, find_model(YOLO), runtime, Tuning(1))
    content = json.loads(written.read_text())
    assert content["board"] == {"cpu": this_board().cpu, "cores": this_board().cores}
    assert list(content["models"]) == [YOLO]


def test_a_damaged_file_is_written_anew(written, runtime):
    written.write_text("{")
    write_tuning(written, find_model(SSD), runtime, Tuning(1))
    assert find_tuning(find_model(SSD)) == Tuning(1)


def test_a_place_that_cannot_be_written_is_named(tmp_path, runtime):
    path = tmp_path / "file" / "tuned.json"
    path.parent.write_text("is no folder")
    for write in (
        lambda: check_writable(path),
        lambda: write_tuning(path, find_model(SSD), runtime, Tuning(1)),
    ):
        with pytest.raises(ConfigError, match="cannot write") as caught:
            write()
        assert str(path) in caught.value.message
        assert "--dry-run" in caught.value.hint


def test_a_file_that_cannot_be_replaced_leaves_no_part_of_the_new_one(tmp_path, runtime):
    path = tmp_path / "tuned.json"
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        write_tuning(path, find_model(SSD), runtime, Tuning(1))
    assert list(tmp_path.iterdir()) == [path]


def test_a_service_looks_at_its_own_state_first_and_then_at_what_is_for_all(monkeypatch):
    monkeypatch.delenv("EDGE_DETECT_TUNED", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-detect:/var/lib/other")
    own = "/var/lib/edge-detect/tuned.json"
    assert [str(each) for each in tuning_paths()] == [own, "/etc/edge-detect/tuned.json"]
    assert str(tuning_path()) == own


@pytest.mark.parametrize(
    ("user", "place"),
    [(0, "/etc/edge-detect/tuned.json"), (1000, "/home/me/.state/edge-detect/tuned.json")],
)
def test_root_measures_for_all_and_a_user_for_themselves(monkeypatch, user, place):
    for name in ("EDGE_DETECT_TUNED", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/.state")
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert str(tuning_path()) == place


def test_a_user_without_a_home_has_what_is_for_all(monkeypatch):
    for name in ("EDGE_DETECT_TUNED", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home():
        raise RuntimeError

    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert [str(each) for each in tuning_paths()] == ["/etc/edge-detect/tuned.json"]
