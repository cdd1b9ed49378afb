"""From ONNX to TFLite by a program in an environment of its own; here a stand-in for that."""

import fcntl
import pwd
import shlex

import pytest

from edge_detect.core import DependencyError, ModelError, Size
from edge_detect.models.infer.overrides import Overrides
from edge_detect.tools.convert.float_file import read_float_file
from edge_detect.tools.convert.from_onnx import convert_onnx
from edge_detect.tools.convert.logged import TIMED_OUT, run_logged
from edge_detect.tools.convert.onnx_environment import choose_recipe, make_environment
from tests.support import float_networks as networks
from tests.support import onnx_networks as onnx

PYTHONS = [("/none/python3.13", (3, 13))]
METADATA = {"names": "{0: 'red', 1: 'green'}", "task": "detect", "imgsz": "[64, 64]"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    return tmp_path / "cache" / "edge-detect"


@pytest.fixture
def install(tmp_path, cache):
    """Put a stand-in where the environment's interpreter is.

    It notes its arguments; as onnx2tf it writes to its input, and a TFLite file to where it must.
    """

    def install_program(
        converts="cp {tflite} onnx2tf/net_float32.tflite", parity='{"output": 2e-6}'
    ):
        (tmp_path / "made.tflite").write_bytes(networks.yolov8())
        folder = cache / choose_recipe(PYTHONS).folder
        (folder / "bin").mkdir(parents=True)
        program = folder / "bin" / "python"
        work = converts.format(tflite=shlex.quote(str(tmp_path / "made.tflite")))
        program.write_text(
            f"""#!/bin/sh
echo "$@" >> {shlex.quote(str(tmp_path / "arguments"))}
case "$*" in
*onnx_parity*) echo 'a warning'; echo '{parity}' ;;
*) mkdir onnx2tf; echo rewritten >> "$5"; {work} ;;
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
        return convert_onnx(path, folder, size, said.append, PYTHONS), said

    return convert_content


def test_the_exporters_labels_are_the_models(install, convert, tmp_path):
    """The float file carries what the ONNX file says, and was compared with it."""
    install()
    made, said = convert()
    source = read_float_file(made, Overrides())
    assert source.spec.labels == ["red", "green"]
    assert "its metadata" in source.summary
    assert said == ["float TFLite equals ONNX to 2.0e-06 of the greatest value"]
    assert "-I -m onnx2tf -i" in (tmp_path / "arguments").read_text(encoding="utf-8")


def test_the_file_of_the_user_stays_as_it_is(install, convert, tmp_path):
    """The converter writes to the file that it reads, so it reads a copy."""
    install()
    convert()
    assert (tmp_path / "net.onnx").read_bytes() == onnx.yolov8(metadata=METADATA)
    assert (tmp_path / "work" / "source" / "net.onnx").read_bytes().endswith(b"rewritten\n")
    parity = (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()[-1]
    assert str(tmp_path / "net.onnx") in parity


def test_weights_beside_the_file_go_with_its_copy(install, convert, tmp_path):
    """Also where they lie in a folder of their own."""
    install()
    place = onnx.message(13, onnx.text(1, "location") + onnx.text(2, "data/net.bin"))
    net = onnx.OnnxNet()
    net.add("Relu", net.input("images", (1, 3, 64, 64)))
    net.constants.append(onnx.text(8, "weights") + place + b"\x70\x01")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "net.bin").write_bytes(b"weights")
    convert(net.to_bytes())
    assert (tmp_path / "work" / "source" / "data" / "net.bin").read_bytes() == b"weights"


def test_a_result_that_cannot_be_compared_is_refused_in_words(install, convert):
    """Another shape, or NaN, is no percentage."""
    install(parity='{"output": 1e9}')
    with pytest.raises(ModelError, match=r"has no output like output of net\.onnx") as caught:
        convert()
    assert "%" not in caught.value.message


def test_a_comparison_that_fails_is_reported_with_its_log(install, convert, cache):
    """Nothing is claimed of a file that was not compared."""
    install(parity="no JSON")
    _, said = convert()
    (line,) = said
    assert line == (
        "the float network could not be compared with the ONNX file; see "
        f"{cache / 'net-onnx-parity.log'}"
    )


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
    assert str(cache / "net-onnx2tf.log") in caught.value.hint


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
    made = make_environment(said.append, pythons, "x86_64")
    folder = cache / "onnx2tf-2.6.9-python3.13"
    (line,) = said
    assert f"downloading onnx2tf==2.6.9 (without TensorFlow) from PyPI into {folder}" in line
    assert f"about 660 MB; details in {folder}.log" in line
    assert made.python == folder / "bin" / "python"
    assert make_environment(said.append, pythons, "aarch64") == made
    assert len(said) == 1


def test_an_environment_that_cannot_be_made_leaves_nothing(cache, interpreter):
    """What is half done is removed; the error names the reason and the file with the details."""
    pythons = interpreter("echo ERROR: No matching distribution; exit 1")
    with pytest.raises(DependencyError, match="cannot be installed: No matching") as caught:
        make_environment(lambda _: None, pythons, "x86_64")
    assert "convert on a PC" in caught.value.hint
    assert caught.value.hint.endswith("onnx2tf-2.6.9-python3.13.log")
    assert [path.suffix for path in sorted(cache.iterdir())] == [".lock", ".log"]


@pytest.mark.parametrize(
    ("line", "fact", "hint"),
    [
        ("OSError: [Errno 28] No space left on device", "no space left", "free about 660 MB"),
        ("Retrying after NameResolutionError", "cannot be reached", "connect this computer"),
        ("", "the installer printed nothing", "convert on a PC"),
    ],
)
def test_the_hint_follows_from_what_the_installer_printed(cache, interpreter, line, fact, hint):
    """A full disk and a missing network have ways out of their own."""
    pythons = interpreter(f'test -z "{line}" || echo "{line}"; exit 1')
    with pytest.raises(DependencyError, match=fact) as caught:
        make_environment(lambda _: None, pythons, "x86_64")
    assert hint in caught.value.hint


def test_where_a_package_has_no_wheel_nothing_is_downloaded(cache, interpreter):
    """On aarch64 the error comes before 660 MB do."""
    said = []
    with pytest.raises(DependencyError, match="no wheel for aarch64") as caught:
        make_environment(said.append, interpreter("exit 0"), "aarch64")
    assert said == []
    assert "convert on a PC" in caught.value.hint


def test_an_environment_whose_python_is_gone_is_made_once_more(cache, interpreter):
    """An upgrade of the system may remove the interpreter that a link points to."""
    pythons = interpreter("exit 0")
    made = make_environment(lambda _: None, pythons, "x86_64")
    made.python.unlink()
    made.python.symlink_to("/none/python3.13")
    said = []
    make_environment(said.append, pythons, "x86_64")
    assert len(said) == 1
    assert made.python.exists()


def test_without_a_home_directory_the_error_names_the_variable(monkeypatch):
    """The cache needs a place."""

    def unknown(user):
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(DependencyError, match="no home directory") as caught:
        make_environment(lambda _: None, PYTHONS)
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_programs_of_the_environment_are_found_and_paths_of_this_python_are_not(
    tmp_path, monkeypatch
):
    """Its converter calls others of its programs by name."""
    monkeypatch.setenv("PYTHONPATH", "/none")
    program = tmp_path / "bin" / "onnxsim-stand-in"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "found $PYTHONPATH"\n', encoding="utf-8")
    program.chmod(0o755)
    log = tmp_path / "log"
    assert run_logged(["sh", "-c", program.name], log, 60, programs=program.parent) == 0
    assert log.read_text(encoding="utf-8") == "found \n"


def test_what_an_interrupted_installation_left_is_replaced(cache, interpreter):
    """A folder without its mark is no environment."""
    rest = cache / "onnx2tf-2.6.9-python3.13"
    rest.mkdir(parents=True)
    (rest / "half").touch()
    make_environment(lambda _: None, interpreter("exit 0"), "x86_64")
    assert not (rest / "half").exists()
    assert (rest / "complete").exists()


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path):
    """Nothing runs on when the time is over: the lock that all of them hold is free."""
    log, lock = tmp_path / "log", tmp_path / "lock"
    script = f"exec 9> {shlex.quote(str(lock))}; flock 9; echo held; sleep 600 & sleep 600"
    assert run_logged(["sh", "-c", script], log, 2) == TIMED_OUT
    # On a busy machine it may not even have begun.
    assert log.read_text(encoding="utf-8").endswith("ERROR: it took more than 2 s\n")
    with lock.open("w") as file:
        # Waits for the kernel to end the last of them.
        fcntl.flock(file, fcntl.LOCK_EX)
