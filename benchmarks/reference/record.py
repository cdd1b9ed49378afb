"""Measure every model on every accelerator of this machine, and keep the table beside this file.

`python benchmarks/reference/record.py` writes `BOARD.json`; what follows goes to
`edge-detect bench` as it is.
"""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import edge_detect
from edge_detect.tools.doctor.place import Place

FOLDER = Path(__file__).parent


def board_name() -> str:
    """What the board calls itself; a virtual machine goes by its kind of processor."""
    kind = platform.machine().replace("_", "-")
    if re.search(r"^flags\s*:.*\bhypervisor\b", _read(Path("/proc/cpuinfo")), re.MULTILINE):
        return f"{kind}-vm"
    name = Place().board or kind
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main(arguments: list[str]) -> Path:
    """Measure and write; returns where it is."""
    command = [sys.executable, "-m", "edge_detect.app.cli", "bench", "--accelerator", "all"]
    busy = round(os.getloadavg()[0], 2)
    measured = subprocess.run(
        [*command, "--model", "all", "--json", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    record = {
        "board": board_name(),
        "processor": _processor(),
        "load_before": busy,
        "python": platform.python_version(),
        "edge_detect": edge_detect.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "rows": [_rounded(json.loads(line)) for line in measured.stdout.splitlines()],
    }
    path = FOLDER / f"{record['board']}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _rounded(value: Any) -> Any:
    """The same with no more digits than mean anything."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _processor() -> str:
    lines = re.findall(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    return f"{lines[0] if lines else platform.machine()}, {len(lines) or '?'} threads"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


if __name__ == "__main__":
    print(main(sys.argv[1:]))
