"""Records to a disk that hangs for a while; run by a test that mounts the disk.

    hanging_disk.py DISK OUT

Prints one line of JSON with what happened. Recordings are copied to OUT, because nobody else
sees the disk.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from edge_detect.core import SinkError
from edge_detect.sinks import open_sink
from edge_detect.sinks.recorder import sink as recorder
from support.recordings import Camera, stream_info


def freeze(disk: Path) -> None:
    """Have every write to the disk wait."""
    subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)


def thaw(disk: Path) -> None:
    """Let them go on."""
    subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)


def hang(disk: Path, root: Path, camera: Camera, seconds: int) -> dict[str, object]:
    """Record with the disk hanging for a while in between."""
    with open_sink(f"mp4://{root}?segment=1h&reserve=0MB") as sink:
        sink.open(stream_info())
        camera.feed_live(sink, lambda: camera.number >= 45, skip=True)
        frozen = camera.number
        freeze(disk)
        try:
            end = frozen + seconds * 30
            longest_s = camera.feed_live(sink, lambda: camera.number >= end, skip=True)
        finally:
            thaw(disk)
        thawed = camera.number
        camera.feed_live(sink, lambda: camera.number >= thawed + 35, skip=True)
    return {
        "frozen": frozen,
        "thawed": thawed,
        "last": camera.number - 1,
        "longest_s": longest_s,
    }


def close_while_it_hangs(disk: Path, root: Path, camera: Camera) -> dict[str, object]:
    """Close the sink with the disk hanging."""
    sink = open_sink(f"mp4://{root}?reserve=0MB")
    sink.open(stream_info())
    camera.feed_live(sink, lambda: camera.number >= 35, skip=True)
    freeze(disk)
    try:
        camera.feed_live(sink, lambda: camera.number >= 80, skip=True)
        started = time.monotonic()
        try:
            sink.close()
        except SinkError as error:
            return {"message": error.message, "seconds": time.monotonic() - started}
    finally:
        thaw(disk)
    raise AssertionError("it did not wait for the disk at all")


def main() -> None:
    """Play all acts."""
    disk, out = Path(sys.argv[1]), Path(sys.argv[2])
    facts = {"short": hang(disk, disk / "short", Camera(), 2)}
    recorder._QUEUE_S = 1.0
    facts["long"] = hang(disk, disk / "long", Camera(), 2)
    facts["close"] = close_while_it_hangs(disk, disk / "close", Camera())
    for name in ("short", "long"):
        shutil.copytree(disk / name, out / name)
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
