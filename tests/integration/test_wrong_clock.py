"""The daemon on a computer without a clock of its own: it boots in the past, then NTP answers."""

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from support.daemons import MODEL, running_daemon
from support.waiting import wait_for
from support.wall_clock import WallClock

YEAR_S = 365 * 86_400
CONFIG = """
[cameras.yard]
source = "synthetic://?size=320x180&fps=10&realtime=true"
model = "{model}"
sinks = ["mp4://{root}?segment=1s&keep={keep}&reserve=0MB"]
[history]
interval_s = 5
[logging]
format = "json"
"""


def recordings(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.mp4"))


def report_of(state: Path, *options: str) -> dict:
    command = [sys.executable, "-m", "edge_detect.app.cli", "report", "--json", "--dir"]
    done = subprocess.run(
        [*command, state / "metrics", *options], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("behind_s", [56 * YEAR_S, -YEAR_S], ids=["in 1970", "a year ahead"])
def test_a_daemon_whose_clock_is_set_goes_on_and_tells_when_things_really_were(tmp_path, behind_s):
    root = tmp_path / "recordings"
    clock = WallClock(tmp_path, -behind_s)
    began = time.time()
    config = CONFIG.format(model=MODEL, root=root, keep="7d")
    with running_daemon(tmp_path, config, clock.environment) as daemon:
        daemon.wait_until_ready()
        wait_for(lambda: len(recordings(root)) >= 3)
        before = recordings(root)
        clock.set_ahead(0)
        today = datetime.now().astimezone()
        wait_for(lambda: len(list(root.glob(f"{today:%Y}-*/*.mp4"))) >= 3)
        alive = len(daemon.heard("WATCHDOG"))
        wait_for(lambda: len(daemon.heard("WATCHDOG")) > alive + 2)
        daemon.stop()
        assert daemon.process.returncode == 0
        problems = [line for line in daemon.log.splitlines() if '"level": "error"' in line]
    assert problems == []
    # None is a week old, whatever its name and its age on the disk say.
    assert [path for path in before if not path.exists()] == []
    facts = report_of(tmp_path / "state", "--since", "1h")
    (camera,) = facts["cameras"]
    assert 0 < camera["recorded_s"] <= time.time() - began + 1
