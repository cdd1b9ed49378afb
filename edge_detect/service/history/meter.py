"""What a camera and the computer did in one interval, as a line of the history."""

from edge_detect.core import NS_PER_S
from edge_detect.core.board import BoardReading
from edge_detect.pipeline.totals import SinkTotals, Totals
from edge_detect.service.companion import CameraState, CameraView

__all__ = ["BoardMeter", "CameraMeter"]

_PERCENTILES = ("p50", "p95", "p99")


class CameraMeter:
    """Counts one camera from one line to the next.

    Args:
        camera: The camera.
        now_ns: CLOCK_MONOTONIC time at which the first interval begins.
    """

    def __init__(self, camera: CameraView, now_ns: int) -> None:
        self.camera = camera
        state = camera.state()
        self._earlier = camera.totals()
        self._newest: Totals | None = None
        self._restarts = state.restarts
        self._began_ns = now_ns
        self._looks = self._live = 0
        self._viewers: int | None = None

    def look(self) -> None:
        """See how the camera is doing; to be called several times in an interval."""
        self._look(self.camera.state())

    def _look(self, state: CameraState) -> None:
        # A pipeline that ends takes its counts along.
        self._newest = self.camera.totals() or self._newest
        self._looks += 1
        self._live += _is_live(state)
        viewers = _viewers(state)
        if viewers is not None:
            self._viewers = max(viewers, self._viewers or 0)

    def finish(self, now_ns: int) -> tuple[str, dict[str, float | None]] | None:
        """End the interval, and begin the next one.

        Args:
            now_ns: CLOCK_MONOTONIC time.

        Returns:
            The state of the source, and the figures by column. None if the camera was
            stopped on purpose before anything was seen of it in this interval.
        """
        state = self.camera.state()
        if state.phase != "stopped":
            self._look(state)
        elif not self._looks:
            return None
        totals = self._newest
        span_s = (now_ns - self._began_ns) / NS_PER_S
        figures: dict[str, float | None] = {
            "interval_s": span_s,
            "live": self._live / self._looks,
            "viewers": self._viewers,
            "restarts": max(0, state.restarts - self._restarts),
            "reconnects": 0,
            **_rates(None, span_s),
        }
        if totals is not None:
            new = totals.since(self._earlier if _is_same(totals, self._earlier) else None)
            figures.update(_rates(new, span_s), reconnects=new.reconnects)
            figures.update(_durations(new))
        self._earlier, self._restarts, self._began_ns = totals, state.restarts, now_ns
        self._looks, self._live, self._viewers, self._newest = 0, 0, None, None
        return _source_state(state), figures


class BoardMeter:
    """Sums up the computer's readings of one interval."""

    def __init__(self) -> None:
        self._readings: list[BoardReading] = []

    def look(self, reading: BoardReading) -> None:
        """Take a reading into account; the same one does not count twice."""
        if not self._readings or self._readings[-1].read_ns != reading.read_ns:
            self._readings.append(reading)

    def finish(self) -> dict[str, float | None]:
        """The figures by column; the next interval begins."""
        readings, self._readings = self._readings, []
        shares = [each.cpu_share for each in readings if each.cpu_share is not None]
        clocks = [each.frequency_hz for each in readings if each.frequency_hz is not None]
        sizes = [each.resident_bytes for each in readings if each.resident_bytes is not None]
        degrees = [each.temperature_c for each in readings if each.temperature_c is not None]
        flags = [each.throttling for each in readings if each.throttling is not None]
        return {
            "cpu_cores": sum(shares) / len(shares) if shares else None,
            "rss_mb": sizes[-1] / 1e6 if sizes else None,
            "soc_c": max(degrees, default=None),
            "clock_mhz": min(clocks) / 1e6 if clocks else None,
            "under_voltage": _any([each.under_voltage for each in flags]),
            "clock_capped": _any([each.frequency_capped for each in flags]),
            "throttled": _any([each.throttled for each in flags]),
            "hot_limit": _any([each.soft_temperature_limit for each in flags]),
        }


def _is_same(now: Totals, earlier: Totals | None) -> bool:
    """Whether both are of one pipeline, and not of one and its successor."""
    if earlier is None:
        return False
    started_s = now.at_ns / NS_PER_S - now.span_s
    return abs(started_s - (earlier.at_ns / NS_PER_S - earlier.span_s)) < 0.1


def _rates(new: Totals | None, span_s: float) -> dict[str, float | None]:
    """Frames per second of the interval, which may be longer than the pipeline lived."""
    span_s = max(span_s, 1e-3)
    frames = new.frames if new is not None else {}
    return {
        **{
            f"{stage}_fps": frames.get(stage, 0) / span_s
            for stage in ("captured", "detected", "rendered")
        },
        "encoded_fps": new.encoded / span_s if new is not None else 0.0,
        "dropped_fps": new.dropped_in_all / span_s if new is not None else 0.0,
    }


def _durations(new: Totals) -> dict[str, float | None]:
    histograms = {
        "detect": new.durations.get("capture_to_detect"),
        "invoke": new.durations.get("invoke"),
    }
    busiest = max(new.sinks.values(), key=_encoded, default=None)
    if busiest is not None:
        histograms["encode"] = busiest.capture_to_encode
    figures: dict[str, float | None] = {}
    for name, histogram in histograms.items():
        if histogram is not None:
            percentiles = histogram.percentiles()
            if percentiles.n:
                for each in _PERCENTILES:
                    figures[f"{name}_{each}_ms"] = getattr(percentiles, each)
    return figures


def _encoded(sink: SinkTotals) -> int:
    return sink.encoded


def _is_live(state: CameraState) -> bool:
    running = state.phase == "running" and state.status is not None
    return running and _source_state(state) == "live"


def _source_state(state: CameraState) -> str:
    if state.phase == "running" and state.status is not None:
        return state.status.source.state
    return state.phase if state.phase != "running" else "starting"


def _viewers(state: CameraState) -> int | None:
    sinks = state.status.sinks if state.status is not None else ()
    known = [sink.viewers for sink in sinks if sink.viewers is not None]
    return sum(known) if known else None


def _any(flags: list[bool]) -> float | None:
    return float(any(flags)) if flags else None
