"""Fills a small disk with recordings; run by a test with that disk mounted.

    small_disk.py DISK OUT

Prints one line of JSON: what happened in each act. Recordings are copied to OUT, because
nobody else sees the disk.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from edge_detect.core import SinkError
from edge_detect.sinks import Sink, open_sink
from support.recordings import Camera, segments, stream_info

ENDLESS = 100_000
ROUNDS = 14


def feed_until_full(sink: Sink, camera: Camera) -> dict[str, object]:
    """Record noise until the sink gives up."""
    try:
        camera.feed(sink, ENDLESS)
    except SinkError as error:
        sink.close()
        return {"message": error.message, "hint": error.hint, "transient": error.transient}
    raise AssertionError("the disk was never full")


def sizes(root: Path) -> int:
    """Bytes of all recordings."""
    return sum(path.stat().st_size for path in root.rglob("*.mp4"))


def pause_and_go_on(disk: Path, out: Path) -> dict[str, object]:
    """Nothing may be deleted, so the recorder stops; with room again it goes on."""
    root, camera = disk / "pause", Camera(noise=True)
    sink = open_sink(f"mp4://{root}?segment=3s&reserve=0MB")
    sink.open(stream_info())
    facts = feed_until_full(sink, camera)
    shutil.copytree(root, out / "before")
    try:
        sink.open(stream_info())
        facts["again"] = feed_until_full(sink, camera)["message"]
    except SinkError as error:
        facts["again"] = error.message
    facts["empty"] = [path.name for path in root.rglob("*.mp4") if path.stat().st_size < 1000]
    for path in sorted(root.rglob("*.mp4"))[:2]:
        path.unlink()
    facts["resumed"] = camera.number
    sink.open(stream_info())
    camera.feed(sink, 30)
    sink.close()
    shutil.copy(segments(root)[-1], out / "after.mp4")
    shutil.rmtree(root)
    return facts


def go_round(disk: Path, out: Path, name: str, options: str) -> dict[str, object]:
    """Old recordings may be deleted, so it never stops."""
    root, camera = disk / name, Camera(noise=True)
    most, least_free = 0, 10**12
    with open_sink(f"mp4://{root}?segment=1s&{options}") as sink:
        sink.open(stream_info())
        for _ in range(ROUNDS):
            camera.feed(sink, 30)
            most = max(most, sizes(root))
            status = os.statvfs(disk)
            least_free = min(least_free, status.f_bavail * status.f_frsize)
    shutil.copytree(root, out / name)
    shutil.rmtree(root)
    return {"most": most, "least_free": least_free}


def crowded(disk: Path) -> dict[str, object]:
    """Somebody else has filled the disk."""
    root = disk / "crowded"
    with open_sink(f"mp4://{root}?keep=1MB&reserve=0MB") as sink:
        sink.open(stream_info())
        Camera(noise=True).feed(sink, 5)
    (own,) = root.rglob("*.mp4")
    foreign = disk / "foreign"
    status = os.statvfs(disk)
    foreign.write_bytes(b"\0" * (status.f_bavail * status.f_frsize - 200_000))
    try:
        open_sink(f"mp4://{root}?keep=1MB&reserve=1MB").open(stream_info())
    except SinkError as error:
        kept = foreign.exists() and own.exists()
        return {"message": error.message, "transient": error.transient, "kept": kept}
    raise AssertionError("it does not care")


def main() -> None:
    """Play all acts."""
    disk, out = Path(sys.argv[1]), Path(sys.argv[2])
    facts = {
        "pause": pause_and_go_on(disk, out),
        "keep": go_round(disk, out, "keep", "keep=2MB&reserve=1MB"),
        "reserve": go_round(disk, out, "reserve", "keep=100MB&reserve=2MB"),
        "full": go_round(disk, out, "full", "keep=100MB&reserve=0MB"),
        "crowded": crowded(disk),
    }
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
