"""Questions that are asked in a process of their own: native code may crash, or never return.

The answer is one JSON object; what libraries print meanwhile goes elsewhere.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from edge_detect.core import EdgeDetectError
from edge_detect.tools.doctor.place import Answer, Place

__all__ = ["ProbeError", "ask", "main"]

# Question → module and function, which takes the texts after the name.
_PROBES = {
    name: ("edge_detect.tools.doctor.probes", name)
    for name in ("cameras", "csi", "edge_tpu", "encoders", "gstreamer", "kernels", "libraries")
} | {name: ("edge_detect.tools.doctor.probes_models", name) for name in ("inference", "runtime")}

_ILLEGAL = (
    "this processor lacks an instruction that the package was built for: use a 64-bit system, "
    "and packages built for it"
)
_CRASHED = (
    "a native library that does not fit its neighbours or this system: reinstall the package, "
    "in an environment of its own"
)
_CRASHES = {
    signal.SIGILL: _ILLEGAL,
    signal.SIGSEGV: _CRASHED,
    signal.SIGBUS: _CRASHED,
    signal.SIGABRT: _CRASHED,
    signal.SIGFPE: _CRASHED,
    signal.SIGKILL: "out of memory? `dmesg` tells; close other programs or add swap",
}


class ProbeError(EdgeDetectError):
    """A probe gave no answer: it crashed, hung or failed."""


def ask(place: Place, name: str, *arguments: str, timeout_s: float) -> dict[str, Any]:
    """Ask one question in another process.

    Args:
        place: Whose interpreter and environment are used.
        name: Of the probe.
        arguments: Of the probe.
        timeout_s: Longest time, before it is multiplied by the place's `patience`.

    Returns:
        The answer.

    Raises:
        ProbeError: There is none; says why, and what to do.
    """
    # Without -P, a file in the working directory could take the place of a module.
    command = [place.python, "-P", "-m", __name__, name, *arguments]
    answer = place.run(command, timeout_s)
    if answer.status == 0:
        try:
            found: dict[str, Any] = json.loads(answer.out)
        except ValueError:
            raise ProbeError(f"the answer makes no sense: {answer.out[:80]!r}") from None
        if "error" in found:
            raise ProbeError(str(found["error"]), str(found.get("hint", "")))
        return found
    raise _explain(answer, timeout_s * place.patience)


def main() -> None:
    """Answer one question: `python -m edge_detect.tools.doctor.probe NAME ARGUMENTS`."""
    answer = os.dup(1)
    os.dup2(2, 1)
    module, function = _PROBES[sys.argv[1]]
    try:
        probe: Callable[..., dict[str, Any]] = getattr(import_module(module), function)
        found = probe(*sys.argv[2:])
    except EdgeDetectError as error:
        found = {"error": error.message, "hint": error.hint}
    os.write(answer, json.dumps(found).encode())
    # Native libraries that crash while they are torn down would hide the answer.
    os._exit(0)


def _explain(answer: Answer, timeout_s: float) -> ProbeError:
    if answer.status is None:
        return ProbeError(
            f"no answer within {timeout_s:g} s",
            "a device that hangs (`dmesg` may tell more), or a slow board: try with --patience 10",
        )
    if answer.status < 0:
        killer = signal.Signals(-answer.status)
        return ProbeError(f"crashed ({killer.name})", _CRASHES.get(killer, ""))
    lines = [line for line in answer.err.splitlines() if line.strip()]
    said = lines[-1].strip()[:200] if lines else f"ended with status {answer.status}"
    return ProbeError(said, "a defect, or a broken installation: install edge-detect again")


if __name__ == "__main__":
    main()
