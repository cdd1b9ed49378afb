"""What the exporter says of a service, read back by the parsers of Prometheus' own client."""

import dataclasses
import re
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.busy_service import SINK, busy_service
from support.service_views import PlainCamera, PlainService, a_sink_status, a_status

from edge_detect.core.board import BoardReading
from edge_detect.service.companion import CameraState
from edge_detect.service.metrics.exporter import ServiceCollector
from edge_detect.service.metrics.families import BUCKETS_S, FAMILIES
from edge_detect.service.metrics.reference import describe_metrics

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(service: PlainService) -> Samples:
    """All samples by name and labels; a series that is there twice fails."""
    samples: Samples = {}
    for family in text_string_to_metric_families(
        generate_latest(ServiceCollector(service)).decode()
    ):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"edge_detect_{name}", tuple(sorted(labels.items()))))


def test_every_family_of_a_busy_pi_is_told():
    names = {name for name, _ in scrape(busy_service()[0])}
    for family in FAMILIES:
        suffix = "_bucket" if family.kind == "histogram" else ""
        assert family.full_name + suffix in names


def test_counters_are_those_of_the_camera():
    service, works = busy_service()
    samples = scrape(service)
    frames = works[0].frames
    assert value(samples, "frames_total", camera="yard", stage="captured") == frames
    assert value(samples, "frames_total", camera="yard", stage="detected") == frames - 3
    assert value(samples, "frames_dropped_total", camera="yard", stage="detect") == 3
    assert value(samples, "detections_total", camera="yard") == 2 * frames
    assert value(samples, "source_reconnects_total", camera="yard") == 1
    assert value(samples, "camera_restarts_total", camera="yard") == 1
    assert value(samples, "sink_encoded_total", camera="yard", sink=SINK) == frames
    assert value(samples, "sink_failures_total", camera="yard", sink=SINK) == 2
    assert value(samples, "sink_viewers", camera="yard", sink=SINK) == 2
    assert value(samples, "config_reloads_total") == 2


def test_a_stage_that_dropped_nothing_says_zero_so_that_its_first_drop_shows():
    samples = scrape(busy_service()[0])
    assert value(samples, "frames_dropped_total", camera="yard", stage="render") == 0


def test_histograms_are_cumulative_in_seconds_and_end_with_their_count():
    service, works = busy_service()
    samples = scrape(service)
    name = "capture_to_detect_seconds"
    buckets = [
        value(samples, f"{name}_bucket", camera="yard", le=bound)
        for bound in (*map(str, BUCKETS_S), "+Inf")
    ]
    assert None not in buckets
    assert buckets == sorted(buckets)
    frames = works[0].frames
    assert buckets[-1] == value(samples, f"{name}_count", camera="yard") == frames
    # Nine of ten frames take 12 ms, and one takes 24 ms.
    assert value(samples, f"{name}_bucket", camera="yard", le="0.01") == 0
    assert value(samples, f"{name}_bucket", camera="yard", le="0.015") == frames * 0.9
    total_s = value(samples, f"{name}_sum", camera="yard")
    assert total_s == pytest.approx(frames * (0.9 * 0.012 + 0.1 * 0.024))


def test_a_camera_that_is_away_is_down_and_says_in_which_state():
    samples = scrape(busy_service()[0])
    assert value(samples, "source_up", camera="door") == 0
    assert value(samples, "source_state", camera="door", state="lost") == 1
    assert value(samples, "source_state", camera="door", state="live") == 0


def test_a_camera_without_a_pipeline_is_down_and_counts_nothing():
    camera = PlainCamera("new", now=CameraState("failed", "no such model"))
    samples = scrape(PlainService([camera]))
    assert value(samples, "source_up", camera="new") == 0
    assert value(samples, "camera_up", camera="new") == 0
    assert value(samples, "frames_total", camera="new", stage="captured") is None


def test_what_a_board_does_not_tell_has_no_series():
    service = PlainService(reading=BoardReading(0))
    names = {name for name, _ in scrape(service)}
    assert not any(name.startswith("edge_detect_board") for name in names)
    assert "process_resident_memory_bytes" in names


def test_throttling_now_and_since_boot_are_told_apart():
    samples = scrape(busy_service()[0])
    assert value(samples, "board_throttling", reason="under_voltage") == 0
    assert value(samples, "board_throttling_since_boot", reason="under_voltage") == 1


def test_two_sinks_of_one_name_are_one_series_that_is_up_only_if_both_are():
    failed = dataclasses.replace(a_sink_status(), state="failed", viewers=None)
    camera = PlainCamera(
        now=CameraState("running", status=a_status(sinks=(a_sink_status(), failed)))
    )
    samples = scrape(PlainService([camera]))
    assert value(samples, "sink_up", camera="yard", sink="rtsp://:8554/yard") == 0
    assert value(samples, "sink_viewers", camera="yard", sink="rtsp://:8554/yard") == 2


@pytest.mark.parametrize("name", ['file://a "b"\\c', "two\nlines", "no utf-8 \udcff"])
def test_any_name_of_a_sink_can_be_read_back(name):
    camera = PlainCamera(now=CameraState("running", status=a_status(sinks=(a_sink_status(name),))))
    samples = scrape(PlainService([camera]))
    shown = name.replace("\udcff", "?")
    assert value(samples, "sink_up", camera="yard", sink=shown) == 1


def test_openmetrics_is_read_by_the_strict_parser():
    text = openmetrics.generate_latest(ServiceCollector(busy_service()[0])).decode()
    families = {family.name: family.type for family in read_openmetrics(text)}
    assert families["edge_detect_frames"] == "counter"
    assert families["edge_detect_invoke_seconds"] == "histogram"
    assert families["edge_detect_build"] == "info"


def test_no_two_families_share_a_name_and_all_have_base_units():
    names = [family.full_name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.endswith(("_ms", "_percent", "_mb", "_ns"))]


@pytest.mark.parametrize("path", ["prometheus/alerts.yml", "grafana/edge-detect.json"])
def test_alerts_and_dashboard_ask_for_metrics_that_there_are(path: str):
    text = (Path(__file__).parents[2] / "deploy" / path).read_text()
    known = {family.full_name for family in FAMILIES}
    asked = set(re.findall(r"edge_detect_[a-z_]+", text))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= known
    assert len(asked) > 5


def test_the_reference_is_what_the_table_of_families_says():
    path = Path(__file__).parents[2] / "docs/metrics.md"
    assert path.read_text() == describe_metrics(), (
        "run: python -m edge_detect.service.metrics.reference > docs/metrics.md"
    )
