"""What a user installs works without the repository."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import av
import cv2
import pytest

from edge_detect.core import bundled_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An empty environment with the built wheel in it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    install = [folder / "venv/bin/pip", "install", "--quiet", wheel]
    subprocess.run(install, check=True, capture_output=True, timeout=500)
    return folder


@pytest.mark.timeout(600)
def test_installed_wheel_detects_people_in_a_photo(installed):
    photo = installed / "street.png"
    with av.open(str(bundled_path("demo") / "street.mp4")) as video:
        cv2.imwrite(str(photo), next(video.decode(video=0)).to_ndarray(format="bgr24"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    result = subprocess.run(
        [installed / "venv/bin/edge-detect", "detect", "street.png", "--json"],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "person" in {d["label"] for d in json.loads(result.stdout)["detections"]}


@pytest.mark.timeout(600)
def test_installed_wheel_has_the_clip_and_the_models(installed):
    code = (
        "from edge_detect.core import bundled_path\n"
        "print(bundled_path('demo'), bundled_path('models_tflite'))"
    )
    printed = subprocess.run(
        [installed / "venv/bin/python", "-c", code],
        cwd=installed, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    demo, models = map(Path, printed)
    assert ROOT not in demo.parents
    assert list(demo.glob("*.mp4"))
    assert len(list(models.glob("*.tflite"))) >= 3
