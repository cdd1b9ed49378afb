"""Whether everything makes progress: what systemd's watchdog is told, or not told."""

from collections.abc import Callable
from dataclasses import dataclass

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.service.camera import Camera

__all__ = ["Watchdog"]

# Sources and sinks may wait for a network with timeouts of their own.
_PATIENCE_OUTSIDE = 3
# Loading a model, and compiling its kernels on a board that was not warmed up.
_START_S = 300.0
# A pipeline that ends is noticed by its camera well before this.
_END_S = 5.0


@dataclass(slots=True)
class _Progress:
    """What is remembered of one camera from one look to the next."""

    pipeline: object
    detected: int
    detected_ns: int
    missing_ns: int


class Watchdog:
    """Looks at every stage of every camera.

    A camera that is away is no trouble: that is known, and it is tried again. Trouble is what
    only a restart of the process can mend: a stage that does not come back, a thread that is
    gone, frames that come in and nothing that comes out.

    Args:
        stuck_s: A stage that is at work on one frame for longer is stuck.
        clock_ns: CLOCK_MONOTONIC time, by which frames are missed.
    """

    def __init__(self, stuck_s: float, clock_ns: Callable[[], int] = monotonic_ns) -> None:
        self._stuck_s = stuck_s
        self._clock_ns = clock_ns
        self._progress: dict[Camera, _Progress] = {}

    def troubles(self, cameras: list[Camera]) -> list[str]:
        """What is wrong now, each in one line that begins with the camera's name."""
        now_ns = self._clock_ns()
        known = self._progress
        self._progress = {camera: known[camera] for camera in cameras if camera in known}
        return [
            f"{camera.name}: {trouble}"
            for camera in cameras
            for trouble in self._troubles_of(camera, now_ns)
        ]

    def _troubles_of(self, camera: Camera, now_ns: int) -> list[str]:
        if camera.stuck:
            return [camera.stuck]
        state = camera.state()
        if state.phase == "starting" and camera.phase_s > _START_S:
            return [f"starting for {camera.phase_s:.0f} s"]
        if state.phase != "stopped" and not camera.running:
            return ["its thread has ended"]
        pipeline = camera.pipeline
        if pipeline is None or state.status is None:
            return []
        found = []
        for stage, seconds in pipeline.busy_s().items():
            inside = stage in ("prepare", "detect", "decode", "render")
            if seconds > self._stuck_s * (1 if inside else _PATIENCE_OUTSIDE):
                found.append(f"{stage} is at work on one frame for {seconds:.0f} s")
        progress = self._progress_of(camera, pipeline, now_ns)
        if (now_ns - progress.missing_ns) / NS_PER_S > _END_S:
            found.append(f"stages that ended by themselves: {', '.join(pipeline.missing())}")
        # An accelerator that is away, with nothing to stand in for it, is not brought back by
        # starting the program again; it is tried all the time.
        can_detect = bool(state.status.model.devices)
        flowing = state.status.source.state == "live" and state.enabled and can_detect
        if not flowing:
            progress.detected_ns = now_ns
        slow_s = 2 / pipeline.controls.max_fps if pipeline.controls.max_fps else 0.0
        idle_s = (now_ns - progress.detected_ns) / NS_PER_S
        if idle_s > self._stuck_s + slow_s:
            found.append(f"frames come in, but none was detected in for {idle_s:.0f} s")
        return found

    def _progress_of(self, camera: Camera, pipeline: object, now_ns: int) -> _Progress:
        progress = self._progress.get(camera)
        totals = camera.totals()
        detected = 0 if totals is None else totals.frames.get("detected", 0)
        if progress is None or progress.pipeline is not pipeline:
            progress = _Progress(pipeline, detected, now_ns, now_ns)
            self._progress[camera] = progress
        if progress.detected != detected:
            progress.detected, progress.detected_ns = detected, now_ns
        running = camera.pipeline
        if running is None or not running.missing():
            progress.missing_ns = now_ns
        return progress
