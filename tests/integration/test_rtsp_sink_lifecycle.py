"""The RTSP server's beginning and end: what it waits for, what it says, what it leaves behind."""

import socket
import subprocess
import sys
import threading
from itertools import islice

import psutil
import pytest
from support.ports import free_port
from support.rtsp_clients import (
    Camera,
    RawClient,
    assert_sound,
    decoded,
    port_of,
    stream_info,
    url_of,
)
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import SinkError
from edge_detect.sinks import open_sink
from edge_detect.sinks.encoder import EncoderSettings
from edge_detect.sinks.rtsp.clients import Limits
from edge_detect.sinks.rtsp.mount import Address
from edge_detect.sinks.rtsp.sink import RtspSink

# Of a server; threads of other tests' pushing sinks may take a while to end.
THREADS = {"edge-rtsp", "edge-rtsp-guard"}


def test_a_viewer_before_the_first_picture_is_told_to_come_again_and_then_served():
    port = free_port()
    state = "connecting"
    info = stream_info(lambda: state)
    with open_sink(url_of(port)) as sink:
        sink.open(info)
        assert RawClient(port).request("DESCRIBE")[0] == 503
        state = "lost"
        assert RawClient(port).request("DESCRIBE")[0] == 503
        assert not sink.wants_picture
        state = "live"
        with Camera(sink):
            assert_sound(islice(decoded(sink.name), 10), 10)


def test_a_source_that_is_live_but_gives_nothing_keeps_no_viewer_waiting():
    port = free_port()
    sink = RtspSink(
        Address("127.0.0.1", port, "/live"), EncoderSettings("libx264"), Limits(first_picture_s=1)
    )
    with sink:
        sink.open(stream_info())
        for _ in range(2):
            client = RawClient(port)
            assert client.request("DESCRIBE")[0] == 503
            client.close()
            wait_for(lambda: not sink.wants_picture)
        with Camera(sink):
            assert_sound(islice(decoded(sink.name), 10), 10)


def test_a_defect_in_the_server_reaches_the_pipeline_which_opens_the_sink_again():
    def state():
        raise RuntimeError("nobody foresaw this")

    port = free_port()
    with open_sink(url_of(port)) as sink:
        sink.open(stream_info(state))
        client = RawClient(port)
        client.send(f"DESCRIBE {sink.name} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        wait_for(lambda: sink.wants_picture)
        with (
            pytest.raises(SinkError, match="nobody foresaw this") as caught,
            Camera(sink) as camera,
        ):
            wait_for(lambda: camera.error)
        assert caught.value.transient
        assert client.wait_for_end()
        sink.close()
        assert not [each for each in threading.enumerate() if each.name in THREADS]
        sink.open(stream_info())
        with Camera(sink):
            assert_sound(islice(decoded(sink.name), 10), 10)


def test_a_port_in_use_is_a_lasting_error_that_says_so():
    port = free_port()
    with open_sink(url_of(port, user="anna:secret@")) as first, open_sink(url_of(port)) as second:
        first.open(stream_info())
        with pytest.raises(SinkError, match=f":{port}/live' cannot be served: .*in use") as caught:
            second.open(stream_info())
        assert not caught.value.transient
        assert str(port + 1) in caught.value.hint
        assert not second.wants_picture
        first.close()
        second.open(stream_info())


def test_a_port_of_another_program_gets_an_address_to_give_instead():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with open_sink(url_of(port)) as sink, pytest.raises(SinkError, match="in use") as caught:
            sink.open(stream_info())
    assert f"e.g. rtsp://127.0.0.1:{port + 1}/live (--sink URL;" in caught.value.hint


def test_an_address_that_is_not_there_yet_is_tried_again():
    with open_sink(f"rtsp://192.0.2.1:{free_port()}/live") as sink:
        with pytest.raises(SinkError, match="cannot be served") as caught:
            sink.open(stream_info())
        assert caught.value.transient


@pytest.mark.parametrize(("host", "words"), [("", "this computer only"), ("[::]", "everybody")])
def test_who_can_see_the_stream_is_said_at_the_start(caplog, host, words):
    caplog.set_level("INFO")
    with open_sink(f"rtsp://{host}:{free_port()}/live") as sink:
        sink.open(stream_info())
    assert words in caplog.text


def test_closing_waits_for_no_client_and_leaves_nothing_behind_even_with_viewers():
    port = free_port()
    process = psutil.Process()
    limits = Limits(idle_s=HANG_S, session_s=round(HANG_S), stuck_s=HANG_S)
    address = Address("127.0.0.1", port, "/live")

    def open_and_close(*, viewer: bool) -> None:
        with RtspSink(address, EncoderSettings("libx264"), limits) as sink:
            sink.open(stream_info())
            if viewer:
                with Camera(sink):
                    client = RawClient(port)
                    assert client.play() == 200
                    wait_for(lambda: sink.viewers == 1)
            idle = RawClient(port)
            # The clients would stay for ever.
            with promptly():
                sink.close()
            assert idle.wait_for_end()
            assert not [each for each in threading.enumerate() if each.name in THREADS]

    open_and_close(viewer=True)
    fds, threads = process.num_fds(), process.num_threads()
    for cycle in range(24):
        open_and_close(viewer=cycle % 3 == 0)
    # GStreamer's own threads end a little later than the sink.
    wait_for(lambda: process.num_fds() <= fds + 2)
    wait_for(lambda: process.num_threads() <= threads + 2)


@pytest.mark.parametrize("request_head", [b"DESCRIBE", b"OPTIONS"], ids=["waiting", "talking"])
def test_closing_waits_for_no_viewer_that_holds_the_server(request_head):
    address = Address("127.0.0.1", free_port(), "/live")
    limits = Limits(idle_s=HANG_S, first_picture_s=HANG_S)
    with RtspSink(address, EncoderSettings("libx264"), limits) as sink:
        sink.open(stream_info())
        client = RawClient(port_of(sink))
        client.send(request_head + f" {sink.name} RTSP/1.0\r\nCSeq: 1\r\n".encode())
        if request_head == b"DESCRIBE":
            client.send(b"\r\n")
            wait_for(lambda: sink.wants_picture)
        else:
            client.send(b"X: " + b"a" * 30_000)
        with promptly():
            sink.close()
        assert client.wait_for_end()


def test_a_viewer_can_come_back_after_the_sink_was_opened_again():
    port = free_port()
    with open_sink(url_of(port)) as sink:
        for _ in range(3):
            sink.open(stream_info())
            with Camera(sink):
                assert_sound(islice(decoded(sink.name), 10), 10)
            sink.close()


def test_without_a_listener_pictures_cannot_be_written():
    sink = open_sink(url_of(free_port()))
    with pytest.raises(ValueError, match="open"):
        sink.write_picture(None)


def test_nothing_of_gstreamer_is_loaded_for_its_address_alone():
    code = (
        "import sys; from edge_detect.sinks import open_sink\n"
        "open_sink('rtsp://:8554/live')\n"
        "assert 'gi' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_environment_without_system_packages_is_told_so():
    """A real interpreter that sees none of the system's packages."""
    code = (
        "import sys\n"
        "sys.path = [each for each in sys.path if 'dist-packages' not in each]\n"
        "from edge_detect.sinks.rtsp.system import load_rtsp_libraries\n"
        "try: load_rtsp_libraries()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("DependencyError")
    assert "--system-site-packages" in result.stdout
