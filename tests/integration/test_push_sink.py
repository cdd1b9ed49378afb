"""The stream is pushed to a real RTSP server, which decodes it and reads the pictures."""

import contextlib
import json
import logging
import socket
import subprocess
import threading
import time
from itertools import pairwise

import pytest
from support.recordings import Camera, need, numbers, stream_info
from support.servers.programs import Program, silent_port

from edge_detect.core import SinkError
from edge_detect.sinks import Sink, open_sink


class RecordServer(Program):
    """The server, and what it has seen so far."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("record_server.py", *arguments)
        self.seen: list[dict] = []
        threading.Thread(target=self._read, name="record-server", daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):
            self.seen.extend(json.loads(line) for line in self._process.stdout)

    @property
    def numbers(self) -> list[int | None]:
        return [each["number"] for each in self.seen]


@contextlib.contextmanager
def record_server(*arguments: str):
    with contextlib.closing(RecordServer(*arguments)) as server:
        yield server


def seconds_of(function) -> float:
    started = time.monotonic()
    function()
    return time.monotonic() - started


def is_recent(seen: dict, number: int) -> bool:
    return (seen["number"] or 0) > number and seen["age_ms"] < 500


def open_as_soon_as_possible(sink: Sink, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            sink.open(stream_info())
        except SinkError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def feed_until_it_fails(camera: Camera, sink: Sink, timeout_s: float) -> SinkError:
    with pytest.raises(SinkError) as caught:
        camera.feed_live(sink, lambda: False, timeout_s)
    return caught.value


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_server_gets_every_picture_undamaged_and_soon(transport) -> None:
    encoded: list[int] = []
    camera = Camera(640, 360)
    with record_server() as server:
        url = f"rtsp-push://127.0.0.1:{server.port}/live?transport={transport}"
        with open_sink(url) as sink:
            assert not sink.wants_picture
            sink.open(stream_info(encoded=encoded))
            assert sink.wants_picture
            camera.feed_live(sink, lambda: len(server.seen) >= 60)
        assert not sink.wants_picture
    received = server.numbers
    assert received == list(range(len(received)))
    assert len(encoded) >= 60
    assert server.seen[0]["size"] == [640, 360]
    ages = sorted(each["age_ms"] for each in server.seen)
    assert ages[len(ages) // 2] < 500


def test_another_kind_of_server_takes_the_stream_as_well(tmp_path) -> None:
    need("ffmpeg")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{probe.getsockname()[1]}/live"
    path = tmp_path / "taken.mp4"
    command = ["ffmpeg", "-v", "error", "-rtsp_flags", "listen", "-i", f"rtsp://{url}"]
    command += ["-frames:v", "60", "-c", "copy", str(path)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        with open_sink(f"rtsp-push://{url}") as sink:
            open_as_soon_as_possible(sink, 10)
            # It leaves when it has what it wants.
            with contextlib.suppress(SinkError):
                Camera().feed_live(sink, lambda: server.poll() is not None)
        assert server.wait(10) == 0
    finally:
        server.kill()
        server.wait(10)
    assert numbers(path) == list(range(60))


@pytest.mark.parametrize("digest", [False, True])
def test_user_and_password_open_the_server_and_are_never_shown(digest, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    kind = ["--digest"] if digest else []
    with record_server("--user", "anna", "--password", "ge:h@im", *kind) as server:
        url = f"rtsp-push://anna:ge%3Ah%40im@127.0.0.1:{server.port}/live"
        with open_sink(url) as sink:
            sink.open(stream_info())
            Camera().feed_live(sink, lambda: len(server.seen) >= 10)
            assert sink.name == f"rtsp-push://127.0.0.1:{server.port}/live"
    for secret in ("anna", "h@im", "%40im"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("user", "message"),
    [("anna:falsch@", "refuses this user and password"), ("", "refuses strangers")],
)
def test_a_wrong_password_is_an_error_for_good(user, message) -> None:
    with record_server("--user", "anna", "--password", "geheim", "--digest") as server:
        sink = open_sink(f"rtsp-push://{user}127.0.0.1:{server.port}/live")
        with sink, pytest.raises(SinkError, match=message) as caught:
            sink.open(stream_info())
            Camera().feed_live(sink, lambda: server.seen)
        assert not caught.value.transient
        assert caught.value.hint
        assert "falsch" not in str(caught.value)
        assert server.seen == []


def test_a_wrong_path_is_an_error_that_names_it() -> None:
    with record_server() as server:
        sink = open_sink(f"rtsp-push://127.0.0.1:{server.port}/elsewhere")
        with sink, pytest.raises(SinkError, match=r"/elsewhere refuses .* 404") as caught:
            sink.open(stream_info())
            Camera().feed_live(sink, lambda: server.seen)
        assert caught.value.transient
        assert "path" in caught.value.hint
        # From now on it shows when the sink is opened, not with the first picture.
        with pytest.raises(SinkError, match="404"):
            sink.open(stream_info())


def test_a_video_of_another_size_is_announced_anew() -> None:
    stream = stream_info()
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        sink.open(stream)
        Camera(320, 240).feed_live(sink, lambda: len(server.seen) >= 5)
        sink.close()
        wide = Camera(640, 360)
        sink.open(stream)
        assert "announced anew" in feed_until_it_fails(wide, sink, 5).message
        sink.close()
        sink.open(stream)
        wide.feed_live(sink, lambda: server.seen[-1]["size"] == [640, 360])


def test_a_server_that_is_killed_and_comes_back_gets_the_stream_again() -> None:
    camera, stream = Camera(), stream_info()
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        sink.open(stream)
        camera.feed_live(sink, lambda: len(server.seen) >= 15)
        server.kill()
        error = feed_until_it_fails(camera, sink, 5)
        assert error.transient
        sink.close()
        with pytest.raises(SinkError, match="Connection refused") as caught:
            sink.open(stream)
        assert caught.value.transient
        with record_server("--port", str(server.port)) as successor:
            sink.open(stream)
            camera.feed_live(sink, lambda: len(successor.seen) >= 15)
            assert successor.numbers[0] > server.numbers[-1]
            assert all(b - a == 1 for a, b in pairwise(successor.numbers))


def test_a_frozen_server_is_left_within_seconds_and_closing_does_not_wait_for_it() -> None:
    camera = Camera(noise=True)
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        sink.open(stream_info())
        camera.feed_live(sink, lambda: len(server.seen) >= 15)
        server.freeze()
        started = time.monotonic()
        error = feed_until_it_fails(camera, sink, 20)
        assert time.monotonic() - started < 12
        assert error.transient
        assert "does not answer" in error.message
        assert seconds_of(sink.close) < 1
        started = time.monotonic()
        with pytest.raises(SinkError, match="does not answer"):
            sink.open(stream_info())
        assert time.monotonic() - started < 9


def test_closing_while_the_server_is_frozen_is_quick_and_leaves_no_thread() -> None:
    camera = Camera(1280, 720, noise=True)
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        sink.open(stream_info())
        camera.feed_live(sink, lambda: len(server.seen) >= 5)
        server.freeze()
        stuck = camera.number + 20
        camera.feed_live(sink, lambda: camera.number >= stuck)
        assert seconds_of(sink.close) < 1
        assert "edge-push" not in [thread.name for thread in threading.enumerate()]


def test_a_server_that_thaws_soon_enough_gets_what_is_new() -> None:
    camera = Camera()
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        sink.open(stream_info())
        camera.feed_live(sink, lambda: len(server.seen) >= 15)
        server.freeze()
        thaw = camera.number + 45
        camera.feed_live(sink, lambda: camera.number >= thaw)
        server.thaw()
        camera.feed_live(sink, lambda: is_recent(server.seen[-1], thaw + 15))
        assert None not in server.numbers


def test_a_port_that_says_nothing_is_an_error_in_time() -> None:
    with silent_port() as port:
        sink = open_sink(f"rtsp-push://127.0.0.1:{port}/live")
        started = time.monotonic()
        with pytest.raises(SinkError, match="does not answer") as caught:
            sink.open(stream_info())
        assert time.monotonic() - started < 9
        assert caught.value.transient


def test_nothing_stays_behind_after_many_connections() -> None:
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        before = None
        for _ in range(20):
            camera = Camera()
            sink.open(stream_info())
            camera.feed_live(sink, lambda: camera.number >= 3)  # noqa: B023 - called at once
            sink.close()
            before = before or (threading.active_count(), _open_files())
        assert (threading.active_count(), _open_files()) == before


def _open_files() -> int:
    import psutil

    return psutil.Process().num_fds()
