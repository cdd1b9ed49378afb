"""One page for all cameras, asked by real clients over real connections."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import httpx
import pytest
from support.ports import free_port
from support.service_views import PlainCamera
from support.waiting import HANG_S, PROMPT_S, promptly, wait_for
from support.web_clients import PATIENT, SIZE, decode, read_parts
from support.web_hub import MovingCamera, served_hub

from edge_detect.core.backoff import Backoff
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import CameraSettings
from edge_detect.service.web.reports import CamerasReport
from edge_detect.sinks.web.reports import DetectionsReport, StateReport

PASSWORD = "correct-horse"  # noqa: S105 - of this test alone
PREFIXES = ("", "cameras/yard/")


@pytest.fixture(scope="module")
def one_hub():
    """The page of two cameras that move, for all tests that leave it as it is."""
    with served_hub(MovingCamera("yard"), MovingCamera("door")) as served:
        yield served


@pytest.fixture
def hub(one_hub):
    """The page of two cameras that nobody looks at, and a client."""
    for camera in one_hub.service.cameras:
        wait_for(lambda sink=camera.sinks[0]: sink.viewers == 0 and not sink.wants_picture)
        camera.reset()
    one_hub.service.reasons = []
    with one_hub.client() as web:
        yield one_hub, web


@pytest.fixture
def own_hub():
    """The same for one test, which takes it apart."""
    with served_hub(MovingCamera("yard"), MovingCamera("door")) as served, served.client() as web:
        yield served, web


def test_each_camera_has_its_page_and_its_interface_below_its_name(hub):
    served, web = hub
    yard, door = served.service.cameras
    door.set_source(state="stalled", for_s=4.0)
    # An answer is kept for a tenth of a second.
    path = "/cameras/door/api/state"
    wait_for(lambda: web.get(path).json()["source"]["state"] == "stalled")
    assert web.get("/cameras/yard").headers["location"] == "yard/"
    for name, state in (("yard", "live"), ("door", "stalled")):
        report = StateReport.model_validate(web.get(f"/cameras/{name}/api/state").json())
        assert (report.camera, report.source.state) == (name, state)
        wait_for(lambda name=name: web.get(f"/cameras/{name}/api/detections").status_code == 200)
        DetectionsReport.model_validate(web.get(f"/cameras/{name}/api/detections").json())
        picture = web.get(f"/cameras/{name}/snapshot.jpg?width=320")
        assert decode(picture.content).shape[1] == 320
    with web.stream("GET", "/cameras/yard/stream.mjpg") as answer:
        assert len(list(islice(read_parts(answer), 5))) == 5
    with web.stream("GET", "/cameras/door/api/detections/stream") as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        DetectionsReport.model_validate(json.loads(next(lines).removeprefix("data: ")))
    assert yard.first.slowest_s < PROMPT_S
    assert door.first.slowest_s < PROMPT_S


def test_all_that_pages_refer_to_is_there(hub):
    _, web = hub
    for page in ("/", "/docs", "/cameras/yard/", "/cameras/yard/docs"):
        text = web.get(page).text
        base = httpx.URL(f"{web.base_url}").join(page)
        names = [part.partition('"')[0] for part in text.split('="static/')[1:]]
        assert len(names) >= 4, page
        for name in names:
            assert web.get(base.join(f"static/{name}")).status_code == 200, (page, name)


def test_all_cameras_are_told_with_state_rates_latency_and_what_is_seen(hub):
    served, web = hub
    yard, door = served.service.cameras
    door.set_source(state="lost", for_s=61.0, reason="the cable is out")
    wait_for(lambda: web.get("/api/cameras").json()["cameras"][0]["in_view"])
    report = CamerasReport.model_validate(web.get("/api/cameras").json())
    first, second = report.cameras
    assert (first.name, first.path, first.state) == ("yard", "/cameras/yard/", "live")
    assert first.captured_fps == yard.status.rates["captured"]
    assert first.capture_to_detect.p50 == 10
    assert sum(first.in_view.values()) == 3
    assert (second.state, second.for_s, second.reason) == ("lost", 61.0, "the cable is out")
    assert second.in_view == {}
    assert report.ready


def test_the_front_page_is_that_of_the_only_camera_or_of_all(own_hub):
    served, web = own_hub
    assert "overview.js" in web.get("/").text
    served.remove(served.service.cameras[1])
    assert web.get("/").headers["location"] == "cameras/yard/"
    assert "app.js" in web.get("/", follow_redirects=True).text
    served.remove(served.service.cameras[0])
    assert "overview.js" in web.get("/").text


def test_nothing_is_drawn_for_a_camera_that_nobody_looks_at(hub):
    served, web = hub
    yard, door = served.service.cameras
    with web.stream("GET", "/cameras/yard/stream.mjpg") as answer:
        parts = read_parts(answer)
        list(islice(parts, 10))
        assert yard.sinks[0].viewers == 1
        parts.close()
    assert yard.first.drawn >= 10
    assert door.first.drawn == 0
    wait_for(lambda: yard.sinks[0].viewers == 0)


def test_cameras_come_and_go_and_viewers_of_others_do_not_notice(own_hub):
    served, web = own_hub
    door = served.service.cameras[1]
    with (
        web.stream("GET", "/cameras/yard/stream.mjpg") as stays,
        web.stream("GET", "/cameras/door/stream.mjpg") as goes,
    ):
        staying, going = read_parts(stays), read_parts(goes)
        next(staying), next(going)
        served.remove(door)
        assert len(list(going)) < 10
        assert web.get("/cameras/door/api/state").status_code == 404
        assert door.sinks == []
        with promptly():
            assert len(list(islice(staying, 10))) == 10
        served.add(MovingCamera("street"))
        assert web.get("/cameras/street/snapshot.jpg").status_code == 200
        assert [each["name"] for each in web.get("/api/cameras").json()["cameras"]] == [
            "yard",
            "street",
        ]
        for _ in range(10):
            next(staying)


def test_viewers_stay_while_their_camera_is_started_again(own_hub):
    served, web = own_hub
    yard = served.service.cameras[0]
    sink = yard.sinks[0]
    with web.stream("GET", "/cameras/yard/stream.mjpg") as answer:
        parts = read_parts(answer)
        next(parts)
        failed = time.monotonic()
        yard.detach(sink)
        yard.now = CameraState("failed", "the model file is gone", 1)
        report = StateReport.model_validate(web.get("/cameras/yard/api/state").json())
        assert (report.source.state, report.source.reason) == ("lost", "the model file is gone")
        [told, _] = web.get("/api/cameras").json()["cameras"]
        assert (told["state"], told["reason"]) == ("failed", "the model file is gone")
        assert 0 < told["for_s"] < time.monotonic() - failed
        yard.now = CameraState("running")
        yard.attach(sink)
        for _ in range(5):
            next(parts)


def test_a_camera_that_never_ran_tells_no_password_of_its_source():
    settings = CameraSettings(source="rtsp://anna:hunter22@10.0.0.9/live", model="shapes")
    camera = PlainCamera("yard", settings, now=CameraState("starting"))
    with served_hub(camera) as served, served.client() as web:
        state = web.get("/cameras/yard/api/state")
        everything = web.get("/api/cameras")
    assert state.json()["source"]["name"] == "rtsp://10.0.0.9/live"
    assert everything.json()["cameras"][0]["state"] == "starting"
    assert "hunter22" not in state.text + everything.text


def test_detection_is_switched_and_the_threshold_set_for_one_camera(hub):
    served, web = hub
    yard, door = served.service.cameras
    answer = web.put("/cameras/yard/api/controls", json={"enabled": False})
    assert answer.json() == {"changeable": True, "enabled": False, "score_threshold": None}
    web.put("/cameras/yard/api/controls", json={"score_threshold": 0.62})
    assert (yard.state().enabled, yard.state().score_threshold) == (False, 0.62)
    assert (door.state().enabled, door.state().score_threshold) == (True, None)
    assert web.get("/cameras/yard/api/state").json()["controls"]["score_threshold"] == 0.62
    for wrong in ({"score_threshold": 1.5}, {"enabled": "perhaps"}, {"speed": 1}, [1]):
        assert web.put("/cameras/yard/api/controls", json=wrong).status_code == 422


def test_a_least_score_that_is_no_number_is_refused_like_any_other_mistake(hub, caplog):
    _, web = hub
    answer = web.put(
        "/cameras/yard/api/controls",
        content=b'{"score_threshold": NaN}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert "less than or equal to 1" in answer.json()["detail"][0]["msg"]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (403, {"Origin": "http://elsewhere.example"}, b"{}"),
        (403, {"Sec-Fetch-Site": "same-site"}, b"{}"),
        (415, {"Content-Type": "text/plain"}, b"{}"),
        (413, {}, b'{"enabled": true' + b" " * 2000 + b"}"),
        (421, {"Host": "elsewhere.example"}, b"{}"),
    ],
)
def test_other_sites_and_senseless_bodies_change_nothing(hub, status, headers, body):
    served, web = hub
    headers = {"Content-Type": "application/json", **headers}
    path = "/cameras/yard/api/controls"
    assert web.put(path, content=body, headers=headers).status_code == status
    for method, other in (("POST", path), ("DELETE", path), ("PUT", "/cameras/yard/api/state")):
        assert web.request(method, other, json={"enabled": False}).status_code == 405
    assert served.service.cameras[0].state().enabled


def test_the_password_guards_all_but_the_state_of_health():
    cameras = (MovingCamera("yard"), MovingCamera("door"))
    with served_hub(*cameras, user="anna", password=PASSWORD) as served:
        with served.client() as stranger:
            for prefix in PREFIXES:
                for path in ("", "docs", "openapi.json", "api/cameras", "static/base.css"):
                    assert stranger.get(f"/{prefix}{path}").status_code == 401
            for path in ("/metrics", "/report", "/cameras/yard/stream.mjpg", "/cameras/nothing/"):
                assert stranger.get(path).status_code == 401
            change = stranger.put("/cameras/yard/api/controls", json={"enabled": False})
            assert change.status_code == 401
            assert stranger.get("/healthz").json()["healthy"]
            assert stranger.get("/readyz").json()["ready"]
        with served.client(auth=("anna", PASSWORD)) as friend:
            assert friend.get("/api/cameras").status_code == 200
            assert b"edge_detect_" in friend.get("/metrics").content
            change = friend.put("/cameras/yard/api/controls", json={"enabled": False})
            assert not change.json()["enabled"]


def test_without_a_password_the_network_may_look_but_change_nothing(caplog):
    listen = f"127.0.0.1:{free_port()}".replace("127.0.0.1", "0.0.0.0")  # noqa: S104 - the point
    with served_hub(MovingCamera("yard"), listen=listen) as served:
        address = served.address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert not httpx.get(f"{address}cameras/yard/api/state").json()["controls"]["changeable"]
        change = httpx.put(f"{address}cameras/yard/api/controls", json={"enabled": False})
        assert change.status_code == 403
        assert "password" in change.json()["detail"]
        assert served.service.cameras[0].state().enabled
    assert "open to everyone" in caplog.text


def test_health_tells_what_is_wrong(hub):
    served, web = hub
    served.service.reasons = ["detector 'a' is stuck"]
    answer = web.get("/healthz")
    assert (answer.status_code, answer.json()["troubles"]) == (503, ["detector 'a' is stuck"])
    assert web.get("/api/cameras").json()["troubles"] == ["detector 'a' is stuck"]


class CountingBackoff(Backoff):
    """Waits shortly, and counts how often."""

    def __init__(self):
        super().__init__(0.02, 0.02)
        self.waits = 0

    def next_s(self):
        self.waits += 1
        return super().next_s()


def test_a_port_that_is_taken_is_said_once_and_had_when_it_is_free(caplog, our_threads):
    backoff = CountingBackoff()
    with socket.create_server(("127.0.0.1", free_port())) as other:
        endpoint = f"127.0.0.1:{other.getsockname()[1]}"
        with served_hub(MovingCamera("yard"), listen=endpoint, backoff=backoff) as served:
            wait_for(lambda: backoff.waits > 3)
            assert [record.message for record in caplog.records].count(
                f"web page: port {endpoint.rpartition(':')[2]} of 127.0.0.1 is in use by another"
                " program; trying again until it works"
            ) == 1
            assert served.companion.trouble() == ""
            other.close()
            wait_for(lambda: answers(served.address))
        assert our_threads() == []


def answers(address):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}healthz").status_code == 200
    return False


def test_a_server_that_dies_comes_back_for_all_cameras(own_hub, caplog):
    served, web = own_hub
    with web.stream("GET", "/cameras/yard/api/detections/stream") as answer:
        next(answer.iter_lines())
        served.companion._server.call_soon(crash)
        wait_for(lambda: "starting another" in caplog.text)
    wait_for(lambda: answers(served.address))
    with web.stream("GET", "/cameras/yard/api/detections/stream") as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        assert len(list(islice(lines, 5))) == 5
    assert decode(web.get("/cameras/door/snapshot.jpg").content).shape[1] == SIZE.width
    assert served.companion.trouble() == ""


def crash():
    raise SystemExit


def test_stopping_waits_for_no_viewer_and_leaves_nothing(our_threads):
    camera, timeouts = MovingCamera("yard"), replace(PATIENT, stuck_s=HANG_S, stop_s=HANG_S)
    with (
        served_hub(camera, MovingCamera("door"), timeouts=timeouts) as served,
        served.client() as web,
    ):
        with web.stream("GET", "/cameras/yard/stream.mjpg") as answer:
            parts = read_parts(answer)
            next(parts)
            with promptly():
                served.companion.stop()
        assert camera.sinks == []
        assert our_threads() == []
        served.companion.stop()


def test_a_report_that_cannot_be_made_says_why_and_one_that_can_brings_its_style(tmp_path):
    with (
        served_hub(MovingCamera("yard"), state_directory=tmp_path) as served,
        served.client() as web,
    ):
        answer = web.get("/report")
        assert answer.status_code == 503
        assert "There is no report" in answer.json()["detail"]
        assert web.get("/report?hours=0").status_code == 422


def test_the_end_of_the_program_waits_for_no_report(tmp_path):
    stuck = tmp_path / "metrics" / "2026-01-01.csv"
    stuck.parent.mkdir()
    # Opening it takes until somebody writes: a disk that hangs.
    os.mkfifo(stuck)
    script = (
        "import contextlib, httpx, pathlib, sys, threading\n"
        "from support.waiting import wait_for\n"
        "from support.web_hub import MovingCamera, served_hub\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with served_hub(MovingCamera(), state_directory=folder) as served:\n"
        "    with served.client() as web, contextlib.suppress(httpx.ReadTimeout):\n"
        "        web.get('report', timeout=httpx.Timeout(60, read=0.3))\n"
        "        sys.exit('it was made')\n"
        "    names = lambda: [thread.name for thread in threading.enumerate()]\n"
        "    wait_for(lambda: 'edge-web-report' in names())\n"
    )
    path = os.pathsep.join(map(str, Path(__file__).parents[1:3]))
    subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=HANG_S,
    )
