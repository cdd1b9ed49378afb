"""Endurance, accelerated: the whole daemon while cameras, a broker and viewers come and go.

    benchmarks/soak.py --frames 100000          as long as it takes (about a quarter of an hour)
    benchmarks/soak.py --minutes 3              for CI

Prints a summary (`--json FILE` writes one as well) and exits with 1 when something grew, was not
recovered from, or ended the daemon. The order of faults comes from `--seed`.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import httpx

_TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(Path(__file__).parent), str(_TESTS)]

from soak_watch import Watch, slope  # noqa: E402
from soak_world import World  # noqa: E402
from support.ports import free_port  # noqa: E402

_MB_PER_10_000_FRAMES = 1.0
# The heap finds its size while the first faults come for the first time (measured: 18 MB until
# frame 38 000, then nothing until frame 100 000). A shorter run is held to that alone.
_SETTLED_FRAMES, _SETTLING_MB = 40_000, 30.0
_MODEL = "ssdlite-mobilenet-v2-pedestrian"
_READY_S = 60.0
_STOP_S = 5.0
# After so many of the faults the configuration changes, too.
_RELOADS = 0.1

_CONFIG = """\
[cameras.yard]
source = "{yard}"
detector = "shared"
sinks = ["{stream}", "mp4://{recordings}?segment=10s&keep=50MB"]
zones.left.polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]

[cameras.door]
source = "{door}"
detector = "shared"
threshold = {threshold}

[detectors.shared]
model = "{model}"
threads = 1

[logging]
format = "json"
interval_s = 10

[history]
interval_s = 1

[metrics]
listen = "127.0.0.1:{metrics}"

[web]
listen = "127.0.0.1:{web}"

[mqtt]
host = "127.0.0.1"
port = {broker}
"""


def main() -> int:
    """Run, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=100_000, help="through the detector")
    parser.add_argument("--minutes", type=float, help="end after so long instead")
    parser.add_argument("--fps", type=int, default=60, help="of each of the two cameras")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    random.seed(options.seed)
    # Nothing that was started is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder, closing(Soak(Path(folder), options.fps)) as soak:
        soak.run(options.frames, None if options.minutes is None else options.minutes * 60)
        summary = soak.summary()
    print("\n".join(f"{name:<32} {value}" for name, value in summary.items()))
    if options.json:
        summary["quiet moments"] = soak.quiet_moments()
        options.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 0 if summary["passed"] else 1


class Soak:
    """A daemon, and the world around it.

    Args:
        folder: For everything that is written.
        fps: Of each camera.
    """

    def __init__(self, folder: Path, fps: int) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in ("metrics", "web", "rtsp")}
        self._stream = f"rtsp://127.0.0.1:{self._ports['rtsp']}/yard"
        self._world = World(folder, fps, self._stream)
        self._config, self._log = folder / "config.toml", folder / "log"
        self._write_config(0.5)
        command = [Path(sys.executable).parent / "edge-detect", "run", "--config", self._config]
        environment = {**os.environ, "STATE_DIRECTORY": str(folder / "state")}
        with self._log.open("wb") as output:
            self._daemon = subprocess.Popen(command, stderr=output, env=environment)
        metrics = f"http://127.0.0.1:{self._ports['metrics']}/metrics"
        self._watch = Watch(self._daemon.pid, metrics)
        self._struck: Counter[str] = Counter()
        self._recovered: Counter[str] = Counter()
        self._reloads = 0
        self._elapsed_s = self._stop_s = 0.0
        self._ended_by_itself = False

    def run(self, frames: int, seconds: float | None) -> None:
        """Let faults happen until so many frames went through, or for so long; then stop."""
        self._wait_for_start()
        started = time.monotonic()
        self._watch.rest(5)
        try:
            while self._daemon.poll() is None:
                self._elapsed_s = time.monotonic() - started
                done = self._watch.quiet[-1].frames
                if done >= frames if seconds is None else self._elapsed_s >= seconds:
                    break
                self._let_something_happen()
                self._watch.rest(random.uniform(2, 4))
        except httpx.HTTPError as error:
            _say(f"the daemon does not answer: {error!r}")
            self._ended_by_itself = True
        self._ended_by_itself = self._ended_by_itself or self._daemon.poll() is not None
        begun = time.monotonic()
        self._daemon.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._daemon.wait(30)
        self._stop_s = time.monotonic() - begun

    def summary(self) -> dict[str, object]:
        """Counts and figures, and whether they are good enough."""
        watch, struck, recovered = self._watch, self._struck, self._recovered
        figures = watch.after_warm_up()
        settled = [each for each in figures if each.frames >= _SETTLED_FRAMES]
        memory = slope(settled)
        grown_mb = figures[-1].resident_mb - watch.quiet[0].resident_mb
        errors = [line for line in self._said() if '"level": "error"' in line]
        passed = (
            not self._ended_by_itself
            and bool(struck)
            and struck == recovered
            and memory <= _MB_PER_10_000_FRAMES
            and grown_mb <= _SETTLING_MB
            and watch.growth("threads") < 1
            and watch.growth("files") < 2
            and self._stop_s <= _STOP_S
        )
        return {
            "passed": passed,
            "frames through the detector": watch.quiet[-1].frames,
            "minutes": round(self._elapsed_s / 60, 1),
            "faults": sum(struck.values()),
            "recovered": sum(recovered.values()),
            **{f"  {name}": f"{recovered[name]} of {n}" for name, n in sorted(struck.items())},
            "reloads": self._reloads,
            "RSS, MB per 10 000 frames": round(memory, 3) if len(settled) > 1 else "(too short)",
            "RSS at the start, MB": round(watch.quiet[0].resident_mb, 1),
            "RSS at the end, MB": round(figures[-1].resident_mb, 1),
            "threads, growth": watch.growth("threads"),
            "descriptors, growth": watch.growth("files"),
            "lines logged as errors": len(errors),
            "seconds to stop": round(self._stop_s, 2),
            "daemon ended by itself": self._ended_by_itself,
        }

    def quiet_moments(self) -> list[dict[str, object]]:
        """Figures between the faults."""
        return [
            {
                "frames": figures.frames,
                "resident_mb": round(figures.resident_mb, 1),
                "shared_mb": round(figures.shared_mb, 1),
                "threads": figures.threads,
                "files": figures.files,
            }
            for figures in self._watch.quiet
        ]

    def close(self) -> None:
        """End everything."""
        self._daemon.kill()
        self._daemon.wait(10)
        self._world.close()

    def _let_something_happen(self) -> None:
        fault = random.choice(self._world.faults())
        _say(f"{self._elapsed_s:5.0f} s {self._watch.quiet[-1].frames:>8} frames  {fault.name}")
        self._struck[fault.name] += 1
        fault.strike()
        time.sleep(random.uniform(1, 8))
        fault.cure()
        if fault.recovered(self._watch):
            self._recovered[fault.name] += 1
        else:
            _say(f"no recovery; the daemon's last words:\n{chr(10).join(self._said()[-5:])}")
        if random.random() < _RELOADS:
            # The second camera changes and is started anew; the first goes on.
            self._write_config(random.choice((0.4, 0.5, 0.6)))
            self._daemon.send_signal(signal.SIGHUP)
            self._reloads += 1

    def _write_config(self, threshold: float) -> None:
        self._config.write_text(
            _CONFIG.format(
                **self._world.sources,
                stream=self._stream,
                recordings=self._folder / "recordings",
                threshold=threshold,
                model=_MODEL,
                metrics=self._ports["metrics"],
                web=self._ports["web"],
                broker=self._world.broker.port,
            )
        )

    def _wait_for_start(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self._daemon.poll() is None:
            with suppress(httpx.HTTPError):
                figures = self._watch.look()
                if all(figures.up.values()) and figures.frames > 100:
                    return
            time.sleep(0.5)
        sys.exit(f"the daemon did not start:\n{chr(10).join(self._said())}")

    def _said(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
