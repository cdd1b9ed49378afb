"""Everything that the computer says about itself, at one moment."""

from pathlib import Path

from edge_detect.board.clock import read_frequencies_hz
from edge_detect.board.process import CpuMeter, read_process
from edge_detect.board.temperature import read_temperature_c
from edge_detect.board.throttling import ThrottlingReader
from edge_detect.core import monotonic_ns
from edge_detect.core.board import BoardReading

__all__ = ["Board"]


class Board:
    """Reads the computer; cheap, and never raises for what is missing or makes no sense.

    Not for several threads at once: `cpu_share` counts from one reading to the next.

    Args:
        root: Where `sys` and `proc` are.
        vcgencmd: The command that tells a Raspberry Pi's flags where the kernel does not; None:
            it is not asked. It takes milliseconds, and runs every five seconds at most.
    """

    def __init__(self, root: Path = Path("/"), vcgencmd: str | None = "vcgencmd") -> None:
        self._root = root
        self._throttling = ThrottlingReader(root, vcgencmd)
        self._cpu = CpuMeter()

    def read(self) -> BoardReading:
        """Read everything once."""
        frequency_hz, limit_hz = read_frequencies_hz(self._root)
        process = read_process(self._root)
        return BoardReading(
            read_ns=monotonic_ns(),
            temperature_c=read_temperature_c(self._root),
            frequency_hz=frequency_hz,
            frequency_limit_hz=limit_hz,
            throttling=self._throttling.read(),
            cpu_share=self._cpu.read(),
            resident_bytes=process.resident_bytes,
            threads=process.threads,
            open_files=process.open_files,
        )
