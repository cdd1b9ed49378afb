"""Tests that run in front of a made-up camera, each in a process of its own.

The driver must be loaded before the C library, so the process that runs pytest cannot see it.
A second one does, imports the modules of these tests once, and forks for each test.
"""

import atexit
import faulthandler
import functools
import gc
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from fakes.v4l2_device.fake_camera import FakeCamera, build

_TESTS = Path(__file__).parents[2]
_LIMIT_S = 90


def environment(folder: Path) -> dict[str, str]:
    """The variables under which a process sees the cameras of a folder."""
    path = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
    ours = {"LD_PRELOAD": str(build()), "FAKE_V4L2_DIR": str(folder), "PYTHONPATH": path}
    return os.environ | ours


def in_front_of(*lines: str):
    """Run a test in a process that sees a camera with these modes.

    The test fails, too, if the process misused the device, or left a descriptor or a mapping
    of it behind.
    """

    def decorate(body: Callable[[FakeCamera], None]):
        @functools.wraps(body)
        def test(tmp_path: Path) -> None:
            camera = FakeCamera(tmp_path)
            camera.plug(*lines)
            output = tmp_path / "output"
            status = _forks().run(body.__globals__["__file__"], body.__name__, tmp_path, output)
            assert status == 0, output.read_text()
            assert camera.violations() == ""

        # Pytest is to see the arguments of `test`, not those of the body.
        del test.__wrapped__
        test.body = body
        return test

    return decorate


class _Forks:
    """The process that has the driver loaded, seen from the one that runs pytest."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fakes.v4l2_device.in_front"],
            env=environment(Path(os.devnull)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._close)

    def run(self, *order: str | Path) -> int:
        """The exit status of one test.

        Args:
            order: The test's module and name, its camera's folder, and the file for its output.
        """
        self._process.stdin.write(json.dumps([str(each) for each in order]) + "\n")
        self._process.stdin.flush()
        # A test that hangs is ended by its own process.
        return int(self._process.stdout.readline())

    def _close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)


@functools.cache
def _forks() -> _Forks:
    return _Forks()


def _serve() -> None:
    """Fork for each line of standard input; answer with exit statuses."""
    modules: dict[str, ModuleType] = {}
    for line in sys.stdin:
        file, name, folder, output = json.loads(line)
        if file not in modules:
            modules[file] = _load(file)
            gc.collect()
            gc.freeze()
        child = os.fork()
        if not child:
            _become(Path(folder), Path(output))
            getattr(modules[file], name).body(FakeCamera(Path(folder)))
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _load(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _become(folder: Path, output: Path) -> None:
    """Make a process of its own of a fork: with its camera, its output and an end."""
    os.environ["FAKE_V4L2_DIR"] = str(folder)
    with Path(os.devnull).open() as nothing, output.open("w") as written:
        os.dup2(nothing.fileno(), 0)
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)
    faulthandler.dump_traceback_later(_LIMIT_S, exit=True)


if __name__ == "__main__":
    _serve()
