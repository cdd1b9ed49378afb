"""Statistics as text: one line a second, and a table at the end."""

from edge_detect.core import monotonic_ns
from edge_detect.pipeline import Pipeline, Statistics

__all__ = ["StatusLine", "summary"]

_TITLES = {
    "capture_to_detect": "capture → detected",
    "capture_to_render": "capture → rendered",
    "capture_to_encode": "capture → encoded",
    "preprocess": "preprocess",
    "invoke": "invoke",
    "postprocess": "post-process",
    "overlay": "overlay",
}


class StatusLine:
    """Says how the pipeline did since the line before."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._age = statistics.durations["capture_to_detect"].copy()
        self._detections = 0
        self._detected = 0

    def line(self) -> str:
        """Rates per stage, latency of the last second, drops so far, objects per frame."""
        statistics = self._statistics
        now_ns = monotonic_ns()
        rates = "  ".join(
            f"{name} {meter.per_second(now_ns):.1f}"
            for name, meter in statistics.rates.items()
            if meter.count
        )
        age = statistics.durations["capture_to_detect"].copy()
        latency = age.since(self._age).percentiles()
        self._age = age
        detected = statistics.rates["detected"].count
        objects = statistics.detections - self._detections
        frames = detected - self._detected
        self._detections, self._detected = statistics.detections, detected
        per_frame = objects / frames if frames else 0.0
        drops = sum(statistics.dropped.values())
        return (
            f"{statistics.elapsed_s:6.0f} s  fps: {rates or 'waiting for the first frame'}"
            f"  |  latency ms: p50 {latency.p50:.1f}  p95 {latency.p95:.1f}"
            f"  |  dropped {drops}  |  {per_frame:.1f} objects a frame"
        )


def summary(pipeline: Pipeline) -> str:
    """The whole run in a table."""
    statistics = pipeline.statistics
    elapsed_s = statistics.elapsed_s
    lines = ["", f"{'stage':<20}{'frames':>10}{'fps':>10}{'dropped before':>17}"]
    before = {"detected": ("prepare", "detect"), "rendered": ("render",)}
    known = {name for names in before.values() for name in names}
    for name, meter in statistics.rates.items():
        if not meter.count:
            continue
        if name == "encoded":
            drops = sum(n for stage, n in statistics.dropped.items() if stage not in known)
        else:
            drops = sum(statistics.dropped.get(stage, 0) for stage in before.get(name, ()))
        lines.append(f"{name:<20}{meter.count:>10}{meter.count / elapsed_s:>10.1f}{drops:>17}")
    lines += ["", f"{'milliseconds':<20}{'n':>10}{'p50':>10}{'p95':>10}{'p99':>10}"]
    for name, histogram in statistics.durations.items():
        figures = histogram.percentiles()
        if figures.n:
            lines.append(
                f"{_TITLES[name]:<20}{figures.n:>10}"
                f"{figures.p50:>10.2f}{figures.p95:>10.2f}{figures.p99:>10.2f}"
            )
    lines += ["", f"{statistics.detections} objects in {elapsed_s:.1f} s"]
    lines += [f"written  {sink.name}" for sink in pipeline.sinks if sink.name != "null"]
    return "\n".join(lines)
