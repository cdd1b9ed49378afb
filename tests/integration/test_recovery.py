"""The whole program while cameras, servers and disks come and go beneath it."""

import json
import socket
import threading
from contextlib import ExitStack, contextmanager

import av
import pytest
from support.ports import free_port
from support.servers.programs import Program, rtsp_server
from support.waiting import wait_for

import edge_detect as ed
from edge_detect.core import Size
from edge_detect.sinks import open_sink

FAST_MODEL = "ssdlite-mobilenet-v2-pedestrian"
CAMERA = "synthetic://?size=320x240&fps=30&realtime=true"
LOW_DELAY = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}


@pytest.fixture
def detector():
    with ed.load_model(FAST_MODEL, threads=1) as loaded:
        yield loaded


class Viewer:
    """Counts the pictures that an FFmpeg client gets of a stream, until it is closed."""

    def __init__(self, url: str) -> None:
        self.pictures = 0
        self.ended = False
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _watch(self) -> None:
        # A viewer's patience is longer than a camera needs to restart.
        with av.open(self._url, options=LOW_DELAY, timeout=(10, 15)) as stream:
            for _ in stream.decode(video=0):
                self.pictures += 1
                if self._stop.is_set():
                    return
        self.ended = True


@pytest.mark.endurance
def test_viewers_stay_while_the_camera_is_killed_and_comes_back_as_another(detector):
    """Another size and another codec on the same address, as after an update of a camera."""
    port = free_port()
    shown = f"rtsp://127.0.0.1:{free_port()}/live"
    with rtsp_server("--port", str(port), "--size", "320x240") as camera:
        url = f"rtsp://127.0.0.1:{port}/live"
        with ed.Pipeline(url, model=detector, sinks=[shown]) as pipeline:
            pipeline.start()
            wait_for(lambda: pipeline.source.status().state == "live", 20)
            assert pipeline.source.status().size == Size(320, 240)
            viewer = Viewer(shown)
            try:
                wait_for(lambda: viewer.pictures > 30, 20)
                camera.kill()
                wait_for(lambda: pipeline.source.status().state == "lost", 10)
                assert pipeline.report().source.reason
                before = viewer.pictures
                with rtsp_server("--port", str(port), "--size", "640x360", "--codec", "mjpeg"):
                    wait_for(lambda: pipeline.source.status().state == "live", 30)
                    wait_for(lambda: viewer.pictures > before + 30, 20)
                    assert pipeline.source.status().size == Size(640, 360)
                    assert pipeline.source.status().reconnects == 1
                    assert not viewer.ended
                    sequences = pipeline.statistics.rates["detected"].count
                    wait_for(lambda: pipeline.statistics.rates["detected"].count > sequences + 10)
            finally:
                viewer.close()


def test_a_frozen_camera_is_stalled_then_lost_then_back(detector):
    with rtsp_server() as camera:
        url = f"rtsp://127.0.0.1:{camera.port}/live?read_timeout=3"
        with ed.Pipeline(url, model=detector, sinks=["null://"]) as pipeline:
            pipeline.start()
            wait_for(lambda: pipeline.source.status().state == "live", 20)
            camera.freeze()
            wait_for(lambda: pipeline.source.status().state == "stalled", 10)
            wait_for(lambda: pipeline.source.status().state == "lost", 10)
            camera.thaw()
            wait_for(lambda: pipeline.source.status().state == "live", 30)


def test_nobody_waits_at_the_end_for_a_server_that_does_not_answer(detector):
    """A connection attempt that is never answered, as behind a firewall, takes seconds."""
    with (
        unanswered_port() as port,
        ed.Pipeline(CAMERA, model=detector, sinks=["null://"]) as pipeline,
    ):
        pipeline.start()
        pipeline.attach(open_sink(f"rtsp-push://127.0.0.1:{port}/live"))
        outlet = pipeline.outlets[1]
        wait_for(lambda: outlet.opening, 20)
        pipeline.stop()
        assert outlet.opening


@contextmanager
def unanswered_port():
    """A port whose queue of connections is full, so that the system ignores further ones."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as waiting:
        for _ in range(4):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_all_sinks_fail_at_run_time_but_the_one_that_works_goes_on(detector, tmp_path):
    """Each fault is its own sink's affair.

    A full disk, an encoder that is not there, a server that dies, a folder that vanishes.
    """
    lines = tmp_path / "found.jsonl"
    recordings = tmp_path / "recordings"
    no_encoder = f"rtsp://127.0.0.1:{free_port()}/live?encoder=h264_v4l2m2m"
    server = Program("record_server.py")
    sinks = [
        "jsonl:///dev/full",
        no_encoder,
        f"rtsp-push://127.0.0.1:{server.port}/live",
        f"mp4://{recordings}?segment=1s&reserve=0MB",
        lines,
    ]
    with ed.Pipeline(CAMERA, model=detector, sinks=sinks) as pipeline:
        pipeline.start()

        def states() -> list[str]:
            return [each.state for each in pipeline.report().sinks]

        try:
            wait_for(lambda: pipeline.report().sinks[2].encoded_fps > 0, 20)
            wait_for(lambda: list(recordings.rglob("*.mp4")), 20)
            with pytest.raises(av.error.FFmpegError), av.open(no_encoder, timeout=(10, 5)) as video:
                next(video.decode(video=0))
            wait_for(lambda: states()[1] == "failed", 10)
            server.kill()
            wait_for(lambda: pipeline.report().sinks[2].failures > 0, 20)
            _replace_by_file(recordings)
            wait_for(lambda: pipeline.report().sinks[3].failures > 0, 20)
            assert states()[0] == "failed"
            written = lines.stat().st_size
            wait_for(lambda: lines.stat().st_size > written + 5000)
            _restore(recordings)
            wait_for(lambda: states()[3] == "open", 40)
            wait_for(lambda: list(recordings.rglob("*.mp4")), 20)
        finally:
            server.close()
    for line in lines.read_text().splitlines():
        json.loads(line)


def _replace_by_file(folder) -> None:
    """What a disk that was unmounted, or a wrong command, leaves of a folder."""
    folder.rename(folder.with_suffix(".away"))
    folder.touch()


def _restore(folder) -> None:
    folder.unlink()
    folder.mkdir()
