"""A wall clock that is wrong, and may jump, for programs of their own.

wall_clock.py UNIX_TIME COMMAND...     the clock stands there when it starts
"""

import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["WallClock"]

_SOURCE = Path(__file__).parents[1] / "fakes" / "wall_clock" / "wall_clock.c"
_NS_PER_S = 1_000_000_000


class WallClock:
    """The clock that programs read which are started with its variables, in `environment`.

    Args:
        folder: For the library, which is compiled there, and the clock's state.
        ahead_s: By how much it is ahead at first; negative where it is behind.
    """

    def __init__(self, folder: Path, ahead_s: float = 0.0) -> None:
        library, state = folder / "wall_clock.so", folder / "wall_clock"
        compiler = shutil.which("cc") or "gcc"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, _SOURCE], check=True)
        state.write_bytes(bytes(8))
        with state.open("r+b") as file:
            self._state = mmap.mmap(file.fileno(), 8)
        # This process may have been started with such a clock itself.
        own = os.environ.get("WALL_CLOCK")
        self._own_ns = 0 if own is None else struct.unpack("=q", Path(own).read_bytes())[0]
        others = os.environ.get("LD_PRELOAD", "").split(":")
        preloaded = [str(library), *(each for each in others if Path(each).name != library.name)]
        self.environment = {
            "WALL_CLOCK": str(state),
            "LD_PRELOAD": ":".join(filter(None, preloaded)),
        }
        self.set_ahead(ahead_s)

    def set_ahead(self, seconds: float) -> None:
        """Have the clock jump: from now on it is ahead of this process's by so much."""
        self._state[:] = struct.pack("=q", self._own_ns + round(seconds * _NS_PER_S))


def main(unix_time: str, *command: str) -> int:
    """Run a command whose clock stands somewhere else when it starts."""
    with tempfile.TemporaryDirectory(prefix="edge-detect-clock-") as folder:
        clock = WallClock(Path(folder), float(unix_time) - time.time())
        environment = os.environ | clock.environment
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
