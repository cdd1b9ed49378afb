"""Edge TPUs: those that the kernel knows, those that their library sees, and what is amiss."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_detect.board.edge_tpu import (
    PciEdgeTpu,
    UsbEdgeTpu,
    find_pci_edge_tpus,
    find_usb_edge_tpus,
)
from edge_detect.core import AcceleratorError
from edge_detect.models.edge_tpu import ask_library, explain_absence, find_fault
from edge_detect.tools.devices.judgement import Judgement, State

__all__ = ["EdgeTpu", "EdgeTpuLibrary", "find_edge_tpus", "hear_library", "judge_library"]

_USB3_MBPS = 5000
_BITS_PER_MBIT = 1_000_000
_MISSING = "the library of Edge TPUs is missing"
_UPDATE = "install a build for current runtimes (see 'With a Coral' in the README)"
# Google's last build, of 2021, says COMPILER=6.3.0, and crashes beside runtimes since 2.12
# (https://github.com/google-coral/edgetpu/issues/812); rebuilt ones name later compilers.
_OLD_COMPILER = 9


@dataclass(slots=True, frozen=True)
class EdgeTpu:
    """One that the kernel knows.

    Attributes:
        bus: `usb` or `pci`.
        place: The port or address there, e.g. `2-1`.
        judgement: Whether it can be used.
        speed_bps: Of USB, bit/s; None where not told.
        firmware_loaded: Of USB: False before its first use; None on PCI Express.
        driver: Of PCI Express; empty for none, and on USB.
        node: The device file; None while there is none.
    """

    bus: str
    place: str
    judgement: Judgement
    speed_bps: int | None = None
    firmware_loaded: bool | None = None
    driver: str = ""
    node: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return self.judgement.as_json() | {
            "bus": self.bus,
            "place": self.place,
            "speed_bps": self.speed_bps,
            "firmware_loaded": self.firmware_loaded,
            "driver": self.driver or None,
            "node": None if self.node is None else str(self.node),
        }


@dataclass(slots=True, frozen=True)
class EdgeTpuLibrary:
    """What libedgetpu says.

    Attributes:
        version: Of itself.
        devices: What it sees, by the names of its option `device`: `usb:0` and so on.
        problem: Why it says nothing; empty if it does.
        hint: What to do about that.
        missing: Whether it cannot even be loaded.
    """

    version: str = ""
    devices: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""
    missing: bool = False

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def load(cls, told: Mapping[str, Any]) -> "EdgeTpuLibrary":
        """From what `as_json` returned, after a way as text."""
        return cls(**{**told, "devices": tuple(told["devices"])})


def find_edge_tpus(root: Path = Path("/")) -> list[EdgeTpu]:
    """All that the kernel knows, judged.

    Args:
        root: Where `sys` and `dev` are.
    """
    return [_usb(device) for device in find_usb_edge_tpus(root)] + [
        _pci(card) for card in find_pci_edge_tpus(root)
    ]


def hear_library(library: str, *, timeout_s: float = 20.0) -> EdgeTpuLibrary:
    """Ask the library in a process of its own.

    Args:
        library: Its name or path.
        timeout_s: Longest wait for its answer.
    """
    try:
        found = ask_library(library, timeout_s=timeout_s)
    except AcceleratorError as error:
        missing = error.message.startswith(_MISSING)
        return EdgeTpuLibrary(problem=error.message, hint=error.hint, missing=missing)
    return EdgeTpuLibrary(found.version, tuple(found.devices))


def judge_library(
    said: EdgeTpuLibrary, present: Sequence[EdgeTpu], root: Path = Path("/")
) -> Judgement:
    """Judge what the library says beside what the kernel knows.

    Args:
        said: By the library.
        present: What the kernel knows.
        root: Where `sys` and `dev` are.
    """
    if said.missing and not present:
        return Judgement(State.NONE, "not installed, only Edge TPUs need it")
    if said.problem:
        return Judgement(State.FAIL if present else State.WARN, said.problem, said.hint)
    if present and not said.devices:
        absence = explain_absence(root)
        fact = f"sees none of the {len(present)} that the kernel knows: {absence.message}"
        return Judgement(State.FAIL, fact, absence.hint)
    compiler = re.search(r"COMPILER=(\d+)", said.version, re.ASCII)
    if compiler and int(compiler[1]) <= _OLD_COMPILER:
        fact = f"a build of 2021 or earlier ({said.version}): it crashes beside runtimes of today"
        return Judgement(State.WARN, fact, _UPDATE)
    if len(said.devices) < len(present):
        fact = f"sees {len(said.devices)} of the {len(present)} that the kernel knows"
        return Judgement(State.WARN, fact, explain_absence(root).hint)
    return Judgement(State.OK, said.version)


def _usb(device: UsbEdgeTpu) -> EdgeTpu:
    mbps = device.speed_mbps
    state = "not used since it was plugged in" if device.fresh else "firmware loaded"
    judgement = Judgement(State.OK, f"{mbps or '?'} Mbit/s, {state}")
    if fault := find_fault(device):
        judgement = Judgement(State.FAIL, fault.message, fault.hint)
    elif mbps is not None and mbps < _USB3_MBPS:
        judgement = Judgement(
            State.WARN,
            f"on USB 2 ({mbps} Mbit/s), which makes it several times slower",
            "use a blue (USB 3) port and the cable that came with it",
        )
    speed_bps = None if mbps is None else mbps * _BITS_PER_MBIT
    return EdgeTpu(
        "usb",
        device.port,
        judgement,
        speed_bps=speed_bps,
        firmware_loaded=not device.fresh,
        node=device.node,
    )


def _pci(card: PciEdgeTpu) -> EdgeTpu:
    judgement = Judgement(State.OK, f"driver {card.driver}, {card.node}")
    if fault := find_fault(card):
        judgement = Judgement(State.FAIL, fault.message, fault.hint)
    return EdgeTpu("pci", card.address, judgement, driver=card.driver, node=card.node)
