"""From the sensor to a viewer's pixels, measured with a clock that is burned into the picture."""

import os
import signal
import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from threading import Thread
from typing import Any

from edge_detect.core import (
    NS_PER_MS,
    NS_PER_S,
    DependencyError,
    EdgeDetectError,
    Percentiles,
    SinkError,
    Size,
    StageError,
    monotonic_ns,
)
from edge_detect.pipeline import Pipeline

__all__ = ["LatencyFigures", "measure_latency"]

_CONNECT_S = 15.0
_MOST_KEPT = 1000


@dataclass(slots=True, frozen=True)
class LatencyFigures:
    """What was measured.

    Attributes:
        size: Of the picture.
        model: That ran meanwhile.
        threads: Of its interpreter.
        client: `own` or `gstreamer`.
        seconds: How long it was measured.
        pictures: That arrived in this time.
        unreadable: Of these, how many showed no clock that could be read.
        fps: Pictures per second at the client.
        stages_ms: Percentiles by stage: capture_to_detect, capture_to_render,
            capture_to_encode, encode_to_client.
        end_to_end_ms: From capture to the client's pixels.
    """

    size: Size
    model: str
    threads: int
    client: str
    seconds: float
    pictures: int
    unreadable: int
    fps: float
    stages_ms: dict[str, Percentiles]
    end_to_end_ms: Percentiles

    def as_json(self) -> dict[str, Any]:
        """The figures as plain data; percentiles in milliseconds."""
        data = asdict(self)
        data["size"] = str(self.size)
        return data


def measure_latency(
    *,
    size: Size = Size(1280, 720),  # noqa: B008 - a named tuple does not change
    fps: float = 30.0,
    model: str | None = None,
    threads: int | None = 1,
    runtime: str | None = None,
    seconds: float = 20.0,
    warmup_s: float = 3.0,
    client: str = "own",
) -> LatencyFigures:
    """Serve a synthetic camera over RTSP on loopback, and watch it from another process.

    Args:
        size: Of the picture.
        fps: Of the camera.
        model: That detects meanwhile; None takes the default.
        threads: Of its interpreter.
        runtime: `litert` or `tflite-runtime`; None takes the first that is there.
        seconds: How long to measure.
        warmup_s: How long to wait before: connecting, the first key frames and the caches of
            all stages are no steady state.
        client: `own` reads as this project's sources do, `gstreamer` as GStreamer's players.

    Raises:
        EdgeDetectError: The model, the server or the client does not work.
    """
    source = f"synthetic://?size={size}&fps={fps:g}&realtime=true&clock=true"
    url = f"rtsp://127.0.0.1:{_free_port()}/latency"
    encoded: OrderedDict[int, int] = OrderedDict()

    def remember(captured_ns: int, encoded_ns: int) -> None:
        encoded[captured_ns] = encoded_ns
        if len(encoded) > _MOST_KEPT:
            encoded.popitem(last=False)

    with Pipeline(source, model=model, sinks=[url], threads=threads, runtime=runtime) as pipeline:
        pipeline.outlets[0].on_encoded = remember
        pipeline.start()
        viewer = _Viewer(url, client)
        try:
            viewer.wait_for_pictures(pipeline)
            if pipeline.wait(warmup_s):
                raise StageError("the pipeline ended by itself")
            before = {name: each.copy() for name, each in pipeline.statistics.durations.items()}
            before_encode = pipeline.outlets[0].capture_to_encode.copy()
            viewer.start_counting(encoded)
            started_ns = monotonic_ns()
            pipeline.wait(seconds)
            viewer.stop_counting()
            elapsed_s = (monotonic_ns() - started_ns) / NS_PER_S
            stages = {
                name: pipeline.statistics.durations[name].since(before[name]).percentiles()
                for name in ("capture_to_detect", "capture_to_render")
            }
            stages["capture_to_encode"] = (
                pipeline.outlets[0].capture_to_encode.since(before_encode).percentiles()
            )
            threads = pipeline.detector.threads
        finally:
            viewer.stop()
    # The viewer's thread may count its last picture until it has ended.
    stages["encode_to_client"] = _percentiles(viewer.transport_ns)
    return LatencyFigures(
        size,
        pipeline.detector.name,
        threads,
        client,
        elapsed_s,
        viewer.pictures,
        viewer.pictures - len(viewer.ages_ns),
        viewer.rate(),
        stages,
        _percentiles(viewer.ages_ns),
    )


class _Viewer:
    """The client's process, and what it says."""

    def __init__(self, url: str, client: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "edge_detect.tools.latency_client", url, "--client", client],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._counting: OrderedDict[int, int] | None = None
        self._seen = 0
        self._first_ns = self._last_ns = 0
        self.pictures = 0
        self.ages_ns: list[int] = []
        self.transport_ns: list[int] = []
        self._reader = Thread(target=self._read, name="edge-latency", daemon=True)
        self._reader.start()

    def wait_for_pictures(self, pipeline: Pipeline) -> None:
        """Wait until the client shows pictures.

        Raises:
            SinkError: It does not.
        """
        deadline_ns = monotonic_ns() + round(_CONNECT_S * NS_PER_S)
        while not self._seen:
            if self._process.poll() is not None or monotonic_ns() > deadline_ns:
                raise self._failure()
            if pipeline.wait(0.05):
                raise StageError("the pipeline ended by itself")

    def start_counting(self, encoded: OrderedDict[int, int]) -> None:
        """Keep the ages of pictures from now on.

        Args:
            encoded: When pictures left the encoder, by when they were captured.
        """
        self._counting = encoded

    def stop_counting(self) -> None:
        """Keep no more."""
        self._counting = None

    def rate(self) -> float:
        """Pictures per second from the first to the last that was counted."""
        span_ns = self._last_ns - self._first_ns
        return (self.pictures - 1) * NS_PER_S / span_ns if span_ns > 0 else 0.0

    def stop(self) -> None:
        """End the process."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(2)
        self._reader.join(2)

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            captured_ns, arrived_ns = (int(word) for word in line.split())
            self._seen += 1
            encoded = self._counting
            if encoded is None:
                continue
            self.pictures += 1
            self._first_ns = self._first_ns or arrived_ns
            self._last_ns = arrived_ns
            if captured_ns:
                self.ages_ns.append(arrived_ns - captured_ns)
                left_ns = encoded.get(captured_ns)
                if left_ns is not None:
                    self.transport_ns.append(arrived_ns - left_ns)

    def _failure(self) -> EdgeDetectError:
        self.stop()
        printed = self._process.stderr.read().strip() if self._process.stderr else ""
        said, _, hint = printed.partition("\n  hint: ")
        last = said.splitlines()[-1] if said else "no picture arrived"
        if self._process.returncode == DependencyError.exit_code:
            return DependencyError(f"the client cannot run: {last}", hint)
        return SinkError(f"the client saw nothing of the stream: {last}", hint)


def _percentiles(durations_ns: Sequence[int]) -> Percentiles:
    """Exact percentiles, by the nearest rank."""
    ordered = sorted(durations_ns)
    n = len(ordered)
    if not n:
        return Percentiles(0, 0.0, 0.0, 0.0)
    ranks = (min(n - 1, n * share // 100) for share in (50, 95, 99))
    return Percentiles(n, *(ordered[rank] / NS_PER_MS for rank in ranks))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
