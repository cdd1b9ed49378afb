"""From ONNX to TFLite by a program in an environment of its own; here a stand-in for that."""

import fcntl
import shlex

import pytest

from edge_detect.core import DependencyError, ModelError, Size
from edge_detect.models.infer.overrides import Overrides
from edge_detect.tools.convert.float_file import read_float_file
from edge_detect.tools.convert.from_onnx import convert_onnx
from edge_detect.tools.convert.logged import TIMED_OUT, run_logged
from edge_detect.tools.convert.onnx_environment import (
    choose_recipe,
    find_pythons,
    make_environment,
)
from tests.support import float_networks as networks
from tests.support import onnx_networks as onnx

METADATA = {"names": "{0: 'red', 1: 'green'}", "task": "detect", "imgsz": "[64, 64]"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    return tmp_path / "cache" / "edge-detect"


@pytest.fixture
def install(tmp_path, cache):
    """Put a stand-in where the environment's interpreter is.

    It notes its arguments, and as onnx2tf writes a TFLite file where it is to.
    """

    def install_program(
        converts="cp {tflite} onnx2tf/net_float32.tflite", parity='{"output": 2e-6}'
    ):
        (tmp_path / "made.tflite").write_bytes(networks.yolov8())
        folder = cache / choose_recipe(find_pythons()).folder
        (folder / "bin").mkdir(parents=True)
        program = folder / "bin" / "python"
        work = converts.format(tflite=shlex.quote(str(tmp_path / "made.tflite")))
        program.write_text(
            f"""#!/bin/sh
echo "$@" >> {shlex.quote(str(tmp_path / "arguments"))}
case "$*" in
*onnx_parity*) echo 'a warning'; echo '{parity}' ;;
*) mkdir onnx2tf; {work} ;;
esac
""",
            encoding="utf-8",
        )
        program.chmod(0o755)
        (folder / "complete").touch()

    return install_program


@pytest.fixture
def convert(tmp_path):
    def convert_content(content=None, size=None):
        path = tmp_path / "net.onnx"
        path.write_bytes(content or onnx.yolov8(metadata=METADATA))
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        said = []
        return convert_onnx(path, folder, size, said.append), said

    return convert_content


def test_the_exporters_labels_are_the_models(install, convert, tmp_path):
    """The float file carries what the ONNX file says, and was compared with it."""
    install()
    made, said = convert()
    source = read_float_file(made, Overrides())
    assert source.spec.labels == ["red", "green"]
    assert "its metadata" in source.summary
    assert said == ["float TFLite equals ONNX to 2.0e-06 of the greatest value"]
    assert "-m onnx2tf -i" in (tmp_path / "arguments").read_text(encoding="utf-8")


def test_the_size_goes_to_the_converter(install, convert, tmp_path):
    """An open size is closed by `--size`."""
    install()
    net = onnx.OnnxNet()
    net.add("Relu", net.input("images", (1, 3, "height", "width")))
    convert(net.to_bytes(), Size(64, 64))
    assert "-ois images:1,3,64,64" in (tmp_path / "arguments").read_text(encoding="utf-8")


def test_an_operator_that_cannot_be_converted_is_named(install, convert, cache):
    """The program's last error is the fact; its whole output is in a file."""
    install(converts="echo 'ERROR: OP_TYPE: GridSample is not supported'; exit 1")
    with pytest.raises(ModelError, match="GridSample is not supported") as caught:
        convert()
    assert str(cache / "onnx2tf.log") in caught.value.hint


def test_a_conversion_that_computes_something_else_is_refused(install, convert):
    """A float file that differs from the ONNX file is not quantized."""
    install(parity='{"output": 0.3}')
    with pytest.raises(ModelError, match=r"differs from net\.onnx by 30\.0% in output output"):
        convert()


@pytest.fixture
def interpreter(tmp_path):
    """A stand-in for an interpreter: makes environments whose pip does as it is told."""

    def write(pip):
        program = tmp_path / "python3.13"
        program.write_text(
            f"""#!/bin/sh
mkdir -p "$3/bin"
printf '#!/bin/sh\\n{pip}\\n' > "$3/bin/python"
chmod +x "$3/bin/python"
""",
            encoding="utf-8",
        )
        program.chmod(0o755)
        return [(str(program), (3, 13))]

    return write


def test_an_environment_is_made_once(cache, interpreter):
    """The user is told what is installed where, and the second time nothing is."""
    said = []
    pythons = interpreter("echo installed $5")
    made = make_environment(said.append, pythons)
    folder = cache / "onnx2tf-2.6.9-python3.13"
    (line,) = said
    assert f"installing onnx2tf==2.6.9 (without TensorFlow) into {folder}, once" in line
    assert f"about 660 MB; details in {folder}.log" in line
    assert made.python == folder / "bin" / "python"
    assert make_environment(said.append, pythons) == made
    assert len(said) == 1


def test_an_environment_that_cannot_be_made_leaves_nothing(cache, interpreter):
    """What is half done is removed; the error names the reason and the file with the details."""
    pythons = interpreter("echo ERROR: No matching distribution; exit 1")
    with pytest.raises(DependencyError, match="cannot be installed: No matching") as caught:
        make_environment(lambda _: None, pythons)
    assert ".log; or convert on a PC" in caught.value.hint
    assert [path.suffix for path in sorted(cache.iterdir())] == [".lock", ".log"]


def test_what_an_interrupted_installation_left_is_replaced(cache, interpreter):
    """A folder without its mark is no environment."""
    rest = cache / "onnx2tf-2.6.9-python3.13"
    rest.mkdir(parents=True)
    (rest / "half").touch()
    make_environment(lambda _: None, interpreter("exit 0"))
    assert not (rest / "half").exists()
    assert (rest / "complete").exists()


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path):
    """Nothing runs on when the time is over: the lock that all of them hold is free."""
    log, lock = tmp_path / "log", tmp_path / "lock"
    script = f"exec 9> {shlex.quote(str(lock))}; flock 9; echo held; sleep 600 & sleep 600"
    assert run_logged(["sh", "-c", script], log, 2) == TIMED_OUT
    assert log.read_text(encoding="utf-8") == "held\nERROR: it took more than 2 s\n"
    with lock.open("w") as file:
        # Waits for the kernel to end the last of them.
        fcntl.flock(file, fcntl.LOCK_EX)
