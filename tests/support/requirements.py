"""What tests need of the system, and what becomes of them without it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

_SUPPORT = Path(__file__).parent


def need(program: str, package: str) -> None:
    """Fail without a program, which `make setup-test` installs."""
    if shutil.which(program) is None:
        pytest.fail(f"{program} is missing: apt-get install {package}")


def not_allowed(reason: str) -> NoReturn:
    """Skip a test that this system does not allow, and fail it in CI, where all must run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def python_path() -> str:
    """For another process, so that it imports what this one does."""
    return os.pathsep.join(filter(None, sys.path))


def run_on_a_disk(
    namespace: str, mount: str, script: str, disk: Path, out: Path
) -> subprocess.CompletedProcess[str]:
    """Run a program that has a disk of its own.

    Args:
        namespace: The command that makes mounts private, such as `unshare -rm`.
        mount: Shell command that mounts the disk.
        script: Its name, in this folder.
        disk: Where the disk is mounted; the program's first argument.
        out: Its second.
    """
    shell = f"{mount} && exec {sys.executable} {_SUPPORT / script} {disk} {out}"
    done = subprocess.run(
        [*namespace.split(), "sh", "-c", shell],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=os.environ | {"PYTHONPATH": python_path()},
    )
    # A kernel that lets nobody mount anything is no fault of ours; a missing program is.
    refused = ("unshare:", "mount:", "mkfs")
    if done.returncode and done.stderr.startswith(refused) and "not found" not in done.stderr:
        not_allowed(f"needs root, or namespaces of its own: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done
