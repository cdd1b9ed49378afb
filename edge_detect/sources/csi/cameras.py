"""The cameras on the CSI connectors, and the system's libraries that know them."""

import logging
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from edge_detect.core import DependencyError, SourceError

__all__ = ["INSTALL", "Library", "first_csi_camera", "list_cameras", "load_library"]

_log = logging.getLogger(__name__)

INSTALL = "sudo apt install -y python3-picamera2 --no-install-recommends"
_SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")
_SEE_SYSTEM = (
    "make the environment again with `/usr/bin/python3 -m venv --system-site-packages`:"
    " picamera2 belongs to the system's interpreter"
)


class Library(NamedTuple):
    """The two modules through which a CSI camera is used; they have no type information."""

    picamera2: Any
    libcamera: Any


def load_library() -> Library:
    """Import picamera2 and libcamera, which takes up to a second the first time.

    Raises:
        DependencyError: One of them is missing, or does not fit the other packages.
    """
    _hush()
    try:
        library = Library(import_module("picamera2"), import_module("libcamera"))
    except ModuleNotFoundError as error:
        raise _missing(error.name or str(error)) from error
    except (ImportError, ValueError, AttributeError, RuntimeError, SystemError) as error:
        # Extensions built for another numpy fail in one of these ways, by their age.
        raise _unfit(error) from error
    if not hasattr(library.picamera2.Picamera2, "cancel_all_and_flush"):
        raise DependencyError(
            "this version of picamera2 is too old: a wait for a frame could not be ended",
            "sudo apt update && sudo apt full-upgrade",
        )
    return library


def list_cameras(library: Library) -> list[dict[str, Any]]:
    """What libcamera sees, ordered by picamera2's numbers.

    Returns:
        One dictionary per camera; `Id` is the place in the device tree, `Model` the sensor.

    Raises:
        SourceError: libcamera does not start.
    """
    try:
        return list(library.picamera2.Picamera2.global_camera_info())
    except (RuntimeError, OSError) as error:
        raise SourceError(
            f"libcamera cannot list the cameras: {error}",
            "`rpicam-hello --list-cameras` tells more",
            transient=True,
        ) from error


def first_csi_camera() -> str | None:
    """The URL of the CSI camera with the lowest number.

    Costs microseconds where picamera2 is not installed, and raises nothing: a broken
    installation is logged, because there may be a camera behind it.

    Returns:
        `picamera2://N`, or None if there is no CSI camera.
    """
    if find_spec("picamera2") is None:
        return None
    try:
        cameras = list_cameras(load_library())
    except (DependencyError, SourceError) as error:
        _log.warning("no CSI camera can be used: %s", error)
        return None
    for number, camera in enumerate(cameras):
        # libcamera lists USB cameras too; V4L2 serves those better.
        if "/usb" not in camera.get("Id", ""):
            return f"picamera2://{number}"
    return None


def _hush() -> None:
    """Keep what the libraries tell about themselves out of the log, unless debugging.

    Errors stay, except those that picamera2 logs and then raises as well: these become ours.
    """
    if _log.isEnabledFor(logging.DEBUG):
        return
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    for name, level in (("picamera2", logging.ERROR), ("picamera2.picamera2", logging.CRITICAL)):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


def _missing(name: str) -> DependencyError:
    if (_SYSTEM_PACKAGES / name.partition(".")[0]).exists():
        return DependencyError(
            f"{name} is installed on the system, but {sys.prefix} does not see it", _SEE_SYSTEM
        )
    if name != "picamera2":
        # What `pip install picamera2` leaves behind: libcamera is a package of the system only.
        return DependencyError(f"picamera2 needs {name}, which is not installed", INSTALL)
    return DependencyError("a CSI camera needs picamera2, which is not installed", INSTALL)


def _unfit(error: Exception) -> DependencyError:
    text = str(error)
    if "numpy" in text or "_ARRAY_API" in text:
        return DependencyError(
            f"a package that picamera2 uses was built for another numpy: {text}",
            f"{sys.executable} -m pip install --upgrade simplejpeg pidng",
        )
    return DependencyError(f"picamera2 cannot be imported: {text}", _SEE_SYSTEM)
