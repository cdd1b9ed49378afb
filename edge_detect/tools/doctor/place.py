"""Where the doctor looks: a root folder, an environment, and programs that can be run."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge_detect.board.files import read_text
from edge_detect.core.programs import run_bounded

__all__ = ["Answer", "Place"]

_MOST_CHARACTERS = 200_000


class Answer(NamedTuple):
    """What a program said.

    Attributes:
        status: Its exit status; negative: the signal that killed it; None: it took too long.
        out: Standard output.
        err: Standard error.
    """

    status: int | None
    out: str
    err: str


@dataclass(slots=True, frozen=True)
class Place:
    """A computer to be examined.

    Attributes:
        root: Where `sys`, `proc`, `etc`, `dev` … are.
        environment: Of the programs that are run; `PATH` says where they are.
        prefix: Folder of the Python environment.
        base_prefix: Folder of the interpreter that it was made with.
        python: What probes run with.
        packages: Folders of Python packages.
        devices: Where cameras' device files are.
        folders: Where much is written besides the state: recordings.
        ports: TCP ports that are to be served, with what for.
        patience: How many times as long as usual everything may take.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    prefix: Path = Path(sys.prefix)
    base_prefix: Path = Path(sys.base_prefix)
    python: str = sys.executable
    packages: tuple[str, ...] = tuple(sys.path)
    devices: Path = Path("/dev")
    folders: tuple[Path, ...] = ()
    ports: Mapping[int, str] = field(
        default_factory=lambda: {8554: "RTSP", 8080: "page", 9464: "metrics"}
    )
    patience: float = 1.0

    @property
    def is_raspberry_pi(self) -> bool:
        """Whether the board is one."""
        return self.board.startswith("Raspberry Pi")

    @property
    def board(self) -> str:
        """The board's own name; empty where it does not tell."""
        names = ("/proc/device-tree/model", "/sys/class/dmi/id/product_name")
        return next((name for path in names if (name := read_text(self.path(path)))), "")

    def path(self, text: str) -> Path:
        """A path of the computer, such as `/proc/meminfo`."""
        return self.root / text.lstrip("/")

    def has(self, program: str) -> bool:
        """Whether a program is installed."""
        return shutil.which(program, path=self.environment.get("PATH", "")) is not None

    def run(self, command: Sequence[str], timeout_s: float) -> Answer:
        """Run a program to its end, or kill it with all that it has started.

        Args:
            command: Name and arguments.
            timeout_s: Longest time, before it is multiplied by `patience`.

        Raises:
            FileNotFoundError: There is no such program.
        """
        program = shutil.which(command[0], path=self.environment.get("PATH", ""))
        if program is None:
            raise FileNotFoundError(f"{command[0]} is not installed")
        status, out, err = run_bounded(
            [program, *command[1:]], timeout_s * self.patience, self.environment
        )
        return Answer(status, _text(out), _text(err))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")[:_MOST_CHARACTERS]
