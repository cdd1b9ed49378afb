"""Settings of a camera by name: brightness, exposure, focus."""

import errno
import re
from ctypes import Structure

from edge_detect.core import ConfigError
from edge_detect.core.url import Url
from edge_detect.sources.v4l2 import structs as v4l2
from edge_detect.sources.v4l2.calls import call

__all__ = ["parse_controls", "set_controls"]

_MOST_CONTROLS = 256
_REFUSALS = {errno.EINVAL, errno.ENOTTY, errno.ERANGE, errno.EACCES, errno.EBUSY}


def parse_controls(url: Url) -> tuple[tuple[str, int], ...]:
    """Read `controls=auto_exposure:1,exposure_time_absolute:200`, in that order.

    Raises:
        ConfigError: Something else is given.
    """
    found = []
    for part in url.options.get("controls", "").split(","):
        name, _, value = part.partition(":")
        if re.fullmatch(r"-?\d{1,10}", value, re.ASCII) and name:
            found.append((name, int(value)))
        elif part:
            raise ConfigError(
                f"{url.name!r}: cannot understand the control {part!r}",
                "write name:number with commas between, e.g. controls=brightness:10,gain:3",
            )
    return tuple(found)


def set_controls(fd: int, device: str, controls: tuple[tuple[str, int], ...]) -> None:
    """Set them one after the other: some can be set only after others.

    Args:
        fd: The device.
        device: Its path, for errors.
        controls: Names as `v4l2-ctl --list-ctrls` shows them, and values.

    Raises:
        ConfigError: The camera has no such control, or does not take the value.
        OSError: The device was unplugged.
    """
    if not controls:
        return
    known = _list_controls(fd)
    for name, value in controls:
        if name not in known:
            raise ConfigError(
                f"camera {device} has no control {name!r}",
                f"it has {', '.join(known) or 'none'}",
            )
        entry = known[name]
        if not _accepted(fd, entry, value):
            raise ConfigError(
                f"camera {device} does not take {value} for {name}",
                f"numbers from {entry.minimum} to {entry.maximum} are possible, unless another "
                "control, such as an automatic, rules it; then set that one first",
            )


def _accepted(fd: int, entry: v4l2.QueryCtrl, value: int) -> bool:
    # Drivers move a value that is out of range into it without a word.
    if not entry.minimum <= value <= entry.maximum:
        return False
    return _asked(fd, v4l2.VIDIOC_S_CTRL, v4l2.Control(entry.id, value))


def _list_controls(fd: int) -> dict[str, v4l2.QueryCtrl]:
    found: dict[str, v4l2.QueryCtrl] = {}
    following = 0
    for _ in range(_MOST_CONTROLS):
        entry = v4l2.QueryCtrl(id=following | v4l2.CTRL_FLAG_NEXT_CTRL)
        if not _asked(fd, v4l2.VIDIOC_QUERYCTRL, entry):
            break
        following = entry.id
        if not entry.flags & v4l2.CTRL_FLAG_UNUSABLE:
            name = entry.name.decode("utf-8", "replace").lower()
            found.setdefault(re.sub(r"[^a-z0-9]+", "_", name).strip("_"), entry)
    return found


def _asked(fd: int, request: int, argument: Structure) -> bool:
    """Whether the driver takes a request, as opposed to finding it wrong or out of turn."""
    try:
        call(fd, request, argument)
    except OSError as error:
        if error.errno in _REFUSALS:
            return False
        raise
    return True
