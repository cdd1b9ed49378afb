"""How old pictures are at a server that they are pushed to.

    python benchmarks/push.py [--frames 600]

A camera's pictures carry the time of their capture; the server, GStreamer in a process of its
own, decodes them and reads it.
"""

import argparse
import contextlib
import json
import statistics
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.recordings import Camera, stream_info
from support.servers.programs import Program

from edge_detect.sinks import open_sink

WARMUP_FRAMES = 60


class RecordServer(Program):
    """The server, and the ages in milliseconds of what it has seen."""

    def __init__(self) -> None:
        super().__init__("record_server.py")
        self.ages_ms: list[float] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):
            self.ages_ms.extend(json.loads(line)["age_ms"] for line in self._process.stdout or ())


def main() -> None:
    """Push by TCP and by UDP."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--frames", type=int, default=600)
    arguments = parser.parse_args()
    for transport in ("tcp", "udp"):
        measure(transport, arguments.frames)


def measure(transport: str, frames: int) -> None:
    """Push pictures of 640x360, 30 a second."""
    wanted = WARMUP_FRAMES + frames
    with contextlib.closing(RecordServer()) as server:
        url = f"rtsp-push://127.0.0.1:{server.port}/live?transport={transport}&encoder=libx264"
        with open_sink(url) as sink:
            sink.open(stream_info())
            Camera(640, 360).feed_live(
                sink, lambda: len(server.ages_ms) >= wanted, timeout_s=20 + wanted / 15
            )
        show(f"age at the server, {transport}", server.ages_ms[WARMUP_FRAMES:])


def show(title: str, values_ms: list[float]) -> None:
    """One line of a table."""
    p50, p95, p99 = (statistics.quantiles(values_ms, n=100)[rank - 1] for rank in (50, 95, 99))
    print(
        f"  {title:<28} n {len(values_ms):6d}   median {p50:7.1f} ms"
        f"   p95 {p95:7.1f} ms   p99 {p99:7.1f} ms"
    )


if __name__ == "__main__":
    main()
