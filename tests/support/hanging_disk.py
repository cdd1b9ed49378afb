"""Records to a disk that hangs for a while; run by a test that mounts the disk.

    hanging_disk.py DISK OUT

Prints one line of JSON with what happened. Recordings are copied to OUT, because nobody else
sees the disk.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from edge_detect.core import SinkError
from edge_detect.sinks.recorder.sink import RecorderWaits
from support.recordings import Camera, open_recorder, stream_info
from support.waiting import HANG_S

# What had to wait until the disk went on, in words; there should be nothing.
STUCK: list[str] = []


@contextmanager
def frozen(disk: Path, what: str) -> Iterator[None]:
    """Have every write to the disk wait until the block ends."""
    subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
    rescue = Timer(HANG_S, lambda: (STUCK.append(what), thaw(disk)))
    rescue.start()
    try:
        yield
    finally:
        rescue.cancel()
        if what not in STUCK:
            thaw(disk)


def thaw(disk: Path) -> None:
    """Let them go on."""
    subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)


def hang(disk: Path, root: Path, waits: RecorderWaits) -> dict[str, object]:
    """Record with the disk hanging for two seconds of pictures in between."""
    camera = Camera()
    with open_recorder(f"mp4://{root}?segment=1h&reserve=0MB", waits=waits) as sink:
        sink.open(stream_info())
        camera.feed(sink, 45)
        hung_at = camera.number
        with frozen(disk, root.name):
            camera.feed(sink, 60)
        thawed = camera.number
        dropped = sink.dropped
        camera.feed(sink, 1)
        # What is left out ends at a key frame that finds room again.
        while dropped and sink.dropped > dropped:
            dropped = sink.dropped
            camera.feed(sink, 1)
        camera.feed(sink, 35)
        dropped = sink.dropped
    return {
        "frozen": hung_at,
        "thawed": thawed,
        "written": camera.number,
        "dropped": dropped,
    }


def close_while_it_hangs(disk: Path, root: Path) -> dict[str, object]:
    """Close the sink with the disk hanging."""
    camera = Camera()
    sink = open_recorder(f"mp4://{root}?reserve=0MB", waits=RecorderWaits())
    sink.open(stream_info())
    camera.feed(sink, 35)
    with frozen(disk, "close"):
        camera.feed(sink, 45)
        try:
            sink.close()
        except SinkError as error:
            return {"message": error.message}
    raise AssertionError("it did not wait for the disk at all")


def main() -> None:
    """Play all acts."""
    disk, out = Path(sys.argv[1]), Path(sys.argv[2])
    impatient = RecorderWaits(queue_s=1.0, patience_s=0.01, close_s=HANG_S)
    facts = {
        "short": hang(disk, disk / "short", RecorderWaits(close_s=HANG_S)),
        "long": hang(disk, disk / "long", impatient),
        "close": close_while_it_hangs(disk, disk / "close"),
        "stuck": STUCK,
    }
    for name in ("short", "long"):
        shutil.copytree(disk / name, out / name)
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
