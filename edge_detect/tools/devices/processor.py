"""The CPU, as models see it."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_detect.board.cpu import CpuReading, read_cpu
from edge_detect.models import default_threads
from edge_detect.tools.devices.judgement import Judgement, State

__all__ = ["Processor", "look_at_processor"]

# Their own hardware chooses the clock, whatever the governor is called.
_SELF_GOVERNED = ("intel_pstate", "amd-pstate", "amd_pstate")


@dataclass(slots=True, frozen=True)
class Processor:
    """The CPU.

    Attributes:
        reading: What the kernel tells.
        architecture: As `uname -m`.
        threads: That a model gets unless the user or the tuning says otherwise.
        judgement: Whether it runs as it could.
    """

    reading: CpuReading
    architecture: str
    threads: int
    judgement: Judgement

    def as_json(self) -> dict[str, Any]:
        """As plain data: hertz, and the kernel's names of features."""
        read = self.reading
        return self.judgement.as_json() | {
            "accelerator": "cpu",
            "model": read.model or None,
            "architecture": self.architecture,
            "cores": read.cores,
            "usable_cores": list(read.usable),
            "threads": self.threads,
            "features": read.features,
            "governor": read.governor or None,
            "frequency_hz": read.frequency_hz,
            "frequency_limit_hz": read.frequency_limit_hz,
            "frequency_most_hz": read.frequency_most_hz,
        }


def look_at_processor(root: Path = Path("/")) -> Processor:
    """Read and judge it.

    Args:
        root: Where `proc` and `sys` are.
    """
    read = read_cpu(root)
    return Processor(read, platform.machine(), default_threads(), _judge(read))


def _judge(read: CpuReading) -> Judgement:
    if read.governor == "powersave" and not read.driver.startswith(_SELF_GOVERNED):
        return Judgement(
            State.WARN,
            "the governor powersave keeps it at its lowest clock",
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
        )
    return Judgement(State.OK, read.model or "a processor that the kernel does not name")
