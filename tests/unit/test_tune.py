"""Threads and cores are chosen by measurement, and only where the gain is clear."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from fakes.sysfs import FakeSystem

from edge_detect.app.cli import main
from edge_detect.core import EdgeDetectError
from edge_detect.models import default_threads, find_model, load_model
from edge_detect.tools.tune import choose, measure_tuning, order_of_cores

SSD = "ssdlite-mobilenet-v2-pedestrian"
USABLE = os.sched_getaffinity(0)

needs_two_cores = pytest.mark.skipif(len(USABLE) < 2, reason="needs two cores")


@pytest.fixture
def path(tmp_path, monkeypatch):
    place = tmp_path / "state" / "tuned.json"
    monkeypatch.setenv("EDGE_DETECT_TUNED", str(place))
    return place


def rounds(*medians, spread=0.0, drift=0.0):
    """Times of candidates round by round; drift slows all of them down."""
    chance = np.random.default_rng(1)
    slower = 1 + drift * np.arange(15) / 15
    return [median * slower * (1 + spread * chance.standard_normal(15)) for median in medians]


@pytest.mark.parametrize(
    ("medians", "best"),
    [
        ((8.0, 4.4, 3.2, 2.8), 3),
        ((8.0, 4.4, 3.2, 3.15), 2),
        ((8.0, 4.4, 4.5, 6.0), 1),
        ((2.0, 2.1, 2.5, 3.0), 0),
        ((2.0, 1.95, 1.92, 1.91), 0),
        ((5.0,), 0),
    ],
)
def test_more_threads_are_taken_as_long_as_each_gains_something(medians, best):
    assert choose(rounds(*medians)) == best


def test_a_gain_that_is_lost_in_noise_is_none():
    assert choose(rounds(4.0, 3.7, spread=0.15)) == 0
    assert choose(rounds(4.0, 3.7, spread=0.005)) == 1


def test_a_board_that_grows_hot_is_so_for_all_candidates():
    assert choose(rounds(8.0, 4.4, drift=0.6)) == 1
    assert choose(rounds(4.0, 4.0, drift=0.6)) == 0


def test_one_disturbed_round_decides_nothing():
    first, second = rounds(4.0, 4.1, spread=0.01)
    first[7] *= 9
    assert choose([first, second]) == 0


def test_fast_cores_come_first(tmp_path):
    system = FakeSystem(tmp_path)
    for core in range(8):
        system.write(f"cpu{core}/cpu_capacity", "414" if core < 4 else "1024")
    assert order_of_cores(range(8), tmp_path)[:4] == [7, 6, 5, 4]


def test_where_capacity_is_not_told_the_clock_tells(tmp_path):
    system = FakeSystem(tmp_path)
    for core, khz in enumerate([2_400_000, 2_400_000, 1_800_000]):
        system.write(f"cpu{core}/cpufreq/cpuinfo_max_freq", str(khz))
    assert order_of_cores(range(3), tmp_path) == [1, 0, 2]


def test_second_threads_of_a_core_come_last(tmp_path):
    system = FakeSystem(tmp_path)
    for core in range(4):
        system.write(f"cpu{core}/topology/thread_siblings_list", f"{core % 2},{core % 2 + 2}")
    assert order_of_cores(range(4), tmp_path) == [1, 0, 3, 2]


def test_cores_of_which_nothing_is_told_are_taken_from_the_end(tmp_path):
    assert order_of_cores([0, 2, 5], tmp_path) == [5, 2, 0]


@needs_two_cores
def test_cores_are_tried_where_threads_leave_some_and_the_caller_keeps_to_none():
    report = measure_tuning(find_model(SSD), most_threads=1)
    free, kept = report.candidates
    assert (free.threads, free.cores) == (1, ())
    assert (kept.threads, len(kept.cores)) == (1, 1)
    assert report.cores in ((), kept.cores)
    assert report.default_threads == default_threads()
    assert os.sched_getaffinity(0) == USABLE


def test_work_of_others_is_told_as_it_favours_few_threads():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            report = measure_tuning(find_model(SSD), most_threads=1, limit_s=2)
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
    assert main(["tune", "--model", SSD, "--dry-run"]) == 0
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
