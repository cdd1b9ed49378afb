"""Edge TPUs on USB and PCI Express, as the kernel lists them."""

from pathlib import Path
from typing import NamedTuple

from edge_detect.board.files import read_number, read_text

__all__ = ["PciEdgeTpu", "UsbEdgeTpu", "find_pci_edge_tpus", "find_usb_edge_tpus"]

# Before and after its firmware is loaded, which the first use does.
_BEFORE, _AFTER = ("1a6e", "089a"), ("18d1", "9302")
_PCI_VENDOR, _PCI_DEVICE = 0x1AC1, 0x089A


class UsbEdgeTpu(NamedTuple):
    """One on USB.

    Attributes:
        port: The kernel's name of the place, e.g. `2-1`.
        speed_mbps: 480 on USB 2, 5000 and more on USB 3; None where not told.
        fresh: Whether its firmware is not loaded yet, as after plugging in.
        node: The device file that programs open.
    """

    port: str
    speed_mbps: int | None
    fresh: bool
    node: Path


class PciEdgeTpu(NamedTuple):
    """One on PCI Express.

    Attributes:
        address: On the bus, e.g. `0000:01:00.0`.
        driver: The kernel's driver for it; empty if none has taken it.
        node: The device file that programs open; None while there is none.
    """

    address: str
    driver: str
    node: Path | None


def find_usb_edge_tpus(root: Path = Path("/")) -> list[UsbEdgeTpu]:
    """All that are plugged in.

    Args:
        root: Where `sys` and `dev` are.
    """
    found = []
    for device in sorted((root / "sys/bus/usb/devices").glob("*-*")):
        ids = read_text(device / "idVendor"), read_text(device / "idProduct")
        if ids not in {_BEFORE, _AFTER}:
            continue
        bus, number = read_number(device / "busnum"), read_number(device / "devnum")
        node = root / f"dev/bus/usb/{bus or 0:03d}/{number or 0:03d}"
        speed = read_number(device / "speed")
        found.append(UsbEdgeTpu(device.name, speed, ids == _BEFORE, node))
    return found


def find_pci_edge_tpus(root: Path = Path("/")) -> list[PciEdgeTpu]:
    """All that the bus knows.

    Args:
        root: Where `sys` and `dev` are.
    """
    nodes = {
        _target(entry / "device"): root / "dev" / entry.name
        for entry in (root / "sys/class/apex").glob("apex_*")
    }
    found = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        ids = read_number(device / "vendor", 16), read_number(device / "device", 16)
        if ids == (_PCI_VENDOR, _PCI_DEVICE):
            driver = _target(device / "driver")
            found.append(PciEdgeTpu(device.name, driver, nodes.get(device.name)))
    return found


def _target(link: Path) -> str:
    """The last name that a link of sysfs points to; empty where there is none."""
    try:
        return link.readlink().name
    except OSError:
        return ""
