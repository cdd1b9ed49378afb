"""A first inference in a process of its own, for model files of unknown origin.

A damaged model can end the process that runs it: runtimes check much of what they load, and not
all of it. So a file that no checksum of a manifest vouches for is first loaded and run once by

    python -P -m edge_detect.models.trial FILE RUNTIME SHAPE

and only a file that this process survives is opened in this one. That it did is remembered in
the cache directory, by the file's content, the runtime and the input's shape. The environment
variable EDGE_DETECT_TRIAL=0 leaves trials out.
"""

import hashlib
import logging
import os
import platform
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_detect.core import EdgeDetectError, ModelError
from edge_detect.core.resources import cache_directory
from edge_detect.models.checksum import sha256_of
from edge_detect.models.helper.process import helper_environment
from edge_detect.models.packages import runtime_version
from edge_detect.models.runtime import open_session

__all__ = ["check_by_trial", "main"]

_log = logging.getLogger(__name__)

# Ten times what the largest detector takes on the slowest board.
_LIMIT_S = 60.0
# The trial's own exit statuses: the file was refused, as it will be here; or its inference failed.
_REFUSED, _FAILED = 3, 4
_KEPT_CHARACTERS = 300


def check_by_trial(
    path: Path,
    input_shape: Sequence[int] | None = None,
    runtime: str | None = None,
    *,
    limit_s: float = _LIMIT_S,
) -> None:
    """Refuse a model file that ends or blocks the process that runs it.

    Takes less than a second for each new file, and the time of its SHA-256 afterwards.

    Args:
        path: The `.tflite` file.
        input_shape: As in `open_session`.
        runtime: As in `open_session`.
        limit_s: Longest time for loading and one inference.

    Raises:
        ModelError: It does, its inference fails, or it cannot be read.
        DependencyError: No runtime is installed.
        ConfigError: The runtime's name is unknown.
    """
    if os.environ.get("EDGE_DETECT_TRIAL") == "0":
        return
    shape = ",".join(map(str, input_shape or ()))
    version = runtime_version(runtime)
    try:
        tried = "\n".join((sha256_of(path), version, shape, platform.machine()))
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    passed = _passed_path(hashlib.sha256(tried.encode()).hexdigest())
    if passed is not None and passed.exists():
        return
    module = "edge_detect.models.trial"
    # Not from the working directory: whatever lies there has no business in here.
    command = [sys.executable, "-P", "-m", module, str(path.resolve()), version.split()[0], shape]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
            env=helper_environment(),
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{path} has not finished one inference within {limit_s:g} s",
            "the file may be damaged, or its model too large for this computer: take another one",
        ) from error
    except OSError as error:
        _log.warning("%s is opened without a trial: no process can be started: %s", path, error)
        return
    _judge(path, version, done)
    if done.returncode == 0 and passed is not None:
        _remember(passed)


def _judge(path: Path, version: str, done: "subprocess.CompletedProcess[bytes]") -> None:
    """Raise ModelError for what became of a trial, unless opening the file says it better."""
    printed = done.stderr.decode("utf-8", "replace").strip()
    if printed:
        _log.debug("trial of %s: %s", path, printed)
    if done.returncode < 0:
        ended = -done.returncode
        name = signal.Signals(ended).name if ended in set(signal.Signals) else f"signal {ended}"
        hint = "the file is damaged, or the runtime has a defect: fetch or convert it again"
        if ended == signal.SIGKILL:
            hint = "there may be too little memory for it: use a smaller model or input"
        raise ModelError(f"{path} ends the runtime, {version} ({name})", hint)
    if done.returncode == _FAILED:
        reason = done.stdout.decode("utf-8", "replace").strip()[-_KEPT_CHARACTERS:]
        raise ModelError(
            f"{path} cannot be run: {reason}", "the file may be damaged; fetch or convert it again"
        )
    if done.returncode not in (0, _REFUSED):
        # Such as the exit of a library; Python's own traceback is in the log.
        last = (printed.splitlines() or [""])[-1][-_KEPT_CHARACTERS:]
        raise ModelError(
            f"{path} ended its trial with status {done.returncode}: {last}",
            "the file may be damaged; fetch or convert it again",
        )


def _passed_path(digest: str) -> Path | None:
    """The file whose presence says that a trial went well; None where there is no place for it."""
    try:
        return cache_directory() / "trials" / digest
    except RuntimeError:
        return None


def _remember(passed: Path) -> None:
    try:
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.touch()
    except OSError as error:
        # Then there is a trial at each start.
        _log.debug("cannot remember a trial in %s: %s", passed, error)


def main(arguments: list[str]) -> int:
    """Load a model and run it once, on noise.

    Args:
        arguments: The file, the runtime, and the input's shape with commas, or nothing.

    Returns:
        The exit status.
    """
    # No file with the memory of a process that was meant to be able to die.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # In case nobody waits any more.
    signal.alarm(int(_LIMIT_S) + 5)
    path, runtime, shape = arguments
    wanted = tuple(int(extent) for extent in shape.split(",")) if shape else None
    try:
        session = open_session(Path(path), runtime=runtime, input_shape=wanted)
        view = session.input_view()
        noise = np.random.default_rng(0).integers(0, 256, view.size, np.uint8).reshape(view.shape)
        # As any picture; real numbers as most models take them.
        view[...] = noise.astype(view.dtype) if view.dtype.kind in "ui" else noise / 255
        del view
        session.invoke()
        session.output_views()
        # Memory that an operator wrote beyond is often noticed only when it is freed.
        session.close()
    except EdgeDetectError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the log of the other side
        return _REFUSED
    except (RuntimeError, ValueError) as error:
        print(" ".join(str(error).split()))  # noqa: T201 - said by the other side
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
