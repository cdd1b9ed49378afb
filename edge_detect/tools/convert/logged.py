"""Programs whose output goes to a file of its own, not to the user's terminal."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["TIMED_OUT", "run_logged"]

# As coreutils' timeout has it.
TIMED_OUT = 124
_OWN_PATHS = ("PYTHONHOME", "PYTHONPATH")


def run_logged(
    command: Sequence[str],
    log: Path,
    timeout_s: float,
    *,
    append: bool = False,
    folder: Path | None = None,
    programs: Path | None = None,
) -> int:
    """Run a program to its end; it ends with this one, also when that is interrupted.

    Args:
        command: Program and arguments.
        log: Where its output goes.
        timeout_s: It is ended after so long.
        append: Whether what is in the file already stays.
        folder: Its working directory; None for that of this program.
        programs: A folder in which it finds programs before all others.

    Returns:
        Its exit status; `TIMED_OUT` if it took too long.

    Raises:
        OSError: It cannot be started, or the file cannot be written.
    """
    # Paths for this interpreter's packages are wrong for another's.
    kept = {key: value for key, value in os.environ.items() if key not in _OWN_PATHS}
    if programs is not None:
        kept["PATH"] = os.pathsep.join([str(programs), kept.get("PATH", os.defpath)])
    with log.open("a" if append else "w", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            cwd=folder,
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            file.write(f"ERROR: it took more than {timeout_s:g} s\n")
            return TIMED_OUT
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
