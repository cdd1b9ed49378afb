"""The daemon's counters and gauges in the form that Prometheus reads."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from typing import get_args

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from edge_detect.core import NS_PER_S
from edge_detect.core.board import BoardReading, Throttling
from edge_detect.core.status import PipelineStatus, SourceState
from edge_detect.pipeline.statistics import Histogram
from edge_detect.pipeline.totals import Totals
from edge_detect.service.companion import CameraView, ServiceView
from edge_detect.service.metrics.families import BUCKETS_S, DURATIONS, FAMILIES, duration_name

__all__ = ["ServiceCollector"]

_BUCKETS_NS = tuple(round(bound * NS_PER_S) for bound in BUCKETS_S)
_BUCKET_NAMES = tuple(str(bound) for bound in BUCKETS_S)
_STATES: tuple[str, ...] = get_args(SourceState)
_SINCE_BOOT = "_since_boot"
# They have a series from the start: the first drop would not show in a rate otherwise.
_DROPPING = ("prepare", "detect", "render")


class ServiceCollector:
    """Reads everything anew whenever it is asked; keeps nothing itself.

    Args:
        service: Whose figures are told.
    """

    def __init__(self, service: ServiceView) -> None:
        self._service = service
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterable[Metric]:
        """All metrics of this moment."""
        scrape = _Scrape()
        self._read_service(scrape)
        for camera in self._service.cameras:
            _read_camera(scrape, camera)
        _read_board(scrape, self._service.board())
        yield from scrape.metrics()
        yield from self._process.collect()

    def _read_service(self, scrape: "_Scrape") -> None:
        service = self._service
        scrape.info("build", (), {"version": _own_version(), "python": platform.python_version()})
        scrape.value("ready", (), service.ready)
        scrape.value("troubles", (), len(service.troubles()))
        scrape.value("config_reloads", (), service.reloads)


class _Scrape:
    """The families of one scrape, filled one sample at a time."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        for family in FAMILIES:
            name, labels = f"edge_detect_{family.name}", family.labels
            match family.kind:
                case "counter":
                    metric: Metric = CounterMetricFamily(name, family.help, labels=labels)
                case "gauge":
                    metric = GaugeMetricFamily(name, family.help, labels=labels)
                case "histogram":
                    metric = HistogramMetricFamily(name, family.help, labels=labels)
                case "info":
                    # The labels of an info come with its value, but for the camera's name.
                    metric = InfoMetricFamily(
                        name, family.help, labels=[each for each in labels if each == "camera"]
                    )
            self._families[family.name] = metric

    def metrics(self) -> Iterator[Metric]:
        """Those that have something to say."""
        return (metric for metric in self._families.values() if metric.samples)

    def value(self, name: str, labels: Sequence[str], value: float | None) -> None:
        """A gauge or counter; None where it is not known."""
        metric = self._families[name]
        if value is not None and isinstance(metric, CounterMetricFamily | GaugeMetricFamily):
            metric.add_metric([_printable(label) for label in labels], float(value))

    def info(self, name: str, labels: Sequence[str], values: dict[str, str]) -> None:
        """Texts."""
        metric = self._families[name]
        if isinstance(metric, InfoMetricFamily):
            texts = {key: _printable(value) for key, value in values.items()}
            metric.add_metric(list(labels), texts)

    def histogram(self, name: str, labels: Sequence[str], histogram: Histogram) -> None:
        """Durations in the `BUCKETS_S`."""
        metric = self._families[name]
        if isinstance(metric, HistogramMetricFamily):
            counts = [*histogram.counts_up_to(_BUCKETS_NS), histogram.count]
            bounds = zip((*_BUCKET_NAMES, "+Inf"), map(float, counts), strict=True)
            metric.add_metric(
                [_printable(label) for label in labels],
                list(bounds),
                histogram.total_ns / NS_PER_S,
            )


def _read_camera(scrape: _Scrape, camera: CameraView) -> None:
    labels = (camera.name,)
    state, totals = camera.state(), camera.totals()
    scrape.value("camera_up", labels, state.phase == "running")
    scrape.value("camera_enabled", labels, state.enabled)
    scrape.value("camera_restarts", labels, state.restarts)
    scrape.value("camera_max_fps", labels, camera.settings.max_fps)
    scrape.value("score_threshold", labels, state.score_threshold)
    _read_status(scrape, camera.name, state.status)
    if totals is not None:
        _read_totals(scrape, camera.name, totals)


def _read_status(scrape: _Scrape, camera: str, status: PipelineStatus | None) -> None:
    source_state = None if status is None else status.source.state
    # Of a camera without a pipeline it is known, too, that no frames come.
    scrape.value("source_up", (camera,), source_state == "live")
    if status is None:
        return
    model = status.model
    scrape.info("camera", (camera,), {"model": model.name, "runtime": model.runtime})
    scrape.value("accelerator_away", (camera,), bool(model.away))
    for state in _STATES:
        scrape.value("source_state", (camera, state), state == source_state)
    # Prometheus refuses a whole scrape that has one series twice: sinks of one name are one.
    up: dict[str, bool] = {}
    viewers: dict[str, int] = {}
    for sink in status.sinks:
        up[sink.name] = up.get(sink.name, True) and sink.state == "open"
        if sink.viewers is not None:
            viewers[sink.name] = viewers.get(sink.name, 0) + sink.viewers
    for name, is_up in up.items():
        scrape.value("sink_up", (camera, name), is_up)
    for name, count in viewers.items():
        scrape.value("sink_viewers", (camera, name), count)


def _read_totals(scrape: _Scrape, camera: str, totals: Totals) -> None:
    for stage, count in totals.frames.items():
        scrape.value("frames", (camera, stage), count)
    for stage, count in {**dict.fromkeys(_DROPPING, 0), **totals.dropped}.items():
        scrape.value("frames_dropped", (camera, stage), count)
    scrape.value("detections", (camera,), totals.detections)
    scrape.value("source_reconnects", (camera,), totals.reconnects)
    for duration in DURATIONS:
        if duration in totals.durations:
            name = duration_name(duration)
            scrape.histogram(name, (camera,), totals.durations[duration])
    for name, sink in totals.sinks.items():
        labels = (camera, name)
        scrape.value("sink_encoded", labels, sink.encoded)
        scrape.value("sink_dropped", labels, sink.dropped)
        scrape.value("sink_failures", labels, sink.failures)
        scrape.histogram("capture_to_encode_seconds", labels, sink.capture_to_encode)


def _read_board(scrape: _Scrape, board: BoardReading) -> None:
    scrape.value("threads", (), board.threads)
    scrape.value("board_temperature_celsius", (), board.temperature_c)
    scrape.value("board_frequency_hertz", (), board.frequency_hz)
    scrape.value("board_frequency_limit_hertz", (), board.frequency_limit_hz)
    if board.throttling is None:
        return
    for field in fields(Throttling):
        reason = field.name.removesuffix(_SINCE_BOOT)
        family = "board_throttling" + field.name.removeprefix(reason)
        scrape.value(family, (reason,), getattr(board.throttling, field.name))


def _printable(text: str) -> str:
    """The text without what UTF-8 cannot carry: paths may hold any bytes."""
    return text.encode("utf-8", "replace").decode()


@cache
def _own_version() -> str:
    # Reading the package's metadata costs a millisecond or two.
    return version("edge-detect")
