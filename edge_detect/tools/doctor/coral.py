"""Edge TPUs: on which bus, how fast, and whether their library fits."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edge_detect.board.edge_tpu import (
    PciEdgeTpu,
    UsbEdgeTpu,
    find_pci_edge_tpus,
    find_usb_edge_tpus,
)
from edge_detect.tools.doctor.finding import Finding, ok, warn
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.probe import ask

__all__ = ["look_at_edge_tpus"]

_PROBE_S = 15.0
_LIBRARY = "libedgetpu.so.1"
_USB3_MBPS = 5000
_RIGHTS = (
    "sudo usermod -aG plugdev $USER, then log in again; the udev rules of edge-detect give "
    "the group access"
)
_INSTALL = (
    "install libedgetpu1-std, built for a current TensorFlow Lite (its version ends in TF2.…)"
)
# Google's last build, of 2021, says COMPILER=6.3.0, and crashes beside runtimes since 2.12
# (https://github.com/google-coral/edgetpu/issues/812); rebuilt ones name later compilers.
_OLD_COMPILER = 9


def look_at_edge_tpus(place: Place) -> Iterator[Finding]:
    """Every Edge TPU, and the library that they need."""
    usb, pci = find_usb_edge_tpus(place.root), find_pci_edge_tpus(place.root)
    for device in usb:
        yield _judge_usb(device)
    for card in pci:
        yield _judge_pci(card)
    if not usb and not pci:
        yield ok("Edge TPU", "none; models run on the CPU")
    found = ask(place, "edge_tpu", _LIBRARY, timeout_s=_PROBE_S)
    yield from _judge_library(found, present=len(usb) + len(pci))


def _judge_usb(device: UsbEdgeTpu) -> Finding:
    what = f"Edge TPU USB {device.port}"
    if not _may_use(device.node):
        return warn(what, f"{device.node} may not be opened by this user", _RIGHTS)
    if device.speed_mbps is not None and device.speed_mbps < _USB3_MBPS:
        return warn(
            what,
            f"on USB 2 ({device.speed_mbps} Mbit/s), which makes it several times slower",
            "use a blue (USB 3) port and the cable that came with it",
        )
    state = "not used since it was plugged in" if device.fresh else "firmware loaded"
    return ok(what, f"{device.speed_mbps or '?'} Mbit/s, {state}")


def _judge_pci(card: PciEdgeTpu) -> Finding:
    what = f"Edge TPU PCIe {card.address}"
    if card.driver != "apex" or card.node is None:
        return warn(
            what,
            f"the driver is {card.driver or 'missing'}, it should be apex",
            "sudo apt install gasket-dkms, then reboot",
        )
    if not _may_use(card.node):
        return warn(what, f"{card.node} may not be opened by this user", _RIGHTS)
    return ok(what, f"driver apex, {card.node}")


def _judge_library(found: dict[str, object], present: int) -> Iterator[Finding]:
    if "missing" in found:
        if present:
            yield warn(
                "libedgetpu", f"is needed, and cannot be loaded: {found['missing']}", _INSTALL
            )
        else:
            yield ok("libedgetpu", "not installed, only Edge TPUs need it")
        return
    version = str(found["version"])
    compiler = re.search(r"COMPILER=(\d+)", version)
    if compiler and int(compiler[1]) <= _OLD_COMPILER:
        yield warn(
            "libedgetpu",
            f"a build of 2021 or earlier ({version}): it crashes beside runtimes of today",
            _INSTALL,
        )
    else:
        yield ok("libedgetpu", version)
    if present and found["devices"] == 0:
        yield warn(
            "libedgetpu",
            f"sees none of the {present} that the kernel knows",
            "in use by another program, or no right to open it",
        )


def _may_use(node: Path) -> bool:
    return os.access(node, os.R_OK | os.W_OK)
