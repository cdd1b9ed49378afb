"""Asks libedgetpu which devices it can see: `python -m edge_detect.models.helper.listing LIBRARY`.

In a process of its own, because a library that does not fit may crash or never return. The answer
is one JSON object.
"""

import ctypes
import json
import os
import signal
import sys

__all__ = ["list_devices", "main"]

_ALARM_S = 30
_PCI = 0


class _Device(ctypes.Structure):
    """`struct edgetpu_device` of edgetpu_c.h."""

    _fields_ = (("type", ctypes.c_int), ("path", ctypes.c_char_p))


def list_devices(library: str) -> dict[str, object]:
    """Version, and bus and path of every device.

    Raises:
        OSError: The library cannot be loaded.
        AttributeError: It is another one.
    """
    native = ctypes.CDLL(library)
    native.edgetpu_version.restype = ctypes.c_char_p
    native.edgetpu_list_devices.restype = ctypes.POINTER(_Device)
    native.edgetpu_free_devices.argtypes = [ctypes.c_void_p]
    count = ctypes.c_size_t(0)
    listed = native.edgetpu_list_devices(ctypes.byref(count))
    devices = [
        ("pci" if listed[index].type == _PCI else "usb", os.fsdecode(listed[index].path or b""))
        for index in range(count.value)
    ]
    if listed:
        native.edgetpu_free_devices(listed)
    version = native.edgetpu_version() or b""
    return {"version": version.decode("utf-8", "replace"), "devices": devices}


def main() -> None:
    """Answer."""
    signal.alarm(_ALARM_S)
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        found = list_devices(sys.argv[1])
    except (OSError, AttributeError) as error:
        found = {"missing": str(error)}
    os.write(answer, json.dumps(found).encode())
    # Libraries that crash while they are torn down would hide the answer.
    os._exit(0)


if __name__ == "__main__":
    main()
