"""Tests that run in front of a made-up camera, each in a process of its own.

The driver must be loaded before the C library, so the process that runs pytest cannot see it.
"""

import faulthandler
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fake_camera import FakeCamera, build

_TESTS = Path(__file__).parents[2]
_LIMIT_S = 90


@functools.cache
def _driver() -> tuple[Path, tempfile.TemporaryDirectory]:
    folder = tempfile.TemporaryDirectory(prefix="edge-detect-driver-")
    return build(Path(folder.name)), folder


def environment(folder: Path) -> dict[str, str]:
    """The variables under which a process sees the cameras of a folder."""
    library, _ = _driver()
    ours = {"LD_PRELOAD": str(library), "FAKE_V4L2_DIR": str(folder), "PYTHONPATH": str(_TESTS)}
    return os.environ | ours


def in_front_of(*lines: str):
    """Run a test in a process that sees a camera with these modes.

    The test fails, too, if the process misused the device, or left a descriptor or a mapping
    of it behind. Its module ends with `main(globals())`.
    """

    def decorate(body: Callable[[FakeCamera], None]):
        @functools.wraps(body)
        def test(tmp_path: Path) -> None:
            camera = FakeCamera(tmp_path)
            camera.plug(*lines)
            done = subprocess.run(
                [sys.executable, body.__globals__["__file__"], body.__name__, tmp_path],
                env=environment(tmp_path),
                check=False,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S + 10,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert camera.violations() == ""

        # Pytest is to see the arguments of `test`, not those of the body.
        del test.__wrapped__
        test.body = body
        return test

    return decorate


def main(module: dict[str, object]) -> None:
    """In the process of its own: run the body of one test."""
    if module["__name__"] == "__main__":
        faulthandler.dump_traceback_later(_LIMIT_S, exit=True)
        name, folder = sys.argv[1:]
        module[name].body(FakeCamera(Path(folder)))
