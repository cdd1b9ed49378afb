"""A service with cameras that count as if they worked, for whatever reads its figures."""

from edge_detect.core import NS_PER_MS, NS_PER_S, monotonic_ns
from edge_detect.core.board import BoardReading, Throttling
from edge_detect.pipeline.statistics import Histogram, Statistics
from edge_detect.pipeline.totals import SinkTotals, Totals
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import CameraSettings
from support.service_views import PlainCamera, PlainService, a_sink_status, a_status

SINK = "rtsp://:8554/yard"
FPS = 25


class Work:
    """What a pipeline of 25 frames a second counts.

    Args:
        latency_ms: From capture to boxes; every tenth frame takes twice as long.
    """

    def __init__(self, latency_ms: float = 12.0) -> None:
        self._latency_ns = round(latency_ms * NS_PER_MS)
        self._histograms = {name: Histogram() for name in Statistics.DURATIONS}
        self._encode = Histogram()
        self._began_ns = monotonic_ns()
        self.frames = 0

    def go_on(self, seconds: float = 1.0) -> Totals:
        """Work for so long, at once, and count."""
        for _ in range(round(seconds * FPS)):
            self.frames += 1
            slow = 2 if self.frames % 10 == 0 else 1
            for histogram in (*self._histograms.values(), self._encode):
                histogram.add(self._latency_ns * slow)
        return self.totals()

    def totals(self) -> Totals:
        """All that was counted so far."""
        return Totals(
            at_ns=self._began_ns + self.frames * NS_PER_S // FPS,
            span_s=self.frames / FPS,
            frames={"captured": self.frames, "detected": self.frames - 3, "rendered": self.frames},
            dropped={"detect": 3},
            detections=2 * self.frames,
            reconnects=1,
            durations={name: each.copy() for name, each in self._histograms.items()},
            sinks={SINK: SinkTotals(self.frames, 4, 2, self._encode.copy())},
        )


def busy_camera(name: str = "yard") -> tuple[PlainCamera, Work]:
    """A camera that has worked for ten seconds, and what lets it work on."""
    work = Work()
    status = a_status(sinks=(a_sink_status(SINK),))
    camera = PlainCamera(
        name,
        CameraSettings(source="synthetic:", max_fps=15),
        now=CameraState("running", restarts=1, status=status, score_threshold=0.4),
        counted=work.go_on(10),
    )
    return camera, work


def busy_service() -> tuple[PlainService, list[Work]]:
    """A Raspberry Pi with two cameras, one of them away."""
    yard, work = busy_camera()
    door, other_work = busy_camera("door")
    door.now = CameraState("running", status=a_status("lost", reason="no route to host"))
    reading = BoardReading(
        monotonic_ns(),
        temperature_c=61.5,
        frequency_hz=1_800_000_000,
        frequency_limit_hz=2_400_000_000,
        throttling=Throttling(under_voltage_since_boot=True),
        threads=23,
    )
    return PlainService([yard, door], reloads=2, reading=reading), [work, other_work]
