"""Where the daemon's own files lie."""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["DEFAULT_CONFIG", "state_directory"]

DEFAULT_CONFIG = Path("/etc/edge-detect/config.toml")


def state_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Where files belong that outlive the process; it need not exist yet.

    Under systemd, the first directory of `StateDirectory=`; else the user's own, as the XDG
    base directory specification has it.

    Args:
        environment: None takes that of the process.
    """
    variables = os.environ if environment is None else environment
    granted = variables.get("STATE_DIRECTORY", "").partition(":")[0]
    if granted:
        return Path(granted)
    home = variables.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "edge-detect"
