"""The state of a pipeline at one moment, in words and numbers."""

from collections.abc import Callable
from dataclasses import replace

from edge_detect.core import NS_PER_S, PipelineStatus, monotonic_ns
from edge_detect.core.status import ModelStatus
from edge_detect.models import Detector
from edge_detect.pipeline.controls import Controls
from edge_detect.pipeline.feeds import Feeds
from edge_detect.pipeline.outlet import Outlet
from edge_detect.pipeline.retry import WatchedSource
from edge_detect.pipeline.statistics import Statistics
from edge_detect.pipeline.totals import Totals

__all__ = ["Reporter", "status_line"]

# Many readers (pages, metrics) share one report of so recent a date.
_FRESH_NS = NS_PER_S // 4
_LINE_NS = NS_PER_S // 2


class Reporter:
    """Makes reports of a pipeline.

    Args:
        source: Its source.
        detector: Its model.
        feeds: Its sinks.
        controls: Its switches and limits.
        statistics: Its counters.
        mode: `live` or `every`.
        overlay: `latest` or `exact`.
    """

    def __init__(
        self,
        source: WatchedSource,
        detector: Detector,
        feeds: Feeds,
        controls: Controls,
        statistics: Statistics,
        mode: str,
        overlay: str,
    ) -> None:
        self._source = source
        self._feeds, self._controls = feeds, controls
        self._statistics = statistics
        self._mode, self._overlay = mode, overlay
        self._lanes = detector.lanes
        self._model = ModelStatus(
            detector.name,
            detector.input_size,
            detector.runtime,
            detector.threads,
            controls.thresholds.score,
        )
        self._made_ns = -_FRESH_NS
        self._report: PipelineStatus | None = None

    def report(self) -> PipelineStatus:
        """The state of now, or of up to a quarter of a second ago; from any thread."""
        now_ns = monotonic_ns()
        report = self._report
        if report is None or now_ns - self._made_ns >= _FRESH_NS:
            report = self._report = self._make(now_ns)
            self._made_ns = now_ns
        return report

    def _make(self, now_ns: int) -> PipelineStatus:
        statistics = self._statistics
        dropped = dict(statistics.dropped)
        sinks = tuple(outlet.status() for outlet in self._listed())
        dropped.update({each.name: each.dropped for each in sinks if each.dropped})
        return PipelineStatus(
            elapsed_s=statistics.elapsed_s,
            mode=self._mode,
            overlay=self._overlay,
            source=self._source.status(),
            model=replace(
                self._model,
                score_threshold=self._controls.thresholds.score,
                devices=self._lanes.devices,
                away=self._lanes.away,
            ),
            rates={name: meter.per_second(now_ns) for name, meter in statistics.rates.items()},
            dropped=dropped,
            durations_ms={name: each.recent() for name, each in statistics.durations.items()},
            detections=statistics.detections,
            sinks=sinks,
        )

    def totals(self) -> Totals:
        """All that was counted so far; from any thread."""
        now_ns = monotonic_ns()
        statistics = self._statistics
        return Totals(
            at_ns=now_ns,
            span_s=(now_ns - statistics.started_ns) / NS_PER_S,
            frames={name: meter.count for name, meter in statistics.rates.items()},
            dropped=dict(statistics.dropped),
            detections=statistics.detections,
            reconnects=self._source.status().reconnects,
            durations={name: each.copy() for name, each in statistics.durations.items()},
            sinks={outlet.sink.name: outlet.totals() for outlet in self._listed()},
        )

    def _listed(self) -> list[Outlet]:
        return [outlet for outlet in self._feeds.outlets if outlet.sink.listed]


def status_line(statistics: Statistics) -> Callable[[], str]:
    """A function that gives a line for the picture, which changes slowly enough to be read."""
    rate = statistics.rates["detected"]
    age = statistics.durations["capture_to_detect"]
    text, made_ns, before = "", monotonic_ns(), age.copy()

    def status() -> str:
        nonlocal text, made_ns, before
        now_ns = monotonic_ns()
        if now_ns - made_ns >= _LINE_NS:
            now = age.copy()
            latency = now.since(before).percentiles().p50
            text = f"{rate.per_second():.1f} fps  {latency:.0f} ms"
            made_ns, before = now_ns, now
        return text

    return status
