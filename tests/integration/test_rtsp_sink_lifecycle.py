"""The RTSP server's beginning and end: what it waits for, what it says, what it leaves behind."""

import subprocess
import sys
import threading
from itertools import islice
from time import monotonic

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
from support.waiting import wait_for

from edge_detect.core import SinkError
from edge_detect.sinks import open_sink
from edge_detect.sinks.encoder import EncoderSettings
from edge_detect.sinks.rtsp.clients import Limits
from edge_detect.sinks.rtsp.mount import Address
from edge_detect.sinks.rtsp.sink import RtspSink


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
        Address("127.0.0.1", port, "/live"), EncoderSettings("libx264"), Limits(first_picture_s=0.5)
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
        assert client.wait_for_end(2)
        sink.close()
        assert not [each for each in threading.enumerate() if "rtsp" in each.name]
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


def test_closing_takes_no_second_and_leaves_nothing_behind_even_with_viewers():
    port = free_port()
    process = psutil.Process()
    counts = []
    for cycle in range(50):
        with open_sink(url_of(port)) as sink:
            sink.open(stream_info())
            if cycle % 5 == 0:
                with Camera(sink):
                    client = RawClient(port)
                    assert client.play() == 200
                    wait_for(lambda: sink.viewers == 1)
            idle = RawClient(port)
            before = monotonic()
            sink.close()
            assert monotonic() - before < 1
            assert idle.wait_for_end(5)
            assert not [each for each in threading.enumerate() if "rtsp" in each.name]
        if cycle in (10, 49):
            wait_for(lambda: process.num_threads() <= 40)
            counts.append((process.num_fds(), process.num_threads()))
    (fds_before, threads_before), (fds_after, threads_after) = counts
    assert fds_after <= fds_before + 2
    assert threads_after <= threads_before + 2


@pytest.mark.parametrize("request_head", [b"DESCRIBE", b"OPTIONS"], ids=["waiting", "talking"])
def test_closing_waits_for_no_viewer_that_holds_the_server(request_head):
    with open_sink(url_of(free_port())) as sink:
        sink.open(stream_info())
        client = RawClient(port_of(sink))
        client.send(request_head + f" {sink.name} RTSP/1.0\r\nCSeq: 1\r\n".encode())
        if request_head == b"DESCRIBE":
            client.send(b"\r\n")
            wait_for(lambda: sink.wants_picture)
        else:
            client.send(b"X: " + b"a" * 30_000)
        before = monotonic()
        sink.close()
        assert monotonic() - before < 1
        assert client.wait_for_end(2)


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
