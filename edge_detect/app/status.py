"""Statistics as text: one line a second, and a table at the end."""

from edge_detect.core import Percentiles, monotonic_ns
from edge_detect.pipeline import Outlet, Pipeline

__all__ = ["StatusLine", "summary"]

_TITLES = {
    "capture_to_detect": "capture → detected",
    "capture_to_render": "capture → rendered",
    "preprocess": "preprocess",
    "invoke": "invoke",
    "postprocess": "post-process",
    "overlay": "overlay",
    "boxes_age": "age of the boxes",
}
_BEFORE = {"detected": ("prepare", "detect"), "rendered": ("render",)}


class StatusLine:
    """Says how the pipeline did since the line before."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._age = pipeline.statistics.durations["capture_to_detect"].copy()
        self._detections = 0
        self._detected = 0

    def line(self) -> str:
        """Rates per stage, latency of the last second, drops so far, objects per frame.

        While the source gives nothing, its state stands there instead.
        """
        statistics = self._pipeline.statistics
        source = self._pipeline.source.status()
        if source.state in ("connecting", "lost", "stalled"):
            reason = f": {source.reason}" if source.reason else ""
            return f"{statistics.elapsed_s:6.0f} s  {source.state} for {source.for_s:.0f} s{reason}"
        now_ns = monotonic_ns()
        rates = [
            f"{name} {meter.per_second(now_ns):.1f}"
            for name, meter in statistics.rates.items()
            if meter.count
        ]
        encoded = max((o.encoded.per_second(now_ns) for o in self._pipeline.outlets), default=0)
        if encoded:
            rates.append(f"encoded {encoded:.1f}")
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
            f"{statistics.elapsed_s:6.0f} s  fps: {'  '.join(rates)}"
            f"  |  latency ms: p50 {latency.p50:.1f}  p95 {latency.p95:.1f}"
            f"  |  dropped {drops}  |  {per_frame:.1f} objects a frame"
        )


def summary(pipeline: Pipeline) -> str:
    """The whole run in a table."""
    statistics = pipeline.statistics
    elapsed_s = statistics.elapsed_s
    source = pipeline.source.status()
    if not statistics.rates["captured"].count:
        reason = f": {source.reason}" if source.reason else ""
        return f"no frame came in {elapsed_s:.1f} s{reason}"
    lines = ["", f"{'stage':<36}{'frames':>10}{'fps':>10}{'dropped before':>17}"]
    for name, meter in statistics.rates.items():
        if meter.count:
            drops = sum(statistics.dropped.get(stage, 0) for stage in _BEFORE.get(name, ()))
            lines.append(f"{name:<36}{meter.count:>10}{meter.count / elapsed_s:>10.1f}{drops:>17}")
    encoding = [outlet for outlet in pipeline.outlets if outlet.encoded.count]
    for outlet in encoding:
        count = outlet.encoded.count
        lines.append(
            f"{_encoded_title(outlet):<36}{count:>10}{count / elapsed_s:>10.1f}{outlet.dropped:>17}"
        )
    lines += ["", f"{'milliseconds':<36}{'n':>10}{'p50':>10}{'p95':>10}{'p99':>10}"]
    for name, histogram in statistics.durations.items():
        if name != "boxes_age" or pipeline.overlay == "latest":
            lines += _percentiles(_TITLES[name], histogram.percentiles())
    for outlet in encoding:
        lines += _percentiles(
            f"capture → {_encoded_title(outlet)}", outlet.capture_to_encode.percentiles()
        )
    lines += ["", f"{statistics.detections} objects in {elapsed_s:.1f} s"]
    if source.reconnects:
        lines.append(f"the source was lost and came back {source.reconnects} times")
    lines += [
        f"failed   {outlet.sink.name}: {outlet.status().reason}"
        for outlet in pipeline.outlets
        if outlet.dead
    ]
    lines += [f"written  {sink.name}" for sink in pipeline.sinks if sink.writes_file]
    return "\n".join(lines)


def _percentiles(title: str, figures: Percentiles) -> list[str]:
    if not figures.n:
        return []
    return [
        f"{title:<36}{figures.n:>10}{figures.p50:>10.2f}{figures.p95:>10.2f}{figures.p99:>10.2f}"
    ]


def _encoded_title(outlet: Outlet) -> str:
    name = outlet.sink.name
    return f"encoded {name if len(name) <= 16 else f'…{name[-15:]}'}"
