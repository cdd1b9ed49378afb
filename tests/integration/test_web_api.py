"""The page's HTTP interface, asked by real clients over real connections."""

import json
import logging
import os
import re
import subprocess
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from itertools import islice, pairwise

import httpx
import numpy as np
import pytest
from support.waiting import HANG_S, PROMPT_S, promptly, wait_for
from support.web_clients import (
    PATIENT,
    SIZE,
    connect,
    decode,
    difference,
    read_parts,
    served,
)

from edge_detect.sinks.web.reports import DetectionsReport, StateReport

TOKEN = "correct-horse-battery"  # noqa: S105 - of this test alone


@pytest.fixture(scope="module")
def camera_and_page():
    """One page for all tests of this file; one who reads nothing may stay as long as it likes."""
    with served(timeouts=replace(PATIENT, stuck_s=HANG_S)) as running:
        yield running


@pytest.fixture
def page(camera_and_page):
    """A page that is fed by a camera and that nobody looks at: the sink, the camera, a client."""
    sink, camera = camera_and_page
    wait_for(lambda: sink.viewers == 0)
    wait_for(lambda: not sink.wants_picture)
    camera.reset()
    with client_of(sink) as client:
        yield sink, camera, client


def client_of(sink, **options):
    return httpx.Client(base_url=sink.address, timeout=PROMPT_S, **options)


def test_state_tells_everything_that_the_pipeline_reports(page):
    _, camera, client = page
    camera.set_source(state="lost", for_s=12.5, reason="unplugged", reconnects=3)
    # An answer is kept for a tenth of a second.
    wait_for(lambda: client.get("/api/state").json()["source"]["state"] == "lost")
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
            for _ in range(10)
        ]
    sequences = [event["sequence"] for _, _, event in events]
    assert sequences == list(range(sequences[0], sequences[0] + 10))
    assert events[0][:2] == (f"id: {sequences[0]}", "event: detections")
    DetectionsReport.model_validate(events[0][2])
    assert camera.drawn == 0


def test_silent_event_streams_are_kept_alive_by_comments():
    with served(timeouts=replace(PATIENT, silence_s=0.1)) as (sink, camera):
        camera.pause()
        with client_of(sink) as client, client.stream("GET", "/api/detections/stream") as answer:
            comments = (line for line in answer.iter_lines() if line.startswith(":"))
            assert len(list(islice(comments, 3))) == 3


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
    wait_for(lambda: newest_of(client) >= 0)
    before = newest_of(client)
    answer = client.get("/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    image = decode(answer.content)
    assert image.shape == (SIZE.height, SIZE.width, 3)
    assert camera.drawn == 1
    assert camera.shown.sequence >= before
    assert difference(camera, image, 92, boxes=True) < 3
    assert difference(camera, image, 92, boxes=False) > 80


def test_a_snapshot_bears_the_time_of_its_capture(page):
    _, _, client = page
    asked_s = time.time()
    headers = client.get("/snapshot.jpg").headers
    answered_s = time.time()
    age_s = float(headers["x-capture-age-ms"]) / 1000
    captured_s = parsedate_to_datetime(headers["last-modified"]).timestamp()
    assert age_s > 0
    assert asked_s - age_s - 1.001 < captured_s < answered_s - age_s + 0.001
    name = time.strftime("edge-detect-%Y%m%d-%H%M%S.jpg", time.localtime(captured_s))
    assert headers["content-disposition"] == f'inline; filename="{name}"'


def test_snapshot_waits_for_a_picture_and_says_why_there_is_none():
    with (
        served(timeouts=replace(PATIENT, snapshot_s=0.3)) as (sink, camera),
        client_of(sink) as client,
    ):
        camera.pause()
        camera.set_source(state="lost", for_s=7.0, reason="the cable is out")
        started = time.monotonic()
        answer = client.get("/snapshot.jpg")
        assert time.monotonic() - started > 0.29
    assert answer.status_code == 503
    assert answer.json()["detail"] == "The camera is lost for 7 s: the cable is out."


def test_stream_brings_new_pictures_with_their_length_and_age(page):
    _, camera, client = page
    started = time.monotonic()
    with client.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace; boundary=")
        parts = list(islice(read_parts(answer), 10))
    watched_ms = 1000 * (time.monotonic() - started)
    for part in parts:
        assert part.headers["Content-Type"] == "image/jpeg"
        assert float(part.headers["X-Boxes-Age-Ms"]) == 0
    # The first one may have been captured already when it was asked for.
    assert all(0 < float(part.headers["X-Capture-Age-Ms"]) < watched_ms for part in parts[1:])
    pictures = [decode(part.data).astype(int) for part in parts]
    assert all(np.abs(a - b).max() > 50 for a, b in pairwise(pictures))
    assert camera.slowest_s < PROMPT_S


def test_a_picture_is_complete_as_soon_as_it_is_sent(page):
    """Browsers show a part when its boundary comes; it must not wait for the next picture."""
    sink, _, _ = page
    rate = 1 / HANG_S
    with connect(sink, request(f"/stream.mjpg?fps={rate:.4f}")) as connection, promptly():
        data = b""
        while data.count(b"--edge-detect-picture") < 2:
            data += connection.recv(65536)


def test_width_quality_and_rate_of_the_stream_can_be_chosen(page):
    sink, camera, client = page
    sizes = []
    for query in ("quality=95", "quality=10", "width=160"):
        with client.stream("GET", f"/stream.mjpg?{query}") as answer:
            part = next(read_parts(answer))
            sizes.append((len(part.data), decode(part.data).shape[1]))
    assert sizes[0][0] > 1.5 * sizes[1][0]
    assert [width for _, width in sizes] == [640, 640, 160]
    wait_for(lambda: sink.viewers == 0)
    drawn, started = camera.drawn, time.monotonic()
    with client.stream("GET", "/stream.mjpg?fps=10") as answer:
        list(islice(read_parts(answer), 6))
    drawn = camera.drawn - drawn
    elapsed = time.monotonic() - started
    assert elapsed > (6 - 2) / 10
    assert drawn <= elapsed * 10 + 2


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
        with promptly():
            shown = list(islice(parts, 20))
        assert all(float(part.headers["X-Capture-Age-Ms"]) < PROMPT_S * 1000 for part in shown)
        assert camera.slowest_s < PROMPT_S
        assert sink.viewers == 2


def test_nothing_waits_for_a_viewer_who_does_not_read_but_the_picture_it_has_begun(page):
    sink, camera, client = page
    with connect(sink, request("/stream.mjpg?quality=95"), receive_buffer=4096) as stuck:
        wait_for(lambda: camera.drawn > 0)
        first = newest_of(client)
        wait_for(lambda: newest_of(client) > first + 12)
        # Meanwhile nothing was made for it: what it has not read it will see too late, but no
        # more than that.
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
    missing = description["paths"]["/snapshot.jpg"]["get"]["responses"]["503"]
    assert "within 2 s" in missing["description"]
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


def test_ffmpeg_reads_the_stream(page):
    sink, _, _ = page
    run = subprocess.run(
        f"ffmpeg -v error -i {sink.address}stream.mjpg -frames:v 10"
        " -f rawvideo -pix_fmt bgr24 -".split(),
        capture_output=True,
        timeout=HANG_S,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert len(run.stdout) == 10 * SIZE.width * SIZE.height * 3
