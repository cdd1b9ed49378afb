"""The stream is pushed to a real RTSP server, which decodes it and reads the pictures."""

import contextlib
import json
import logging
import subprocess
import threading
from itertools import pairwise

import psutil
import pytest
from support.ports import free_port
from support.recordings import Camera, numbers, stream_info
from support.requirements import need
from support.servers.programs import Program, silent_port
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import SinkError
from edge_detect.core.url import Authority
from edge_detect.sinks import Sink, open_sink
from edge_detect.sinks.encoder import EncoderSettings
from edge_detect.sinks.push.publisher import Patience
from edge_detect.sinks.push.sink import PushSink


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


def push_to(port: int, patience: Patience) -> PushSink:
    """A sink that waits for the server only so long."""
    server = Authority("", "", "127.0.0.1", port, "/live")
    return PushSink(server, EncoderSettings("libx264"), udp=False, patience=patience)


def opens(sink: Sink) -> bool:
    """Whether the server is there now."""
    try:
        sink.open(stream_info())
    except SinkError:
        return False
    return True


def feed_until_it_fails(camera: Camera, sink: Sink) -> SinkError:
    with pytest.raises(SinkError) as caught:
        camera.feed_live(sink, lambda: False)
    return caught.value


def pushing_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "edge-push"]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_server_gets_every_picture_undamaged(transport) -> None:
    encoded: list[int] = []
    camera = Camera(640, 360)
    with record_server() as server:
        url = f"rtsp-push://127.0.0.1:{server.port}/live?transport={transport}"
        with open_sink(url) as sink:
            assert not sink.wants_picture
            sink.open(stream_info(encoded=encoded))
            assert sink.wants_picture
            camera.feed_live(sink, lambda: len(server.seen) >= 30)
        assert not sink.wants_picture
    received = server.numbers
    assert received == list(range(len(received)))
    assert len(encoded) >= 30
    assert server.seen[0]["size"] == [640, 360]


def test_another_kind_of_server_takes_the_stream_as_well(tmp_path) -> None:
    need("ffmpeg", "ffmpeg")
    url = f"127.0.0.1:{free_port()}/live"
    path = tmp_path / "taken.mp4"
    command = ["ffmpeg", "-v", "error", "-rtsp_flags", "listen", "-i", f"rtsp://{url}"]
    command += ["-frames:v", "30", "-c", "copy", str(path)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        with open_sink(f"rtsp-push://{url}") as sink:
            wait_for(lambda: opens(sink))
            # It leaves when it has what it wants.
            with contextlib.suppress(SinkError):
                Camera().feed_live(sink, lambda: server.poll() is not None)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait(10)
    assert numbers(path) == list(range(30))


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
        assert "announced anew" in feed_until_it_fails(wide, sink).message
        sink.close()
        sink.open(stream)
        wide.feed_live(sink, lambda: server.seen[-1]["size"] == [640, 360])


def test_a_server_that_is_killed_and_comes_back_gets_the_stream_again() -> None:
    camera, stream = Camera(), stream_info()
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        sink.open(stream)
        camera.feed_live(sink, lambda: len(server.seen) >= 15)
        server.kill()
        error = feed_until_it_fails(camera, sink)
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


def connections_to(port: int) -> list[int]:
    """Our ports of all connections to a server's."""
    ours = psutil.Process().net_connections("tcp")
    return [each.laddr.port for each in ours if each.raddr and each.raddr.port == port]


def test_a_frozen_server_is_left_and_closing_does_not_wait_for_it() -> None:
    camera = Camera(noise=True)
    with (
        record_server() as server,
        push_to(server.port, Patience(answer_s=2, ask_s=0.2)) as sink,
    ):
        sink.open(stream_info())
        camera.feed_live(sink, lambda: len(server.seen) >= 15)
        # It stays frozen to the end.
        server.freeze()
        error = feed_until_it_fails(camera, sink)
        assert error.transient
        assert "does not answer" in error.message
        # It has been left already: there is nothing that closing could wait for.
        wait_for(lambda: not pushing_threads())
        assert connections_to(server.port) == []
        sink.close()
        with (
            push_to(server.port, Patience(answer_s=0.3)) as again,
            pytest.raises(SinkError, match="does not answer"),
        ):
            again.open(stream_info())


def test_closing_while_the_server_is_frozen_does_not_wait_and_leaves_no_thread() -> None:
    camera = Camera(1280, 720, noise=True)
    with (
        record_server() as server,
        push_to(server.port, Patience(answer_s=HANG_S, ask_s=HANG_S)) as sink,
    ):
        sink.open(stream_info())
        camera.feed_live(sink, lambda: len(server.seen) >= 5)
        server.freeze()
        stuck = camera.number + 20
        camera.feed_live(sink, lambda: camera.number >= stuck)
        with promptly():
            sink.close()
            wait_for(lambda: not pushing_threads())


def test_a_server_that_thaws_soon_enough_gets_what_is_new() -> None:
    camera = Camera()
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        sink.open(stream_info())
        camera.feed_live(sink, lambda: len(server.seen) >= 15)
        server.freeze()
        thaw = camera.number + 45
        camera.feed_live(sink, lambda: camera.number >= thaw)
        server.thaw()

        def follows() -> bool:
            """The delay of one and a half seconds would stay if it had built up."""
            seen = server.seen[-1]
            return (seen["number"] or 0) > thaw + 15 and seen["age_ms"] < 1000

        camera.feed_live(sink, follows)
        assert None not in server.numbers


def test_a_port_that_says_nothing_is_an_error_in_time() -> None:
    patience = Patience(connect_s=HANG_S, answer_s=0.5, ask_s=HANG_S)
    with silent_port() as port, push_to(port, patience) as sink:
        with promptly(), pytest.raises(SinkError, match="does not answer") as caught:
            sink.open(stream_info())
        assert caught.value.transient


def test_nothing_stays_behind_after_many_connections() -> None:
    with record_server() as server, open_sink(f"rtsp-push://127.0.0.1:{server.port}/live") as sink:
        before = None
        for _ in range(20):
            camera = Camera()
            sink.open(stream_info())
            camera.feed_live(sink, lambda: camera.number >= 3)  # noqa: B023 - called at once
            sink.close()
            wait_for(lambda: not pushing_threads())
            before = before or (threading.active_count(), _open_files())
        assert (threading.active_count(), _open_files()) == before


def _open_files() -> int:
    import psutil

    return psutil.Process().num_fds()
