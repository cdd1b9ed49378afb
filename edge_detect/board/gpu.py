"""GPUs, as the kernel's graphics drivers list them."""

import re
from pathlib import Path
from typing import NamedTuple

from edge_detect.board.files import read_text

__all__ = ["RenderNode", "find_render_nodes"]


class RenderNode(NamedTuple):
    """One GPU that programs can compute with.

    Attributes:
        name: The kernel's, e.g. `renderD128`.
        driver: The kernel's driver, e.g. `v3d`, `i915`, `amdgpu` or `nvidia`.
        device: What it is, as far as the kernel knows: `brcm,2712-v3d` or `pci 8086:46a6`.
        node: The device file that programs open.
    """

    name: str
    driver: str
    device: str
    node: Path


def find_render_nodes(root: Path = Path("/")) -> list[RenderNode]:
    """All that there are; those for screens alone are left out.

    Args:
        root: Where `sys`, `proc` and `dev` are.
    """
    found = []
    for entry in sorted((root / "sys/class/drm").glob("renderD*")):
        device = entry / "device"
        told = dict(re.findall(r"^(\w+)=(.*)$", read_text(device / "uevent") or "", re.MULTILINE))
        driver = told.get("DRIVER", "")
        found.append(
            RenderNode(entry.name, driver, _describe(root, told), root / "dev/dri" / entry.name)
        )
    return found


def _describe(root: Path, told: dict[str, str]) -> str:
    """What a device is, by what the kernel tells of it."""
    slot = told.get("PCI_SLOT_NAME")
    if slot is None:
        return told.get("OF_COMPATIBLE_0") or told.get("MODALIAS", "")
    # NVIDIA's driver alone knows the name on the box.
    text = read_text(root / "proc/driver/nvidia/gpus" / slot / "information") or ""
    model = re.search(r"^Model:\s*(\S.*)$", text, re.MULTILINE)
    return model[1].strip() if model else f"pci {told.get('PCI_ID', slot).lower()}"
