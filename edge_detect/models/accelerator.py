"""What a model is to run on, as users say it."""

import re
from dataclasses import dataclass
from typing import Literal

from edge_detect.core import ConfigError

__all__ = ["Accelerator", "AcceleratorKind", "parse_accelerator"]

AcceleratorKind = Literal["auto", "edgetpu", "gpu", "cpu"]

_SIMPLE: tuple[AcceleratorKind, ...] = ("auto", "gpu", "cpu")
_EDGE_TPU = re.compile(r"edgetpu(?::(usb|pci))?(?::(\d{1,2}))?", re.ASCII)


@dataclass(slots=True, frozen=True)
class Accelerator:
    """A choice.

    Attributes:
        kind: `auto` takes Edge TPUs if there are any and the model has a twin for them, else
            the CPU.
        bus: For Edge TPUs: those on `usb` or on `pci` alone; empty for both.
        number: For Edge TPUs: this one alone, counted from 0 on its bus, or over all if no
            bus is named; None for all.
    """

    kind: AcceleratorKind = "auto"
    bus: Literal["", "usb", "pci"] = ""
    number: int | None = None

    def __str__(self) -> str:
        number = "" if self.number is None else str(self.number)
        return ":".join(part for part in (self.kind, self.bus, number) if part)


def parse_accelerator(text: str) -> Accelerator:
    """Understand `auto`, `edgetpu`, `edgetpu:usb`, `edgetpu:pci`, `edgetpu:1`, `gpu` or `cpu`.

    Raises:
        ConfigError: It is none of these.
    """
    wanted = text.strip().lower()
    for kind in _SIMPLE:
        if wanted == kind:
            return Accelerator(kind)
    match = _EDGE_TPU.fullmatch(wanted)
    if match is None:
        raise ConfigError(
            f"there is no accelerator {text!r}",
            "use auto, edgetpu, edgetpu:usb, edgetpu:pci, edgetpu:0 (the first), gpu or cpu",
        )
    number = None if match[2] is None else int(match[2])
    return Accelerator("edgetpu", "usb" if match[1] == "usb" else "pci" if match[1] else "", number)
