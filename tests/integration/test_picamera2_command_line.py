"""`edge-detect run picamera2://`, with the library missing and with its imitation."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import wait_for

FAKES = Path(__file__).parents[1] / "fakes" / "picamera2"
RUN = [sys.executable, "-m", "edge_detect.app.cli", "run"]
# A program of somebody else's that has the camera until its input ends.
OTHER = "import picamera2, sys; camera = picamera2.Picamera2(); print('open', flush=True);"
OTHER += "sys.stdin.read()"


@pytest.fixture
def environment(tmp_path):
    """A function that gives the variables with a folder first on the path."""

    def with_first(first: Path) -> dict[str, str]:
        path = os.pathsep.join([str(first), os.environ.get("PYTHONPATH", "")])
        return os.environ | {"PYTHONPATH": path, "FAKE_CSI_LOCKS": str(tmp_path)}

    return with_first


@pytest.fixture
def run(environment):
    """A function that runs the program to its end, with a folder first on the path."""

    def run(first: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RUN, *arguments],
            env=environment(first),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_without_picamera2_its_cure_is_printed(run, tmp_path) -> None:
    package = tmp_path / "picamera2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ModuleNotFoundError(name='picamera2')")
    done = run(tmp_path, "picamera2://", "--sink", "null://")
    assert done.returncode == 72
    assert "Traceback" not in done.stderr
    # Where the system has it and this environment hides it, the cure is another.
    cures = ("sudo apt install -y python3-picamera2", "--system-site-packages")
    assert any(cure in done.stderr for cure in cures)


def test_a_camera_that_another_program_has_is_in_use(run, environment) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(FAKES),
    ) as other:
        assert other.stdout.readline() == b"open\n"
        done = run(FAKES, "picamera2://0?size=320x240", "--sink", "null://", "--mode", "every")
        other.stdin.close()
        assert other.wait(60) == 0
    assert done.returncode == 66
    assert "in use by another program" in done.stderr


def test_frames_come_through_with_times_and_boxes_of_the_picture(environment, tmp_path) -> None:
    lines, log = tmp_path / "out.jsonl", tmp_path / "log"
    command = [*RUN, "picamera2://0?size=640x480&fps=10", "--sink", str(lines)]
    command += ["--model", "ssdlite-mobilenet-v2-pedestrian"]
    with log.open("w") as errors:
        program = subprocess.Popen(command, env=environment(FAKES), stderr=errors)
        try:
            wait_for(lambda: lines.exists() and lines.read_text().count("\n") >= 5, 60)
            program.send_signal(signal.SIGINT)
            assert program.wait(60) == 0, log.read_text()
        finally:
            program.kill()
            program.wait(10)
    results = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {(result["width"], result["height"]) for result in results} == {(640, 480)}
    times = [result["captured_ns"] for result in results]
    assert times == sorted(set(times))
    assert "picamera2.picamera2" not in log.read_text()
