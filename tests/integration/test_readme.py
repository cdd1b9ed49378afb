"""The README does not lie: its Python runs, its commands exist, its links lead somewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from edge_detect.app.cli import main
from edge_detect.core import bundled_path
from edge_detect.service.config.load import load_settings
from edge_detect.sinks import open_sink

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHORT_BLOCKS = [each for each in PYTHON_BLOCKS if "boxed.mp4" not in each]


@pytest.fixture
def folder(tmp_path):
    """A folder with the `street.mp4` that the examples speak of."""
    shutil.copy(bundled_path("demo") / "street.mp4", tmp_path / "street.mp4")
    return tmp_path


def run_example(block, folder):
    """What a block of Python prints, as it stands, after what came before it."""
    code = (
        "import av\n"
        "with av.open('street.mp4') as video:\n"
        "    image = next(video.decode(video=0)).to_ndarray(format='bgr24')\n"
    ) + block
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "person" in result.stdout or "pedestrian" in result.stdout


@pytest.mark.parametrize("number", range(len(SHORT_BLOCKS)))
def test_python_example_runs_as_printed(folder, number):
    run_example(SHORT_BLOCKS[number], folder)


def test_pipeline_example_runs_as_printed_and_writes_the_video_it_names(folder):
    (block,) = [each for each in PYTHON_BLOCKS if "boxed.mp4" in each]
    run_example(block, folder)
    with av.open(str(folder / "boxed.mp4")) as boxed, av.open(str(folder / "street.mp4")) as street:
        assert len(list(boxed.decode(video=0))) == len(list(street.decode(video=0)))


@pytest.mark.parametrize("page", ["README.md", "deploy/README.md", "docs/configuration.md"])
def test_configuration_examples_are_accepted(tmp_path, page):
    examples = re.findall(
        r"^ *```toml\n(.*?)^ *```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
    whole = [example for example in examples if re.search(r"^ *\[cameras\.", example, re.MULTILINE)]
    assert whole
    for example in whole:
        config = tmp_path / "config.toml"
        config.write_text(re.sub(r'_file = "[^"]+"', '_file = "secret"', example))
        (tmp_path / "secret").write_text("a-password")
        settings = load_settings(config, dict.fromkeys(re.findall(r"\$\{(\w+)", example), "x"))
        assert settings.cameras


def test_relative_links_and_pictures_exist():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_command_of_the_readme_parses():
    for line in re.findall(
        r"^edge-detect (\S+(?: (?:list|show|pull|verify))?)", README, re.MULTILINE
    ):
        with pytest.raises(SystemExit) as end:
            main([*line.split(), "--help"])
        assert end.value.code == 0, line


def test_every_sink_of_the_readme_is_understood():
    """Also the options that the table names, apart from the values that stand for a choice."""
    sinks = re.findall(r"--sink ('[^']+'|[^\s\"]+)", README)
    assert len(sinks) > 5
    for sink in sinks:
        open_sink(sink.strip("'")).close()
    table = README.partition("| sink | is |")[2].partition("\n\n")[0]
    options = 0
    for line in re.findall(r"^\| `((?:rtsp|rtsp-push|mp4)://.*)$", table, re.MULTILINE):
        scheme = line.partition(":")[0]
        for key, value in re.findall(r"`\?(\w+)=([^`…]+)`", line):
            open_sink(f"{scheme}://127.0.0.1:1/x?{key}={value}").close()
            options += 1
    assert options > 6
