"""Frames per second and latency of every camera, in one line at an interval."""

import logging
from threading import Event, Lock, Thread

from edge_detect.pipeline.statistics import Histogram
from edge_detect.pipeline.totals import Totals
from edge_detect.service.companion import CameraState, CameraView, Companion, ServiceView
from edge_detect.service.config.settings import LoggingSettings

__all__ = ["FigureLog", "figures_of"]

_log = logging.getLogger(__name__)

_STOP_S = 1.0
_RATES = ("captured", "detected", "rendered")


class FigureLog(Companion):
    """Logs a line for every camera at an interval, from exactly what happened in it.

    Args:
        settings: How often; with 0 it does nothing.
    """

    def __init__(self, settings: LoggingSettings) -> None:
        self._interval_s = settings.interval_s
        self._lock = Lock()
        # Of each camera, how often it had been restarted and what it had counted.
        self._before: dict[str, tuple[int, Totals | None]] = {}
        self._cameras: dict[str, CameraView] = {}
        self._ended = Event()
        self._thread: Thread | None = None

    def start(self, service: ServiceView) -> None:  # noqa: ARG002 - cameras come one by one
        """Begin; cameras come with `add_camera`."""
        if self._interval_s > 0:
            self._thread = Thread(target=self._run, name="edge-figures", daemon=True)
            self._thread.start()

    def add_camera(self, camera: CameraView) -> None:
        """Count from now on."""
        counted = camera.state().restarts, camera.totals()
        with self._lock:
            self._cameras[camera.name] = camera
            self._before[camera.name] = counted

    def remove_camera(self, camera: CameraView) -> None:
        """Forget a camera."""
        with self._lock:
            self._cameras.pop(camera.name, None)
            self._before.pop(camera.name, None)

    def stop(self) -> None:
        """End."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def trouble(self) -> str:
        """Whether the thread has ended by itself."""
        thread = self._thread
        if thread is None or thread.is_alive() or self._ended.is_set():
            return ""
        return "the thread that logs figures has ended"

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            with self._lock:
                cameras = list(self._cameras.values())
            for camera in cameras:
                self._say(camera)

    def _say(self, camera: CameraView) -> None:
        state, totals = camera.state(), camera.totals()
        with self._lock:
            restarts, before = self._before.get(camera.name, (state.restarts, None))
            if camera.name in self._before:
                self._before[camera.name] = (state.restarts, totals)
        if totals is None:
            reason = f": {state.reason}" if state.reason else ""
            _log.info("%s: %s%s", camera.name, state.phase, reason, extra=_extra(camera, {}))
            return
        recent = totals.since(before if restarts == state.restarts else None)
        if recent.span_s <= 0:
            return
        figures = figures_of(recent)
        away = _away(state)
        # Of a camera that is away a row of zeros says nothing more.
        line = "" if away and not recent.frames.get("captured") else _line(figures)
        message = f"{camera.name}: {'; '.join(part for part in (away, line) if part)}"
        # Nothing is to be filled in: a name may hold a per cent sign.
        _log.info("%s", message, extra=_extra(camera, figures))


def figures_of(recent: Totals) -> dict[str, float]:
    """What a camera's counts mean: `fps_*` by stage, `*_p50_ms` and so on by duration.

    Args:
        recent: Counted in an interval.
    """
    frames = {stage: recent.frames.get(stage, 0) for stage in _RATES}
    frames |= {"encoded": recent.encoded, "dropped": recent.dropped_in_all}
    figures = {f"fps_{stage}": count / recent.span_s for stage, count in frames.items()}
    figures["detections"] = recent.detections
    figures["reconnects"] = recent.reconnects
    for name in ("capture_to_detect", "invoke", "capture_to_render"):
        figures |= _percentiles(name, recent.durations.get(name))
    encode = Histogram()
    for sink in recent.sinks.values():
        encode = encode.merged(sink.capture_to_encode)
    figures |= _percentiles("capture_to_encode", encode)
    return {name: round(value, 2) for name, value in figures.items()}


def _percentiles(name: str, histogram: Histogram | None) -> dict[str, float]:
    if histogram is None:
        return {}
    found = histogram.percentiles()
    if not found.n:
        return {}
    return {
        f"{name}_p50_ms": found.p50,
        f"{name}_p95_ms": found.p95,
        f"{name}_p99_ms": found.p99,
    }


def _line(figures: dict[str, float]) -> str:
    rates = [f"{stage} {figures[f'fps_{stage}']:.1f}" for stage in (*_RATES, "encoded", "dropped")]
    parts = [f"{' '.join(rates)} fps"]
    for name, title in (
        ("capture_to_detect", "capture→detect"),
        ("capture_to_encode", "capture→encode"),
    ):
        if f"{name}_p50_ms" in figures:
            values = [f"{p} {figures[f'{name}_{p}_ms']:.0f}" for p in ("p50", "p95", "p99")]
            parts.append(f"{title} {' '.join(values)} ms")
    if "invoke_p50_ms" in figures:
        parts.append(f"invoke p50 {figures['invoke_p50_ms']:.0f} ms")
    return "; ".join(parts)


def _away(state: CameraState) -> str:
    """Why there may be no frames; empty while all is well."""
    if state.status is None or state.status.source.state == "live":
        return "" if state.enabled else "detection is off"
    source = state.status.source
    reason = f" ({source.reason})" if source.reason else ""
    return f"{source.state} for {source.for_s:.0f} s{reason}"


def _extra(camera: CameraView, figures: dict[str, float]) -> dict[str, object]:
    state = camera.state()
    source = state.status.source.state if state.status is not None else state.phase
    return {"every_time": True, "camera": camera.name, "source_state": source, **figures}
