"""The RTSP server as real clients see it: every picture, at the right place, undamaged."""

import os
import re
import subprocess
import sys
import threading
from itertools import islice, pairwise
from time import monotonic

import av
import numpy as np
import psutil
import pytest
from rtsp_clients import (
    SIZE,
    Camera,
    RawClient,
    Watcher,
    decoded,
    free_port,
    picture_error,
    read_number,
    stream_info,
    wait_until,
    worst_block,
)

from edge_detect.core import SinkError, Size
from edge_detect.sinks import Encoders, open_sink
from edge_detect.sinks.encoder import EncoderSettings
from edge_detect.sinks.rtsp import RtspSink
from edge_detect.sinks.rtsp_clients import Limits
from edge_detect.sinks.rtsp_server import Address

# Measured: 6 to 15 for sound pictures, above 60 where a slice is missing or misplaced.
MOST_BLOCK_ERROR = 30
FRAME_BYTES = SIZE.width * SIZE.height * 3


def url_of(port: int, options: str = "", user: str = "") -> str:
    return f"rtsp://{user}127.0.0.1:{port}/live?encoder=libx264{options}"


def port_of(sink):
    return int(re.search(r":(\d+)/", sink.name)[1])


@pytest.fixture
def sink():
    """An open RTSP sink on the loopback address."""
    with open_sink(url_of(free_port())) as sink:
        sink.open(stream_info())
        yield sink


def assert_sound(pictures, count):
    """Every picture follows the one before, and shows what was drawn, everywhere."""
    numbers = []
    for picture in pictures:
        number = read_number(picture)
        assert worst_block(picture, number) < MOST_BLOCK_ERROR, f"picture {number} is damaged"
        numbers.append(number)
    assert len(numbers) == count
    assert [b - a for a, b in pairwise(numbers)] == [1] * (count - 1)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_an_ffmpeg_client_sees_every_picture_as_it_was_drawn(sink, transport):
    with Camera(sink, fps=60):
        assert_sound(islice(decoded(sink.name, transport), 120), 120)


GSTREAMER = (
    "gst-launch-1.0 -q rtspsrc location={url} latency=0 protocols=%s ! rtph264depay ! h264parse"
    " ! openh264dec ! videoconvert ! video/x-raw,format=BGR ! fdsink sync=false"
)
FFMPEG = (
    "ffmpeg -nostdin -loglevel error -rtsp_transport tcp -i {url} -frames:v 100"
    " -fps_mode passthrough -f rawvideo -pix_fmt bgr24 -"
)


@pytest.mark.parametrize(
    "command",
    [FFMPEG, GSTREAMER % "tcp", GSTREAMER % "udp"],
    ids=["ffmpeg", "gstreamer-tcp", "gstreamer-udp"],
)
def test_other_programs_see_every_picture_as_it_was_drawn(sink, command):
    with (
        Camera(sink, fps=60),
        subprocess.Popen(
            command.format(url=sink.name).split(), stdout=subprocess.PIPE, bufsize=0
        ) as client,
    ):
        with os.fdopen(os.dup(client.stdout.fileno()), "rb", buffering=FRAME_BYTES) as output:
            pixels = [output.read(FRAME_BYTES) for _ in range(100)]
        client.kill()
    shape = (SIZE.height, SIZE.width, 3)
    assert_sound((np.frombuffer(each, np.uint8).reshape(shape) for each in pixels), 100)


def test_a_second_viewer_begins_with_a_sound_picture_and_costs_no_second_encoding():
    encoded = []
    with open_sink(url_of(free_port())) as sink:
        sink.open(stream_info(encoded=encoded.append))
        with Camera(sink) as camera:
            first = Watcher(sink.name)
            first.wait_for(10)
            assert sink.viewers == 1
            pictures = islice(decoded(sink.name), 30)
            begin = next(pictures)
            assert sink.viewers == 2
            assert worst_block(begin, read_number(begin)) < MOST_BLOCK_ERROR
            assert_sound(pictures, 29)
            wait_until(lambda: sink.viewers == 1)
            first.wait_for(10)
            first.stop()
            assert first.lost == 0
            assert first.worst < MOST_BLOCK_ERROR
            wait_until(lambda: not sink.wants_picture)
    assert sink.viewers == 0
    assert sorted(encoded) == encoded
    assert set(encoded) <= set(camera.written.values())
    assert len(set(encoded)) == len(encoded)


def test_nothing_is_asked_for_and_nothing_encoded_unless_somebody_looks():
    encoders = Encoders(30.0)
    encoded = []
    with open_sink(url_of(free_port())) as sink:
        assert not sink.wants_picture
        sink.open(stream_info(encoders=encoders, encoded=encoded.append))
        encoder = encoders.get(EncoderSettings("libx264"))
        assert (sink.wants_picture, encoder.wanted, sink.viewers) == (False, False, 0)
        with Camera(sink) as camera:
            client = RawClient(port_of(sink))
            assert client.request("OPTIONS")[0] == 200
            assert not camera.written
            assert client.request("DESCRIBE")[0] == 200
            assert (sink.wants_picture, encoder.wanted, sink.viewers) == (True, True, 0)
            client.close()
            wait_until(lambda: not sink.wants_picture)
            assert not encoder.wanted
    assert encoded


def test_size_rate_and_bitrate_follow_the_options():
    with open_sink(url_of(free_port(), "&size=320x240&fps=10&bitrate=300")) as sink:
        sink.open(stream_info())
        with Camera(sink, noise=True) as camera, av.open(sink.name, timeout=10) as client:
            stream = client.streams.video[0]
            assert (stream.width, stream.height) == (320, 240)
            packets = list(islice(client.demux(stream), 40))
            written = len(camera.written)
    seconds = float((packets[-1].pts - packets[10].pts) * stream.time_base)
    assert 29 / seconds == pytest.approx(10, abs=0.5)
    assert written > 100
    kbps = sum(packet.size for packet in packets[10:]) * 8 / 1000 / seconds
    assert 150 < kbps < 400


def test_time_stamps_are_the_times_of_capture(sink):
    """Nothing is stamped anew: the distances in the stream are those of the camera."""
    with Camera(sink) as camera, av.open(sink.name, options={"rtsp_transport": "tcp"}) as client:
        times = {}
        for frame in islice(client.decode(video=0), 60):
            # FFmpeg gives the very first packet no time.
            if frame.time is not None:
                times[read_number(frame.to_ndarray(format="bgr24"))] = frame.time
    assert len(times) >= 59
    first = min(times)
    for number, time_s in times.items():
        elapsed_s = (camera.written[number] - camera.written[first]) / 1e9
        assert time_s - times[first] == pytest.approx(elapsed_s, abs=0.001)


def test_the_stream_says_what_its_parameter_sets_are(sink):
    """Players that take them from the description need no key frame to begin."""
    with Camera(sink):
        client = RawClient(port_of(sink))
        client.send(f"DESCRIBE {sink.name} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        description = client.receive_answer()
        client.close()
    assert re.search(r"a=fmtp:96 .*sprop-parameter-sets=[\w+/=]+,[\w+/=]+", description)


def test_viewers_without_the_password_are_turned_away_and_the_password_is_never_in_clear(caplog):
    caplog.set_level("DEBUG")
    port = free_port()
    with open_sink(url_of(port, user="anna:s%20cret@")) as sink:
        sink.open(stream_info())
        assert "anna" not in sink.name
        with Camera(sink):
            client = RawClient(port)
            status, head = client.request("DESCRIBE")
            assert status == 401
            assert "WWW-Authenticate: Digest" in head
            assert "Basic" not in head
            assert client.request("DESCRIBE", "Authorization: Basic YW5uYTpzIGNyZXQ=\r\n")[0] == 401
            assert client.request("SETUP", "Transport: RTP/AVP/TCP;interleaved=0-1\r\n")[0] == 401
            client.close()
            with pytest.raises(av.error.HTTPUnauthorizedError):
                next(decoded(f"rtsp://anna:wrong@127.0.0.1:{port}/live"))
            assert_sound(islice(decoded(f"rtsp://anna:s%20cret@127.0.0.1:{port}/live"), 10), 10)
    assert "cret" not in caplog.text
    assert "anna" not in caplog.text


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
            wait_until(lambda: not sink.wants_picture)
        with Camera(sink):
            assert_sound(islice(decoded(sink.name), 10), 10)


def test_a_viewer_stays_while_the_source_is_away_and_sees_it_come_back(sink):
    watcher = Watcher(sink.name)
    with Camera(sink):
        watcher.wait_for(20)
    seen = len(watcher.numbers)
    with pytest.raises(AssertionError, match="in vain"):
        wait_until(lambda: len(watcher.numbers) > seen + 5, 1)
    with Camera(sink):
        watcher.wait_for(20)
        watcher.stop()
    assert watcher.worst < MOST_BLOCK_ERROR


def test_a_defect_in_the_server_reaches_the_pipeline_which_opens_the_sink_again():
    def state():
        raise RuntimeError("nobody foresaw this")

    port = free_port()
    with open_sink(url_of(port)) as sink:
        sink.open(stream_info(state))
        client = RawClient(port)
        client.send(f"DESCRIBE {sink.name} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        wait_until(lambda: sink.wants_picture)
        with (
            pytest.raises(SinkError, match="nobody foresaw this") as caught,
            Camera(sink) as camera,
        ):
            wait_until(lambda: camera.error)
        assert caught.value.transient
        assert client.wait_for_end(2)
        sink.close()
        assert not [each for each in threading.enumerate() if "rtsp" in each.name]
        sink.open(stream_info())
        with Camera(sink):
            assert_sound(islice(decoded(sink.name), 10), 10)


def test_a_viewer_that_is_slow_to_begin_leaves_no_delay_behind():
    """GStreamer holds the stream from DESCRIBE to PLAY; meanwhile pictures must not pile up."""
    port = free_port()
    with open_sink(url_of(port)) as sink:
        sink.open(stream_info())
        with Camera(sink) as camera:
            client = RawClient(port)
            assert client.request("DESCRIBE")[0] == 200
            wait_until(lambda: sink.dropped > 10)
            watcher = Watcher(sink.name)
            watcher.wait_for(60)
            assert max(camera.written) - watcher.numbers[-1] < 10
            assert sink.viewers == 1
            dropped = sink.dropped
            watcher.wait_for(15)
            watcher.stop()
            assert sink.dropped == dropped
            assert watcher.worst < MOST_BLOCK_ERROR
            client.close()


def test_other_paths_do_not_exist(sink):
    with Camera(sink):
        port = port_of(sink)
        for path in ("/", "/other", "/live2", "/live/more"):
            client = RawClient(port, path)
            assert client.request("DESCRIBE")[0] == 404
            client.close()


def test_ipv6_addresses_are_served():
    with open_sink(f"rtsp://[::1]:{free_port()}/a/b.c?encoder=libx264") as sink:
        sink.open(stream_info())
        assert sink.name.startswith("rtsp://[::1]:")
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
                    wait_until(lambda: sink.viewers == 1)
            idle = RawClient(port)
            before = monotonic()
            sink.close()
            assert monotonic() - before < 1
            assert idle.wait_for_end(5)
            assert not [each for each in threading.enumerate() if "rtsp" in each.name]
        if cycle in (10, 49):
            wait_until(lambda: process.num_threads() <= 40)
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
            wait_until(lambda: sink.wants_picture)
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


def test_without_a_listener_pictures_cannot_be_written(sink):
    sink.close()
    with pytest.raises(ValueError, match="open"):
        sink.write_picture(None)


def test_odd_sizes_are_served():
    with open_sink(url_of(free_port())) as sink:
        sink.open(stream_info())
        with Camera(sink, Size(641, 361)):
            picture = next(decoded(sink.name))
    assert picture.shape == (362, 642, 3)
    assert picture_error(picture[:361, :641], read_number(picture)) < 5


def test_nothing_of_gstreamer_is_loaded_for_its_address_alone():
    code = (
        "import sys; from edge_detect.sinks import open_sink\n"
        "open_sink('rtsp://:8554/live')\n"
        "assert 'gi' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
