"""What is wrong with a camera, said so that its owner can mend it."""

import errno
import os
from pathlib import Path

from edge_detect.core import SourceError
from edge_detect.sources.camera import Capability, first_camera

__all__ = ["explain", "not_a_camera"]

_ABSENT = {errno.ENOENT, errno.ENODEV, errno.ENXIO}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_OTHER_FILES = {errno.ENOTTY, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}


def explain(device: str, error: OSError) -> SourceError:
    """The error for a camera that cannot be opened.

    What time may mend (a camera that is not plugged in or used by another program) is
    transient; a missing permission and a device of another kind are not.

    Args:
        device: Path of the device node.
        error: What the kernel says.
    """
    if error.errno in _ABSENT:
        return SourceError(
            f"there is no camera at {device}",
            "plug it in; `ls /dev/v4l/by-id` shows names that stay when numbers change",
            transient=True,
        )
    if error.errno == errno.EBUSY:
        return SourceError(
            f"camera {device} is in use by another program",
            f"close that program; `fuser {device}` tells its number",
            transient=True,
        )
    if error.errno in _FORBIDDEN:
        return SourceError(
            f"no permission to use camera {device}",
            "`sudo usermod -aG video $USER`, then log in again",
        )
    if error.errno == errno.ENOSPC:
        return SourceError(
            f"the USB bus has no room for the pictures of camera {device}",
            "ask for fourcc=MJPG or a smaller size, or use a port of another bus",
            transient=True,
        )
    if error.errno in _OTHER_FILES:
        return not_a_camera(device)
    return SourceError(
        f"camera {device} fails: {error.strerror}",
        "check the cable and the power supply; `dmesg` may tell more",
        transient=True,
    )


def not_a_camera(device: str, capability: Capability | None = None) -> SourceError:
    """The error for what exists and gives no pictures: metadata nodes, codecs, other files.

    Args:
        device: Path of the device node.
        capability: What it says about itself; None if that is nothing.
    """
    if capability is not None and capability.is_csi_receiver:
        return SourceError(
            f"{device} is the CSI connector itself, not a camera",
            "cameras on the CSI connector are read with picamera2://0",
        )
    camera = first_camera(Path(os.path.realpath(device)).parent)
    return SourceError(
        f"{device} is not a camera",
        f"use {camera}" if camera else "`ls /dev/v4l/by-id` lists the cameras that are plugged in",
    )
