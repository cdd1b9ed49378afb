"""Threads and cores are measured on this computer, as `edge-detect tune` does."""

import json
import os
import signal
import subprocess
import sys

import pytest

from edge_detect.app.cli import main
from edge_detect.core import EdgeDetectError
from edge_detect.models import default_threads, find_model, load_model
from edge_detect.tools.tune import measure_tuning

SSD = "ssdlite-mobilenet-v2-pedestrian"
USABLE = os.sched_getaffinity(0)

needs_two_cores = pytest.mark.skipif(len(USABLE) < 2, reason="needs two cores")


@pytest.fixture
def path(tmp_path, monkeypatch):
    place = tmp_path / "state" / "tuned.json"
    monkeypatch.setenv("EDGE_DETECT_TUNED", str(place))
    return place


@needs_two_cores
def test_cores_are_tried_where_threads_leave_some_and_the_caller_keeps_to_none():
    report = measure_tuning(find_model(SSD), most_threads=1, rounds=3)
    free, kept = report.candidates
    assert (free.threads, free.cores) == (1, ())
    assert (kept.threads, len(kept.cores)) == (1, 1)
    assert report.cores in ((), kept.cores)
    assert report.default_threads == default_threads()
    assert os.sched_getaffinity(0) == USABLE


def test_work_of_others_is_told_as_it_favours_few_threads():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            report = measure_tuning(find_model(SSD), most_threads=1, rounds=5)
        finally:
            other.kill()
    assert report.busy_cores > 0.2


def test_a_board_that_is_too_slow_is_told_within_the_limit():
    with pytest.raises(EdgeDetectError, match="too slow here to be tuned within 0 s"):
        measure_tuning(find_model(SSD), limit_s=0.1)


def test_the_command_writes_what_it_found_and_models_take_it(path, capsys):
    assert main(["tune", "--model", SSD, "--json", "--force"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    tried = [each["threads"] for each in said["candidates"] if not each["cores"]]
    assert tried == list(range(1, min(8, len(USABLE)) + 1))
    assert said["file"] == str(path)
    written = json.loads(path.read_text())["models"][SSD]
    assert (written["threads"], written["cores"]) == (said["threads"], said["cores"])
    with load_model(SSD, accelerator="cpu") as detector:
        assert (detector.threads, detector.runtime) == (said["threads"], said["runtime"])


def test_a_dry_run_tells_what_it_found_and_writes_nothing(path, capsys):
    assert main(["tune", "--model", SSD, "--dry-run", "--force"]) == 0
    said = capsys.readouterr().out
    assert f"{SSD}  litert" in said
    assert "1 thread " in said
    assert said.count("taken") == 1
    assert not path.parent.exists()


def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("is no folder")
    monkeypatch.setenv("EDGE_DETECT_TUNED", str(tmp_path / "file" / "tuned.json"))
    assert main(["tune", "--model", SSD]) == 78
    said = capsys.readouterr()
    assert said.out == ""
    assert f"cannot write {tmp_path}/file/tuned.json: " in said.err


def test_what_is_interrupted_leaves_no_file(path):
    command = "import sys; from edge_detect.app.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", command, "tune", "--model", SSD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # What it says when it begins to measure.
        assert "core" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert list(path.parent.iterdir()) == []
