"""Which of the kernel's video devices is a camera."""

import fcntl
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Capability", "first_camera", "parse_capability", "query_capability"]

# struct v4l2_capability of <linux/videodev2.h>: driver[16], card[32], bus_info[32],
# version, capabilities, device_caps, reserved[3].
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
# _IOR('V', 0, struct v4l2_capability)
VIDIOC_QUERYCAP = 2 << 30 | _CAPABILITY.size << 16 | ord("V") << 8

_VIDEO_CAPTURE = 0x00000001
_MEMORY_TO_MEMORY = 0x00008000 | 0x00004000
_DEVICE_CAPS = 0x80000000
# A Raspberry Pi shows its codecs, its image processor and the raw receivers of its CSI
# connectors as capture devices. The first are no cameras; the receivers give raw Bayer data
# that only libcamera can use.
_CSI_RECEIVERS = re.compile(r"bcm2835-unicam|unicam|rp1-cfe")
_NOT_CAMERAS = re.compile(r"bcm2835-(codec|isp|unicam)|unicam|pispbe|rp1-cfe|rpi-?hevc|rpivid")

Ioctl = Callable[[int, int, bytearray], int]


class Capability(NamedTuple):
    """What a video device says about itself."""

    driver: str
    card: str
    device_caps: int

    @property
    def is_camera(self) -> bool:
        """Whether frames can be captured from it, as opposed to a codec or image processor."""
        return (
            bool(self.device_caps & _VIDEO_CAPTURE)
            and not self.device_caps & _MEMORY_TO_MEMORY
            and not _NOT_CAMERAS.match(self.driver)
        )

    @property
    def is_csi_receiver(self) -> bool:
        """Whether it hands on a CSI camera's raw data, which only libcamera can use."""
        return bool(_CSI_RECEIVERS.match(self.driver))


def parse_capability(data: bytes | bytearray) -> Capability:
    """Read the kernel's answer to VIDIOC_QUERYCAP.

    Args:
        data: The 104 bytes of struct v4l2_capability.
    """
    driver, card, _, _, capabilities, device_caps = _CAPABILITY.unpack(data)
    # `capabilities` is the sum over all nodes of the device; `device_caps` is this node's own.
    caps = device_caps if capabilities & _DEVICE_CAPS else capabilities
    return Capability(_text(driver), _text(card), caps)


def first_camera(devices: Path = Path("/dev"), ioctl: Ioctl = fcntl.ioctl) -> str | None:
    """The URL of the video device with the lowest number that is a camera.

    Args:
        devices: Where the device nodes are.
        ioctl: How the kernel is asked: `fcntl.ioctl`.

    Returns:
        `v4l2:///dev/videoN`, or None if there is no camera that this user may open.
    """
    numbered = {
        int(path.name[5:]): path for path in devices.glob("video*") if path.name[5:].isdecimal()
    }
    for _, path in sorted(numbered.items()):
        capability = _query(path, ioctl)
        if capability is not None and capability.is_camera:
            return f"v4l2://{path}"
    return None


def query_capability(device: int, ioctl: Ioctl = fcntl.ioctl) -> Capability:
    """Ask a video device what it is.

    Args:
        device: Its file descriptor.
        ioctl: How the kernel is asked: `fcntl.ioctl`.

    Raises:
        OSError: It is no video device.
    """
    answer = bytearray(_CAPABILITY.size)
    ioctl(device, VIDIOC_QUERYCAP, answer)
    return parse_capability(answer)


def _query(path: Path, ioctl: Ioctl) -> Capability | None:
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return query_capability(device, ioctl)
    except OSError:
        return None
    finally:
        os.close(device)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
