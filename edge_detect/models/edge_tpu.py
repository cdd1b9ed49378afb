"""Edge TPUs as their library sees them, and why it does not."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_detect.board.edge_tpu import (
    PciEdgeTpu,
    UsbEdgeTpu,
    find_pci_edge_tpus,
    find_usb_edge_tpus,
)
from edge_detect.core import AcceleratorError
from edge_detect.core.programs import run_bounded
from edge_detect.models.accelerator import Accelerator
from edge_detect.models.helper.process import helper_environment

__all__ = [
    "EDGE_TPU_LIBRARY",
    "EdgeTpus",
    "ask_library",
    "choose_devices",
    "explain_absence",
    "find_fault",
    "is_installed",
]

EDGE_TPU_LIBRARY = "libedgetpu.so.1"

_INSTALL = (
    "install libedgetpu1-std in a build for current runtimes (see 'With a Coral' in the README); "
    "`edge-detect doctor` tells more"
)
_MISFIT = (
    "a libedgetpu that does not fit this system or runtime: install a current build (see 'With a "
    "Coral' in the README)"
)
_PLUG_IN = (
    "plug it into a USB 3 port that gives enough power (a Pi needs its own power supply), or "
    'enable PCIe; accelerator = "auto" uses the CPU without it'
)
_RIGHTS = (
    "install the udev rules of edge-detect and join their group: sudo usermod -aG plugdev $USER, "
    "then log in and plug it in again; delete /etc/udev/rules.d/65-apex.rules if it is there"
)
_DRIVER = (
    "install gasket-dkms 1.0-18.4 or later (see docs/accelerators.md, 'On M.2 or Mini PCIe'), "
    "then reboot"
)
_TAKEN = "another program may have it, or it gets too little power: unplug it and plug it in again"


@dataclass(slots=True, frozen=True)
class EdgeTpus:
    """What the library says.

    Attributes:
        version: Of the library.
        devices: Names for its option `device`, `usb:0`, `usb:1`, `pci:0` and so on. They count
            anew when one is unplugged.
        paths: Where the kernel has each of them, which stays as long as it is plugged in there.
    """

    version: str
    devices: tuple[str, ...]
    paths: tuple[str, ...]

    def locate(self, path: str, others: Sequence[str]) -> tuple[str, str]:
        """Find a device again: where it was, or else one that came since.

        Args:
            path: Where it was.
            others: Where those are that somebody else uses.

        Returns:
            Its name now, and where it is.

        Raises:
            AcceleratorError: It is not there; says what is missing.
        """
        for name, place in zip(self.devices, self.paths, strict=True):
            if place == path:
                return name, place
        for name, place in zip(self.devices, self.paths, strict=True):
            if place not in others:
                return name, place
        raise explain_absence()


def is_installed(library: str = EDGE_TPU_LIBRARY) -> bool:
    """Whether the system may find a library, without loading it; False is certain.

    Args:
        library: Its name or path.
    """
    if "/" in library:
        return Path(library).exists()
    platform = getattr(sys.implementation, "_multiarch", "")
    folders = ["/lib", "/usr/lib", f"/lib/{platform}", f"/usr/lib/{platform}"]
    folders += filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    if any((Path(folder) / library).exists() for folder in folders):
        return True
    try:
        return os.fsencode(library) in Path("/etc/ld.so.cache").read_bytes()
    except OSError:
        return True


def ask_library(library: str = EDGE_TPU_LIBRARY, *, timeout_s: float = 20.0) -> EdgeTpus:
    """Ask which devices there are, in a process of its own: it may crash or hang.

    Args:
        library: Its name or path.
        timeout_s: Longest wait for its answer.

    Raises:
        AcceleratorError: It cannot be loaded, crashes or does not answer.
    """
    command = [sys.executable, "-P", "-m", "edge_detect.models.helper.listing", library]
    try:
        status, said, _ = run_bounded(command, timeout_s, helper_environment(), keep_errors=False)
    except OSError as error:
        raise AcceleratorError(f"cannot ask {library}: {error.strerror}") from error
    if status is None:
        raise AcceleratorError(f"{library} gives no answer within {timeout_s:g} s", _TAKEN)
    if status < 0:
        killer = signal.Signals(-status).name
        raise AcceleratorError(f"{library} crashes ({killer})", _MISFIT)
    try:
        told = json.loads(said)
    except ValueError as error:
        raise AcceleratorError(f"{library} gives no answer that makes sense", _MISFIT) from error
    if "missing" in told:
        raise AcceleratorError(f"the library of Edge TPUs is missing: {told['missing']}", _INSTALL)
    counts = {"usb": 0, "pci": 0}
    names = []
    for bus, _ in told["devices"]:
        names.append(f"{bus}:{counts[bus]}")
        counts[bus] += 1
    return EdgeTpus(told["version"], tuple(names), tuple(path for _, path in told["devices"]))


def choose_devices(wanted: Accelerator, present: Sequence[str]) -> list[str]:
    """Those of the devices that are wanted.

    Raises:
        AcceleratorError: There are none; says what is missing.
    """
    found = [name for name in present if name.startswith(wanted.bus)]
    if wanted.number is not None:
        found = found[wanted.number : wanted.number + 1]
    if found:
        return found
    if present:
        raise AcceleratorError(
            f"there is no {wanted}", f"there is {', '.join(f'edgetpu:{name}' for name in present)}"
        )
    raise explain_absence()


def explain_absence(root: Path = Path("/")) -> AcceleratorError:
    """Why the library sees no device, as far as the kernel knows.

    Args:
        root: Where `sys` and `dev` are.
    """
    usb, pci = find_usb_edge_tpus(root), find_pci_edge_tpus(root)
    devices: list[UsbEdgeTpu | PciEdgeTpu] = [*usb, *pci]
    for device in devices:
        error = find_fault(device)
        if error:
            return error
    if usb or pci:
        return AcceleratorError("the Edge TPU does not answer", _TAKEN)
    return AcceleratorError("there is no Edge TPU, neither on USB nor on PCI Express", _PLUG_IN)


def find_fault(device: UsbEdgeTpu | PciEdgeTpu) -> AcceleratorError | None:
    """What keeps one from being used, as the kernel tells; None if nothing does."""
    if isinstance(device, PciEdgeTpu) and (device.driver != "apex" or device.node is None):
        return AcceleratorError(
            f"the Edge TPU at {device.address} has no driver: it needs gasket and apex", _DRIVER
        )
    node = device.node
    if node is not None and not os.access(node, os.R_OK | os.W_OK):
        return AcceleratorError(f"{node} of the Edge TPU may not be opened by this user", _RIGHTS)
    return None
