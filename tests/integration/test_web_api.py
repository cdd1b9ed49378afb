"""The page's HTTP interface, asked by real clients over real connections."""

import json
import logging
import os
import re
import socket
import subprocess
import threading
import time
from itertools import islice, pairwise

import httpx
import numpy as np
import pytest
from support.waiting import wait_for
from support.web_clients import SIZE, connect, decode, least_difference, read_parts, served

import edge_detect as ed
from edge_detect.sinks.web import streams
from edge_detect.sinks.web.reports import DetectionsReport, StateReport

TOKEN = "correct-horse-battery"  # noqa: S105 - of this test alone


@pytest.fixture
def page():
    """A page that is fed by a camera: the sink, the camera, a client."""
    with served() as (sink, camera), client_of(sink) as client:
        yield sink, camera, client


def client_of(sink, **options):
    return httpx.Client(base_url=sink.address, timeout=10, **options)


def our_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edge-")]


def test_state_tells_everything_that_the_pipeline_reports(page):
    _, camera, client = page
    camera.set_source(state="lost", for_s=12.5, reason="unplugged", reconnects=3)
    time.sleep(0.2)  # the state is kept for a tenth of a second
    answer = client.get("/api/state")
    assert answer.headers["cache-control"] == "no-store"
    state = answer.json()
    StateReport.model_validate(state)
    assert state["source"]["state"] == "lost"
    assert state["source"]["reason"] == "unplugged"
    assert state["source"]["size"] == {"width": SIZE.width, "height": SIZE.height}
    assert state["model"]["threads"] == 2
    assert state["rates"] == camera.status.rates
    assert state["dropped"] == camera.status.dropped
    assert state["durations_ms"]["boxes_age"] == {"n": 100, "p50": 10, "p95": 20, "p99": 30}
    assert [sink["viewers"] for sink in state["sinks"]] == [1, None]
    assert state["sinks"][1]["reason"] == "port in use"
    assert re.fullmatch(r"\d+\.\d+.*", state["version"])


def test_detections_are_those_of_the_newest_frame(page):
    _, _, client = page
    wait_for(lambda: client.get("/api/detections").status_code == 200)
    first = DetectionsReport.model_validate(client.get("/api/detections").json())
    assert [found.label for found in first.detections]
    assert (first.width, first.height) == SIZE
    wait_for(lambda: client.get("/api/detections").json()["sequence"] > first.sequence)


def test_every_detected_frame_is_an_event(page):
    _, camera, client = page
    with client.stream("GET", "/api/detections/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines).startswith("retry: ")
        events = [
            (next(lines), next(lines), json.loads(next(lines).removeprefix("data: ")))
            for _ in range(20)
        ]
    sequences = [event["sequence"] for _, _, event in events]
    assert sequences == list(range(sequences[0], sequences[0] + 20))
    assert events[0][:2] == (f"id: {sequences[0]}", "event: detections")
    DetectionsReport.model_validate(events[0][2])
    assert camera.drawn == 0


def test_silent_event_streams_are_kept_alive_by_comments(page, monkeypatch):
    monkeypatch.setattr(streams, "_KEEP_ALIVE_S", 0.5)
    _, camera, client = page
    camera.pause()
    with client.stream("GET", "/api/detections/stream") as answer:
        comments = (line for line in answer.iter_lines() if line.startswith(":"))
        assert next(comments)


def test_nothing_is_drawn_or_encoded_without_a_viewer(page):
    sink, camera, client = page
    wait_for(lambda: client.get("/api/detections").status_code == 200)
    assert camera.drawn == 0
    with client.stream("GET", "/stream.mjpg") as answer:
        parts = read_parts(answer)
        assert len(list(islice(parts, 5))) == 5
        assert sink.viewers == 1
        parts.close()
    wait_for(lambda: sink.viewers == 0)
    wait_for(lambda: not sink.wants_picture)
    drawn = camera.drawn
    sequence = client.get("/api/detections").json()["sequence"]
    wait_for(lambda: client.get("/api/detections").json()["sequence"] > sequence + 5)
    assert camera.drawn <= drawn + 1
    assert camera.drawn - 1 <= len(camera.encoded) <= camera.drawn


def test_snapshot_is_fresh_and_has_the_boxes_where_they_belong(page):
    _, camera, client = page
    answer = client.get("/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert float(answer.headers["x-capture-age-ms"]) < 1000
    assert re.search(
        r'filename="edge-detect-\d{8}-\d{6}\.jpg"', answer.headers.get("content-disposition", "")
    )
    image = decode(answer.content)
    assert image.shape == (SIZE.height, SIZE.width, 3)
    newest = client.get("/api/detections").json()["sequence"]
    assert least_difference(camera, newest, image, 92, boxes=True) < 3
    assert least_difference(camera, newest, image, 92, boxes=False) > 80


def test_snapshot_says_why_there_is_none(page):
    _, camera, client = page
    camera.pause()
    camera.set_source(state="lost", for_s=7.0, reason="the cable is out")
    started = time.monotonic()
    answer = client.get("/snapshot.jpg")
    assert 1.5 < time.monotonic() - started < 5
    assert answer.status_code == 503
    assert answer.json()["detail"] == "The camera is lost for 7 s: the cable is out."


def test_stream_brings_new_pictures_with_their_length_and_age(page):
    _, camera, client = page
    with client.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace; boundary=")
        parts = list(islice(read_parts(answer), 12))
    for part in parts:
        assert part.headers["Content-Type"] == "image/jpeg"
        assert float(part.headers["X-Capture-Age-Ms"]) < 1000
        assert float(part.headers["X-Boxes-Age-Ms"]) == 0
    pictures = [decode(part.data).astype(int) for part in parts]
    assert all(np.abs(a - b).max() > 50 for a, b in pairwise(pictures))
    assert camera.slowest_s < 1


def test_a_picture_is_complete_as_soon_as_it_is_sent(page):
    """Browsers show a part when its boundary comes; it must not wait for the next picture."""
    sink, _, _ = page
    with connect(sink, request("/stream.mjpg?fps=0.2")) as connection:
        data = b""
        started = time.monotonic()
        while data.count(b"--edge-detect-picture") < 2:
            data += connection.recv(65536)
        assert time.monotonic() - started < 3


def test_width_quality_and_rate_of_the_stream_can_be_chosen(page):
    _, camera, client = page
    sizes = []
    for query in ("quality=95", "quality=10", "width=160"):
        with client.stream("GET", f"/stream.mjpg?{query}") as answer:
            part = next(read_parts(answer))
            sizes.append((len(part.data), decode(part.data).shape[1]))
    assert sizes[0][0] > 1.5 * sizes[1][0]
    assert [width for _, width in sizes] == [640, 640, 160]
    drawn, started = camera.drawn, time.monotonic()
    with client.stream("GET", "/stream.mjpg?fps=5") as answer:
        list(islice(read_parts(answer), 8))
        elapsed = time.monotonic() - started
    assert elapsed > 6 / 5
    assert camera.drawn - drawn <= elapsed * 5 + 2


@pytest.mark.parametrize(
    "path",
    [
        "/stream.mjpg?fps=0",
        "/stream.mjpg?fps=nan",
        "/stream.mjpg?width=1",
        "/snapshot.jpg?quality=101",
        "/api/detections/stream?fps=x",
    ],
)
def test_impossible_options_are_refused(page, path):
    assert page[2].get(path).status_code == 422


def test_pictures_are_encoded_once_for_all_viewers(page):
    sink, camera, client = page
    with (
        client.stream("GET", "/stream.mjpg") as first,
        client.stream("GET", "/stream.mjpg") as second,
        client.stream("GET", "/stream.mjpg?width=160") as third,
    ):
        streams = [read_parts(answer) for answer in (first, second, third)]
        for stream in streams:
            next(stream)
        assert sink.viewers == 3
        for _ in range(10):
            for stream in streams:
                next(stream)
    assert len(camera.encoded) == len(set(camera.encoded))
    assert camera.drawn - 1 <= len(camera.encoded) <= camera.drawn


def test_there_is_a_limit_to_viewers_and_it_says_so():
    with served(viewers=1) as (sink, _), client_of(sink) as client:
        with client.stream("GET", "/stream.mjpg") as answer:
            parts = read_parts(answer)  # a stream that nobody refers to is closed
            next(parts)
            refused = client.get("/stream.mjpg")
            assert refused.status_code == 503
            assert "1 are watching" in refused.json()["detail"]
            assert client.get("/api/state").status_code == 200
            assert client.get("/snapshot.jpg").status_code == 200
        wait_for(lambda: sink.viewers == 0)


def request(path, host="localhost"):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def test_a_viewer_who_reads_nothing_slows_nobody(page):
    sink, camera, client = page
    with (
        connect(sink, request("/stream.mjpg?quality=95"), receive_buffer=4096),
        client.stream("GET", "/stream.mjpg") as answer,
    ):
        parts = read_parts(answer)
        next(parts)
        wait_for(lambda: sink.viewers == 2)
        started = time.monotonic()
        for _ in range(50):
            assert float(next(parts).headers["X-Capture-Age-Ms"]) < 500
        assert time.monotonic() - started < 50 / 25 * 2
        assert camera.slowest_s < 0.5


def test_nothing_waits_for_a_viewer_who_does_not_read_but_the_picture_it_has_begun(page):
    sink, camera, client = page
    with connect(sink, request("/stream.mjpg?quality=95"), receive_buffer=4096) as stuck:
        wait_for(lambda: camera.drawn > 0)
        first = newest_of(client)
        wait_for(lambda: newest_of(client) > first + 25)
        # For a whole second nothing was made for it: what it has not read it will see too
        # late, but no more than that.
        assert camera.drawn <= 3
        data = b""
        while data.count(b"X-Capture-Age-Ms") < 10:
            data += stuck.recv(65536)
        assert camera.drawn >= 10


def newest_of(client):
    answer = client.get("/api/detections")
    return answer.json()["sequence"] if answer.status_code == 200 else -1


def test_pages_are_answered_from_memory_and_checked_by_tag(page):
    _, _, client = page
    first = client.get("/")
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    names = re.findall(r'(?:href|src)="(static/[^"]+)"', first.text)
    assert len(names) > 5
    for name in names:
        assert client.get(f"/{name}").status_code == 200, name
    for path in ("/static/nothing.js", "/static/../app.py", "/static/%2e%2e/sink.py", "/redoc"):
        assert client.get(path).status_code == 404


def test_no_page_names_another_host_or_holds_inline_code(page):
    _, _, client = page
    for path in ("/", "/docs"):
        text = client.get(path).text
        assert not re.search(r"https?://", text)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text)


def test_openapi_names_the_units_and_every_route(page):
    _, _, client = page
    description = client.get("/openapi.json").json()
    assert set(description["paths"]) == {
        "/stream.mjpg",
        "/snapshot.jpg",
        "/api/detections",
        "/api/detections/stream",
        "/api/state",
    }
    schemas = description["components"]["schemas"]
    assert schemas["PercentilesReport"]["properties"]["p95"]["description"] == "milliseconds"


def test_user_and_password_guard_everything_and_are_never_logged(caplog):
    caplog.set_level(logging.DEBUG)
    with served(user="anna", password="hunter22") as (sink, _):  # noqa: S106 - of this test
        with client_of(sink) as stranger:
            for path in ("/", "/docs", "/static/app.js", "/api/state", "/stream.mjpg", "/none"):
                assert stranger.get(path).status_code == 401
        with client_of(sink, auth=("anna", "hunter22")) as friend:
            assert friend.get("/api/state").status_code == 200
            assert friend.get("/snapshot.jpg").status_code == 200
    assert "hunter22" not in caplog.text
    assert "uvicorn" not in {record.name.partition(".")[0] for record in caplog.records}


def test_the_token_is_taken_once_and_then_the_cookie_counts():
    with served(token=TOKEN) as (sink, _), client_of(sink, follow_redirects=True) as client:
        assert client.get("/api/state").status_code == 401
        page = client.get(f"/?token={TOKEN}")
        assert page.status_code == 200
        assert page.url == sink.address
        assert client.get("/api/state").status_code == 200
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{sink.address}api/state", headers=bearer).status_code == 200


def test_ffmpeg_reads_the_stream():
    with served() as (sink, _):
        run = subprocess.run(
            f"ffmpeg -v error -i {sink.address}stream.mjpg -frames:v 10"
            " -f rawvideo -pix_fmt bgr24 -".split(),
            capture_output=True,
            timeout=30,
            check=True,
            env={"PATH": os.environ["PATH"]},
        )
    assert len(run.stdout) == 10 * SIZE.width * SIZE.height * 3


@pytest.mark.model
def test_the_page_of_a_pipeline_tells_how_it_is_doing():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pipeline = ed.Pipeline(
        "synthetic://?size=640x360&fps=20&realtime=true",
        model="ssdlite-mobilenet-v2-pedestrian",
        threads=1,
        sinks=[f"http://:{port}"],
    )
    with pipeline, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        pipeline.start()
        wait_for(lambda: client.get("/api/detections").status_code == 200)
        with client.stream("GET", "/stream.mjpg") as answer:
            parts = read_parts(answer)
            assert len(list(islice(parts, 30))) == 30
            state = client.get("/api/state").json()
            started = time.monotonic()
            pipeline.stop()
            assert time.monotonic() - started < 2
    StateReport.model_validate(state)
    assert state["source"]["state"] == "live"
    assert state["model"]["name"] == "ssdlite-mobilenet-v2-pedestrian"
    assert state["rates"]["rendered"] > 5
    assert state["durations_ms"]["boxes_age"]["n"] > 0
    [sink] = state["sinks"]
    assert (sink["name"], sink["state"], sink["viewers"]) == (f"http://127.0.0.1:{port}", "open", 1)
    assert sink["encoded_fps"] > 5
    assert sink["capture_to_encode"]["p50"] > 0
    assert our_threads() == []
