"""The page's beginning and end: where it listens, what it says, what it leaves behind."""

import logging
import socket
import subprocess
import sys
import threading
from itertools import islice

import httpx
import psutil
import pytest
from support.ports import free_port
from support.waiting import HANG_S, PROMPT_S, promptly, wait_for
from support.web_clients import Camera, connect, read_parts, served

import edge_detect as ed
from edge_detect.core import SinkError
from edge_detect.sinks import open_sink
from edge_detect.sinks.web.reports import StateReport
from edge_detect.sinks.web.timeouts import Timeouts


@pytest.fixture
def page():
    """A page that is fed by a camera: the sink, the camera, a client."""
    timeouts = Timeouts(request_s=HANG_S, stuck_s=HANG_S, stop_s=HANG_S)
    with (
        served(timeouts=timeouts, port=free_port()) as (sink, camera),
        client_of(sink) as client,
    ):
        yield sink, camera, client


def client_of(sink, **options):
    return httpx.Client(base_url=sink.address, timeout=PROMPT_S, **options)


def test_opening_a_port_that_is_taken_says_what_to_do(page):
    sink, camera, _ = page
    port = httpx.URL(sink.address).port
    with pytest.raises(SinkError, match=f"port {port} .*in use") as caught:
        open_sink(f"http://127.0.0.1:{port}").open(camera.stream)
    assert not caught.value.transient
    assert "ss -ltnp" in caught.value.hint


def test_an_address_of_another_machine_may_become_ours():
    with pytest.raises(SinkError, match="no network interface") as caught:
        open_sink("http://192.0.2.1:8080").open(Camera().stream)
    assert caught.value.transient


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two..dots", "x" * 64])
def test_a_name_that_is_none_will_never_be_an_address(host):
    with pytest.raises(SinkError, match="no address to listen at") as caught:
        open_sink(f"http://{host}:8080").open(Camera().stream)
    assert not caught.value.transient


def test_closing_waits_for_no_viewer_and_the_page_opens_again(page, our_threads):
    sink, camera, client = page
    port = httpx.URL(sink.address).port
    with (
        client.stream("GET", "/stream.mjpg") as watched,
        client.stream("GET", "/api/detections/stream") as heard,
        connect(sink, b"GET / HT"),
    ):
        parts, lines = read_parts(watched), heard.iter_lines()
        next(parts), next(lines)
        with promptly():
            sink.close()
    assert "edge-web" not in our_threads()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    sink.open(camera.stream)
    with client_of(sink) as again:
        assert again.get("/snapshot.jpg").status_code == 200


def test_many_openings_leave_no_threads_and_no_files_open():
    process = psutil.Process()

    def cycle():
        with served(Camera(50)) as (sink, _), client_of(sink) as client:
            with client.stream("GET", "/stream.mjpg") as answer:
                next(read_parts(answer))
            assert client.get("/api/state").status_code == 200

    cycle()
    files, threads = process.num_fds(), threading.active_count()
    for _ in range(5):
        cycle()
    wait_for(lambda: threading.active_count() <= threads)
    wait_for(lambda: process.num_fds() <= files)


def test_a_server_that_dies_is_an_error_that_is_worth_another_try(our_threads):
    camera = Camera()
    with pytest.raises(SinkError, match="has ended") as caught, served(camera) as (sink, _):
        assert httpx.get(f"{sink.address}api/state").status_code == 200
        sink._server.call_soon(crash)
        wait_for(lambda: camera.error is not None)
    assert caught.value.transient
    assert "edge-web" not in our_threads()


def crash():
    raise SystemExit


def test_where_the_page_is_and_who_can_see_it_is_said_once(caplog):
    caplog.set_level(logging.INFO)
    with served() as (sink, _):
        assert sink.address in caplog.text
        assert "this machine only" in caplog.text
    caplog.clear()
    with served(host="0.0.0.0"):  # noqa: S104 - that it is told is the point
        assert "open to everyone" in caplog.text


def test_missing_packages_are_named_with_the_line_that_installs_them():
    program = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from edge_detect.core import DependencyError\n"
        "from edge_detect.sinks import open_sink\n"
        "try: open_sink('http://:8080')\n"
        "except DependencyError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_S, check=True
    )
    assert "'fastapi'" in run.stdout
    assert "pip install 'edge-detect[web]'" in run.stdout


@pytest.mark.model
def test_the_page_of_a_pipeline_tells_how_it_is_doing(our_threads):
    port = free_port()
    pipeline = ed.Pipeline(
        "synthetic://?size=640x360&fps=20&realtime=true",
        model="ssdlite-mobilenet-v2-pedestrian",
        threads=1,
        sinks=[f"http://:{port}"],
    )
    with pipeline, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        pipeline.start()
        wait_for(lambda: client.get("/api/detections").status_code == 200)
        with client.stream("GET", "/stream.mjpg") as answer:
            parts = read_parts(answer)
            assert len(list(islice(parts, 10))) == 10
            wait_for(lambda: client.get("/api/state").json()["sinks"][0]["encoded_fps"] > 0)
            state = client.get("/api/state").json()
            with promptly():
                pipeline.stop()
    StateReport.model_validate(state)
    assert state["source"]["state"] == "live"
    assert state["model"]["name"] == "ssdlite-mobilenet-v2-pedestrian"
    assert state["rates"]["rendered"] > 0
    assert state["durations_ms"]["boxes_age"]["n"] > 0
    [sink] = state["sinks"]
    assert (sink["name"], sink["state"], sink["viewers"]) == (f"http://127.0.0.1:{port}", "open", 1)
    assert sink["encoded_fps"] > 0
    assert sink["capture_to_encode"]["p50"] > 0
    assert our_threads() == []
