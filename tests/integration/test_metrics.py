"""A real Prometheus scrapes the endpoint, evaluates the alerts and answers the dashboard."""

import dataclasses
import html
import importlib
import json
import logging
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from support.busy_service import Work, busy_service
from support.ports import free_port
from support.servers.prometheus import Prometheus, prometheus, promtool
from support.service_views import PlainService
from support.waiting import wait_for

from edge_detect.service.config.settings import MetricsSettings
from edge_detect.service.metrics.companion import MetricsCompanion
from edge_detect.service.metrics.reference import QUESTIONS

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
CAPTURED = 'edge_detect_frames_total{camera="yard", stage="captured"}'
DASHBOARD = ROOT / "deploy/grafana/edge-detect.json"


@contextmanager
def serving(service: PlainService, port: int | None = None) -> Iterator[str]:
    """The companion at work; gives its address."""
    port = port or free_port()
    companion = MetricsCompanion(MetricsSettings(listen=f"127.0.0.1:{port}"))
    companion.start(service)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        companion.stop()
        assert companion.trouble() == ""


class Watched:
    """A Prometheus, and the service that it watches."""

    def __init__(self, asked: Prometheus, service: PlainService, works: list[Work]) -> None:
        self.prometheus = asked
        self.service = service
        self.works = works

    def go_on(self) -> None:
        """Let all cameras work for a second."""
        for camera, work in zip(self.service.cameras, self.works, strict=True):
            camera.counted = work.go_on()

    def wait_for_data(self, query: str) -> None:
        """Wait until a query has an answer that is not empty."""
        wait_for(lambda: self.prometheus.query(query), 30)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A service that Prometheus has seen at work."""
    service, works = busy_service()
    with serving(service) as address:
        port = int(address.rpartition(":")[2])
        with prometheus(tmp_path_factory.mktemp("prometheus"), port, ALERTS) as asked:
            watched = Watched(asked, service, works)
            # A rate needs two scrapes, and counts that grew between them.
            for _ in range(3):
                watched.go_on()
                asked.wait_for_value(CAPTURED, works[0].frames)
            yield watched


def test_prometheus_takes_the_scrape_as_it_is(watched: Watched):
    watched.prometheus.wait_for_value('up{job="edge-detect"}', 1)
    target = watched.prometheus.ask("targets")["activeTargets"][0]
    assert target["lastError"] == ""


def test_prometheus_knows_our_numbers(watched: Watched):
    wait_for_value, frames = watched.prometheus.wait_for_value, watched.works[0].frames
    wait_for_value('edge_detect_frames_total{camera="yard", stage="detected"}', frames - 3)
    wait_for_value('edge_detect_detections_total{camera="yard"}', 2 * frames)
    wait_for_value('edge_detect_capture_to_detect_seconds_count{camera="yard"}', frames)
    wait_for_value('edge_detect_source_up{camera="door"}', 0)
    wait_for_value("edge_detect_board_temperature_celsius", 61.5)
    wait_for_value("edge_detect_config_reloads_total", 2)


def test_prometheus_computes_the_percentiles_that_we_log(watched: Watched):
    ours = watched.works[0].totals().durations["capture_to_detect"].percentiles()
    for share, wanted_ms in ((0.5, ours.p50), (0.99, ours.p99)):
        theirs = watched.prometheus.value(
            f"histogram_quantile({share}, last_over_time("
            'edge_detect_capture_to_detect_seconds_bucket{camera="yard"}[1m]))'
        )
        assert theirs is not None
        # Within a bucket it has to guess: 10 to 15 ms, 20 to 30 ms.
        assert theirs * 1000 == pytest.approx(wanted_ms, rel=0.3)


def test_every_alert_can_be_evaluated_and_only_what_is_wrong_is_pending(watched: Watched):
    def rules() -> list[dict[str, object]]:
        return list(watched.prometheus.ask("rules")["groups"][0]["rules"])

    def raised() -> list[object]:
        return [rule["name"] for rule in rules() if rule["state"] != "inactive"]

    wait_for(lambda: all(rule["health"] == "ok" for rule in rules()), 30)
    wait_for(lambda: raised() == ["EdgeDetectCameraLost"], 30)


def test_every_panel_of_the_dashboard_has_data(watched: Watched, dashboard_script: ModuleType):
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["panels"]
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = dashboard_script.fill_in(target["expr"], "30s")
            assert "$" not in query
            watched.wait_for_data(query)


def test_the_choices_of_the_dashboard_are_there(watched: Watched):
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    for variable in variables:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
            assert match is not None
            query = match[1].replace("$instance", ".*")
            watched.wait_for_data(query)
            found = watched.prometheus.query(f"last_over_time({query}[1m])")
            assert all(match[2] in labels for labels, _ in found)
            assert found


def test_the_page_drawn_from_the_dashboard_shows_its_panels(
    watched: Watched, dashboard_script: ModuleType
):
    page, height = dashboard_script.render(watched.prometheus.address, 60, "30s")
    titles = [panel["title"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    assert all(f"<h2>{html.escape(title)}</h2>" in page for title in titles)
    assert page.count("<section") == len(titles)
    assert "no data" not in page
    assert height > 500


def test_every_question_of_the_reference_has_an_answer(watched: Watched):
    for query in QUESTIONS.values():
        watched.wait_for_data(query.replace("[5m]", "[30s]"))


def test_promtool_finds_nothing_to_criticise():
    with serving(busy_service()[0]) as address:
        text = httpx.get(f"{address}/metrics", headers={"Accept": "text/plain"}).content
    assert promtool("check", "metrics", given=text) == ""


def test_promtool_takes_the_example_and_its_alerts():
    said = promtool("check", "config", str(ALERTS.with_name("prometheus.yml")))
    assert "SUCCESS" in said


def test_every_alert_fires_when_it_should_and_not_before():
    names = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    tests = ALERTS.with_name("alerts_test.yml")
    tested = re.findall(r"- name: (\w+)", tests.read_text())
    assert sorted(names) == sorted(tested)
    for name in names:
        # Once silent, once with what it says.
        assert tests.read_text().count(f"- alertname: {name}\n") == 2
    assert "SUCCESS" in promtool("test", "rules", str(tests))


def test_who_asks_for_openmetrics_gets_it_and_others_the_older_form():
    with serving(busy_service()[0]) as address:
        modern = {"Accept": "application/openmetrics-text; version=1.0.0"}
        new = httpx.get(f"{address}/metrics", headers=modern)
        old = httpx.get(f"{address}/metrics", headers={"Accept": "*/*"})
    assert new.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert new.text.endswith("# EOF\n")
    assert old.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# EOF" not in old.text


@pytest.mark.parametrize("form", ["text/plain", "application/openmetrics-text"])
def test_who_asks_for_a_version_that_is_none_is_answered(form: str):
    with serving(busy_service()[0]) as address:
        answer = httpx.get(f"{address}/metrics", headers={"Accept": f"{form};version=newest"})
    assert answer.status_code == 200
    assert "edge_detect_build_info" in answer.text


def test_health_is_what_the_service_says_of_itself():
    service = busy_service()[0]
    with serving(service) as address:
        assert httpx.get(f"{address}/healthz").json() == {"healthy": True, "troubles": []}
        service.reasons = ["yard: the detector is stuck for 25 s"]
        answer = httpx.get(f"{address}/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"healthy": False, "troubles": service.reasons}


def test_ready_is_answered_with_the_phase_of_every_camera():
    service = busy_service()[0]
    service.ready = False
    camera = service.cameras[1]
    camera.now = dataclasses.replace(camera.now, phase="starting")
    with serving(service) as address:
        answer = httpx.get(f"{address}/readyz")
        service.ready = True
        later = httpx.get(f"{address}/readyz")
    assert (answer.status_code, later.status_code) == (503, 200)
    assert answer.json() == {"ready": False, "cameras": {"yard": "running", "door": "starting"}}


def test_head_is_get_without_a_body_and_all_else_is_refused():
    with serving(busy_service()[0]) as address:
        for path in ("/metrics", "/healthz", "/readyz"):
            answer = httpx.head(address + path)
            assert (answer.status_code, answer.content) == (200, b"")
        assert httpx.get(f"{address}/").status_code == 404
        assert httpx.get(f"{address}/metrics/yard").status_code == 404
        assert httpx.post(f"{address}/metrics").status_code == 405


def test_clients_that_never_finish_do_not_keep_prometheus_out():
    with serving(busy_service()[0]) as address:
        port = int(address.rpartition(":")[2])
        stuck = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        try:
            for each in stuck[::2]:
                each.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
            assert httpx.get(f"{address}/metrics", timeout=10).status_code == 200
        finally:
            for each in stuck:
                each.close()


def test_a_port_that_is_taken_is_served_once_it_is_free(caplog: pytest.LogCaptureFixture):
    port = free_port()
    with (
        closing(socket.create_server(("127.0.0.1", port))) as other,
        serving(PlainService(), port) as address,
    ):
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "in use" in caplog.text
        other.close()
        wait_for(lambda: _answers(address), 20)
    assert logging.getLevelName(caplog.records[-1].levelno) == "WARNING"
    assert "answering" in caplog.records[-1].getMessage()


def test_the_port_is_free_right_after_the_end():
    port = free_port()
    for _ in range(3):
        with serving(PlainService(), port) as address:
            assert _answers(address)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def dashboard_script() -> Iterator[ModuleType]:
    """The script that draws the dashboard."""
    folder = str(ROOT / "scripts")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("render_dashboard")
    finally:
        sys.path.remove(folder)
