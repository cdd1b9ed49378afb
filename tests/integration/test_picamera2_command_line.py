"""`edge-detect run picamera2://`, with the library missing and with its imitation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FAKES = Path(__file__).parents[1] / "fakes" / "picamera2"


@pytest.fixture
def run(tmp_path):
    """A function that runs the program with a folder first on the path."""

    def run(first: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edge_detect.app.cli", "run", *arguments],
            env=os.environ | {"PYTHONPATH": str(first), "FAKE_CSI_LOCKS": str(tmp_path)},
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


def test_frames_come_through_with_times_and_boxes_of_the_picture(run, tmp_path) -> None:
    lines = tmp_path / "out.jsonl"
    url = "picamera2://0?size=640x480&fps=10"
    done = run(FAKES, url, "--sink", str(lines), "--duration", "2")
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(results) >= 5
    assert {(result["width"], result["height"]) for result in results} == {(640, 480)}
    times = [result["captured_ns"] for result in results]
    assert times == sorted(set(times))
    assert "picamera2.picamera2" not in done.stderr
