"""Running short programs that may hang, as their devices do."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["run_bounded"]

_LAST_WORDS_S = 2.0


def run_bounded(
    command: Sequence[str],
    timeout_s: float,
    environment: Mapping[str, str],
    *,
    keep_errors: bool = True,
) -> tuple[int | None, bytes, bytes]:
    """Run a program to its end, or kill it with all that it has started.

    Args:
        command: Path and arguments.
        timeout_s: Longest time. What a device holds within the kernel cannot be killed; it is
            waited for two seconds longer, and left behind.
        environment: Of the program.
        keep_errors: Whether its standard error is kept, too.

    Returns:
        Its exit status, negative for the signal that killed it and None if it took too long; and
        what it wrote to standard output and standard error.

    Raises:
        OSError: It cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - commands are ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if keep_errors else subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,
    )
    status: int | None
    try:
        out, err = process.communicate(timeout=timeout_s)
        status = process.returncode
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status, out, err = None, b"", b""
        with suppress(subprocess.TimeoutExpired):
            out, err = process.communicate(timeout=_LAST_WORDS_S)
    return status, out, err or b""
