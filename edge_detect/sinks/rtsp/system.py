"""GStreamer's RTSP server, which comes from the system's packages and not from PyPI."""

import ctypes
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from edge_detect.core import DependencyError

__all__ = ["APT_LINE", "RtspLibraries", "load_rtsp_libraries"]

APT_LINE = (
    "sudo apt install --no-install-recommends python3-gi python3-gst-1.0"
    " gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0"
    " gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)
# Where Debian's packages for the system's Python lie.
_SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")
# What the server builds its pipelines from, and the package each element comes in.
_ELEMENTS = ("appsrc", "rtph264pay", "rtpbin", "udpsrc", "multiudpsink")


@dataclass(slots=True, frozen=True)
class RtspLibraries:
    """The introspected libraries; untyped, as they are known at run time only."""

    Gio: Any
    GLib: Any
    Gst: Any
    GstRtsp: Any
    GstRtspServer: Any


@cache
def load_rtsp_libraries() -> RtspLibraries:
    """Import and initialize GStreamer and its RTSP server, once.

    Raises:
        DependencyError: A package of the system is missing, or this Python cannot see it.
    """
    _keep_unwinder()
    try:
        gi = import_module("gi")
    except ImportError as error:
        raise _missing_bindings(_SYSTEM_PACKAGES) from error
    try:
        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtsp", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        names = ("Gio", "GLib", "Gst", "GstRtsp", "GstRtspServer")
        libraries = RtspLibraries(*(import_module(f"gi.repository.{name}") for name in names))
    except (ImportError, ValueError) as error:
        raise DependencyError(f"the RTSP server is not complete: {error}", APT_LINE) from error
    libraries.Gst.init(None)
    missing = [name for name in _ELEMENTS if libraries.Gst.ElementFactory.find(name) is None]
    if missing:
        raise DependencyError(
            f"GStreamer lacks {', '.join(missing)}, which the RTSP server needs", APT_LINE
        )
    return libraries


def _keep_unwinder() -> None:
    """Have C++ exceptions go on being unwound by libgcc once GStreamer is loaded.

    GStreamer brings libunwind, which exports the same functions, into the scope that all
    libraries loaded later are bound in. A model runtime among them then ends the process
    (SIGABRT or SIGSEGV) where it should raise, for an operator it does not have, say. What was
    in that scope before comes first.
    """
    with suppress(OSError):
        ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)


def _missing_bindings(system_packages: Path) -> DependencyError:
    """Tell a package that is missing from one that this interpreter cannot see."""
    if not (system_packages / "gi").is_dir():
        return DependencyError("the RTSP server needs GStreamer, which is missing", APT_LINE)
    if sys.prefix != sys.base_prefix:
        return DependencyError(
            "GStreamer's Python bindings are installed, but this virtual environment hides them",
            "make it with: /usr/bin/python3 -m venv --system-site-packages DIR",
        )
    return DependencyError(
        f"GStreamer's Python bindings are installed, but not for {sys.executable}",
        "run edge-detect with the system's interpreter, /usr/bin/python3",
    )
