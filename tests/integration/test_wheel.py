"""What a user installs works without the repository."""

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import av
import cv2
import pytest
from packaging.requirements import Requirement

from edge_detect.core import bundled_path

ROOT = Path(__file__).resolve().parents[2]
# Both tests look at one environment.


def needed_by(wheel: Distribution) -> dict[str, Distribution]:
    """What the installer would install beside a package without extras, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(wheel.requires or ())
    while waiting:
        wanted = Requirement(waiting.pop())
        if wanted.name in found or not (wanted.marker is None or wanted.marker.evaluate()):
            continue
        found[wanted.name] = distribution(wanted.name)
        assert wanted.specifier.contains(found[wanted.name].version, prereleases=True)
        waiting += found[wanted.name].requires or ()
    return found


def link_packages(packages: dict[str, Distribution], folder: Path) -> None:
    """Have a folder contain these packages, as they are installed here, and no others."""
    folder.mkdir()
    for package in packages.values():
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(str(package.locate_file(top)))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An empty environment with the built wheel in it, and what the wheel says that it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run([sys.executable, *build], check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv")
    into = ["-m", "pip", "--python", folder / "venv/bin/python", "install", "--quiet"]
    options = ["--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *into, *options], check=True, capture_output=True, timeout=300)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (ours,) = distributions(name="edge-detect", path=[str(site)])
    link_packages(needed_by(ours), folder / "needed")
    (site / "needed.pth").write_text(f"{folder / 'needed'}\n")
    return folder


def environment_of_a_user() -> dict[str, str]:
    """Without what leads to other packages."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


@pytest.mark.timeout(600)
def test_installed_wheel_detects_people_in_a_photo(installed):
    photo = installed / "street.png"
    with av.open(str(bundled_path("demo") / "street.mp4")) as video:
        cv2.imwrite(str(photo), next(video.decode(video=0)).to_ndarray(format="bgr24"))
    result = subprocess.run(
        [installed / "venv/bin/edge-detect", "detect", "street.png", "--json"],
        cwd=installed,
        env=environment_of_a_user(),
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
        cwd=installed, env=environment_of_a_user(), capture_output=True, text=True, check=True,
        timeout=60,
    ).stdout.split()  # fmt: skip
    demo, models = map(Path, printed)
    assert ROOT not in demo.parents
    assert list(demo.glob("*.mp4"))
    assert len(list(models.glob("*.tflite"))) >= 3
