"""The library that stands in for libedgetpu.so.1, compiled here, and models for it."""

import os
import subprocess
from pathlib import Path

from echo_models import write_model

SOURCE = Path(__file__).parent / "fakes" / "edge_tpu" / "stand_in.c"


class StandIn:
    """One compiled library, and what it is told to do; see its source.

    Args:
        folder: Where it is compiled, under the name of what it stands in for.
    """

    def __init__(self, folder: Path) -> None:
        self.library = folder / "libedgetpu.so.1"
        self.orders = folder / "orders"
        self.nodes = [folder / f"orders.usb{number}" for number in range(8)]
        for node in self.nodes:
            node.touch()
        self.tell()
        os.environ["EDGE_TPU_STAND_IN"] = str(self.orders)
        subprocess.run(
            ["cc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", self.library, SOURCE],
            check=True,
            timeout=60,
        )

    def tell(self, *orders: str) -> None:
        """Have it do this, and nothing of what it was told before."""
        # In one step: it may be read at any moment.
        part = self.orders.with_suffix(".part")
        part.write_text("".join(f"{order}\n" for order in orders))
        part.replace(self.orders)


def write_twins(folder: Path, name: str = "echo") -> Path:
    """A tiny model for the CPU with its twin for an Edge TPU; returns the path of the first."""
    write_model(folder, "edgetpu-custom-op", name=f"{name}_edgetpu", top=f'cpu_twin = "{name}"')
    return write_model(folder, "echo-uint8", name=name, top=f'edgetpu = "{name}_edgetpu.tflite"')
