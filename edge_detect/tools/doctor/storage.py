"""Disks, and the clock that recordings are named by."""

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_detect.board.files import read_text
from edge_detect.tools.doctor.finding import Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place

__all__ = ["look_at_clock", "look_at_disks", "look_at_root"]

_MB = 1_000_000
_LITTLE, _NONE = 500 * _MB, 50 * _MB
_LEAST_INODES = 0.01
# What a board without a battery for its clock believes after starting up.
_BUILT_S = 1_735_689_600  # 2025-01-01
_STATE = "/var/lib/edge-detect"
_SYNC = "sudo timedatectl set-ntp true; `timedatectl` tells more"
# struct timex of <linux/timex.h> on 64-bit Linux: `status` follows modes and four longs.
_TIMEX_BYTES, _STATUS_AT, _STA_UNSYNC = 208, 40, 0x40


def kernel_clock_is_synchronized() -> bool | None:
    """Whether a time service has set the kernel's clock of late; None where it does not tell.

    This is what chrony, systemd-timesyncd and ntpd all tell the kernel.
    """
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little")
    return not status & _STA_UNSYNC


def look_at_clock(
    place: Place, synchronized: Callable[[], bool | None] = kernel_clock_is_synchronized
) -> Iterator[Finding]:
    """Whether the time of day can be believed."""
    now = time.strftime("%Y-%m-%d %H:%M %Z")
    if time.time() < _BUILT_S:
        yield fail("time", f"{now} cannot be", _SYNC)
    elif synchronized():
        yield ok("time", f"{now}, synchronized")
    elif place.path("/run/systemd/timesync/synchronized").exists():
        yield ok("time", f"{now}, was synchronized since the start")
    else:
        yield warn("time", f"{now}, not synchronized: recordings may get wrong names", _SYNC)


def look_at_disks(place: Place) -> Iterator[Finding]:
    """Room for the state and for recordings."""
    seen: set[int] = set()
    for folder in (place.path(_STATE), *place.folders):
        there = _existing(folder)
        device = there.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield _judge_disk(folder, os.statvfs(there))


def look_at_root(place: Place) -> Iterator[Finding]:
    """What the system lies on."""
    for line in reversed((read_text(place.path("/proc/mounts")) or "").splitlines()):
        device, mounted, kind, options, *_ = [*line.split(), "", "", "", ""]
        if mounted == "/":
            break
    else:
        return
    read_only = "ro" in options.split(",")
    if kind == "overlay":
        yield ok("root", "an overlay: what is written is lost at the next start")
    elif read_only:
        yield warn(
            "root", f"{device} is read-only", "wanted? else the card is failing: `dmesg`, fsck"
        )
    elif "mmcblk" in device:
        advice = "recordings wear it out: an SSD lasts; or `raspi-config` → overlay file system"
        yield ok("root", f"{device}, an SD card", advice)
    else:
        yield ok("root", f"{device or kind}, writable")


def _judge_disk(folder: Path, disk: os.statvfs_result) -> Finding:
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    text = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free for {folder}"
    advice = "delete what is not needed; recordings have `?keep=10GB`"
    if free < _LITTLE:
        return (fail if free < _NONE else warn)("disk", text, advice)
    if disk.f_files and disk.f_favail < disk.f_files * _LEAST_INODES:
        return warn("disk", f"no more files fit (inodes) for {folder}", advice)
    return ok("disk", text)


def _existing(folder: Path) -> Path:
    # A service's own directory may lie where other users cannot look (DynamicUser=): the disk is
    # that of the folder above.
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110 - never raises
        folder = folder.parent
    return folder
