"""All that a pipeline has counted, at one moment: two of them tell what happened between."""

from dataclasses import dataclass, field

from edge_detect.core import NS_PER_S
from edge_detect.pipeline.statistics import Histogram

__all__ = ["SinkTotals", "Totals"]


@dataclass(slots=True, frozen=True)
class SinkTotals:
    """What one sink has counted.

    Attributes:
        encoded: Pictures that left its encoder.
        dropped: Pictures and results that it was too slow for.
        failures: How often it failed.
        capture_to_encode: Age of pictures when they left the encoder.
    """

    encoded: int
    dropped: int
    failures: int
    capture_to_encode: Histogram


@dataclass(slots=True, frozen=True)
class Totals:
    """Counts since the start of a pipeline, or between two moments (`since`).

    Attributes:
        at_ns: CLOCK_MONOTONIC moment of the (later) counting.
        span_s: Seconds that were counted.
        frames: Frames by stage: captured, detected, rendered.
        dropped: Frames that a stage was too slow for, by stage; as `limit` those that were
            left out on purpose (`max_fps`).
        detections: Objects found.
        reconnects: How often the source came back.
        durations: Histograms by name, as in `Statistics.durations`.
        sinks: By the sink's name.
    """

    at_ns: int
    span_s: float
    frames: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    detections: int = 0
    reconnects: int = 0
    durations: dict[str, Histogram] = field(default_factory=dict)
    sinks: dict[str, SinkTotals] = field(default_factory=dict)

    @property
    def encoded(self) -> int:
        """Pictures that left the busiest encoder: sinks mostly share one."""
        return max((sink.encoded for sink in self.sinks.values()), default=0)

    @property
    def dropped_in_all(self) -> int:
        """Frames, pictures and results that any stage or sink was too slow for."""
        slow = sum(count for stage, count in self.dropped.items() if stage != "limit")
        return slow + sum(sink.dropped for sink in self.sinks.values())

    def since(self, earlier: "Totals | None") -> "Totals":
        """What was counted after `earlier`.

        Args:
            earlier: Of the same pipeline. Where it is None or of a pipeline that has ended
                since, everything is new, as with counters that were reset.
        """
        if earlier is None or earlier.frames.get("captured", 0) > self.frames.get("captured", 0):
            return self
        return Totals(
            at_ns=self.at_ns,
            span_s=(self.at_ns - earlier.at_ns) / NS_PER_S,
            frames=_difference(self.frames, earlier.frames),
            dropped=_difference(self.dropped, earlier.dropped),
            detections=self.detections - earlier.detections,
            reconnects=self.reconnects - earlier.reconnects,
            durations={
                name: histogram.since(earlier.durations[name])
                for name, histogram in self.durations.items()
            },
            sinks={
                name: _sink_since(sink, earlier.sinks.get(name))
                for name, sink in self.sinks.items()
            },
        )


def _difference(now: dict[str, int], then: dict[str, int]) -> dict[str, int]:
    return {name: count - then.get(name, 0) for name, count in now.items()}


def _sink_since(now: SinkTotals, then: SinkTotals | None) -> SinkTotals:
    if then is None:
        return now
    return SinkTotals(
        now.encoded - then.encoded,
        now.dropped - then.dropped,
        now.failures - then.failures,
        now.capture_to_encode.since(then.capture_to_encode),
    )
