"""Where the daemon's own files lie."""

from pathlib import Path

from edge_detect.core.resources import state_directory

__all__ = ["DEFAULT_CONFIG", "state_directory"]

DEFAULT_CONFIG = Path("/etc/edge-detect/config.toml")
