"""The RTSP server as real clients see it: every picture, at the right place, undamaged."""

import os
import re
import subprocess
from itertools import islice

import av
import numpy as np
import pytest
from support.ports import free_port
from support.rtsp_clients import (
    MOST_BLOCK_ERROR,
    SIZE,
    Camera,
    RawClient,
    Watcher,
    assert_sound,
    decoded,
    picture_error,
    port_of,
    read_number,
    stream_info,
    url_of,
    worst_block,
)
from support.waiting import wait_for

from edge_detect.core import Size
from edge_detect.sinks import Encoders, open_sink
from edge_detect.sinks.encoder import EncoderSettings

FRAME_BYTES = SIZE.width * SIZE.height * 3


@pytest.fixture
def sink():
    """An open RTSP sink on the loopback address."""
    with open_sink(url_of(free_port())) as sink:
        sink.open(stream_info())
        yield sink


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_an_ffmpeg_client_sees_every_picture_as_it_was_drawn(sink, transport):
    with Camera(sink, fps=60):
        assert_sound(islice(decoded(sink.name, transport), 60), 60)


GSTREAMER = (
    "gst-launch-1.0 -q rtspsrc location={url} latency=0 protocols=%s ! rtph264depay ! h264parse"
    " ! openh264dec ! videoconvert ! video/x-raw,format=BGR ! fdsink sync=false"
)
FFMPEG = (
    "ffmpeg -nostdin -loglevel error -rtsp_transport tcp -i {url} -frames:v 60"
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
            pixels = [output.read(FRAME_BYTES) for _ in range(60)]
        client.kill()
    shape = (SIZE.height, SIZE.width, 3)
    assert_sound((np.frombuffer(each, np.uint8).reshape(shape) for each in pixels), 60)


def test_a_second_viewer_begins_with_a_sound_picture_and_costs_no_second_encoding():
    encoded = []
    with open_sink(url_of(free_port())) as sink:
        sink.open(stream_info(encoded=encoded.append))
        with Camera(sink) as camera:
            first = Watcher(sink.name)
            first.wait_for(10)
            assert sink.viewers == 1
            pictures = islice(decoded(sink.name), 15)
            begin = next(pictures)
            assert sink.viewers == 2
            assert worst_block(begin, read_number(begin)) < MOST_BLOCK_ERROR
            assert_sound(pictures, 14)
            wait_for(lambda: sink.viewers == 1)
            first.wait_for(10)
            first.stop()
            assert first.lost == 0
            assert first.worst < MOST_BLOCK_ERROR
            wait_for(lambda: not sink.wants_picture)
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
            wait_for(lambda: not sink.wants_picture and not encoder.wanted)
    assert encoded


def test_size_rate_and_bitrate_follow_the_options():
    with open_sink(url_of(free_port(), "&size=320x240&fps=20&bitrate=300")) as sink:
        sink.open(stream_info())
        with (
            Camera(sink, fps=60, noise=True) as camera,
            av.open(sink.name, timeout=30) as client,
        ):
            stream = client.streams.video[0]
            assert (stream.width, stream.height) == (320, 240)
            packets = list(islice(client.demux(stream), 40))
            written = len(camera.written)
    seconds = float((packets[-1].pts - packets[10].pts) * packets[10].time_base)
    assert 29 / seconds == pytest.approx(20, abs=1)
    assert written > 100
    kbps = sum(packet.size for packet in packets[10:]) * 8 / 1000 / seconds
    assert 150 < kbps < 400


def test_time_stamps_are_the_times_of_capture(sink):
    """Nothing is stamped anew: the distances in the stream are those of the camera."""
    with Camera(sink) as camera, av.open(sink.name, options={"rtsp_transport": "tcp"}) as client:
        times = {}
        for frame in islice(client.decode(video=0), 30):
            # FFmpeg gives the very first packet no time.
            if frame.time is not None:
                times[read_number(frame.to_ndarray(format="bgr24"))] = frame.time
    assert len(times) >= 29
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


def test_a_viewer_stays_while_the_source_is_away_and_sees_it_come_back(sink):
    watcher = Watcher(sink.name)
    with Camera(sink) as camera:
        watcher.wait_for(20)
    # A decoder may keep the last picture until the next one comes.
    wait_for(lambda: watcher.numbers[-1] >= max(camera.written) - 1)
    seen = len(watcher.numbers)
    assert sink.viewers == 1
    with Camera(sink):
        watcher.wait_for(20)
        watcher.stop()
    assert watcher.error is None
    assert watcher.worst < MOST_BLOCK_ERROR
    back = watcher.numbers.index(1, seen)
    assert back <= seen + 1
    assert watcher.numbers[back:] == list(range(1, len(watcher.numbers) - back + 1))


def test_a_viewer_that_is_slow_to_begin_leaves_no_delay_behind():
    """GStreamer holds the stream from DESCRIBE to PLAY; meanwhile pictures must not pile up."""
    port = free_port()
    with open_sink(url_of(port)) as sink:
        sink.open(stream_info())
        # Small and slow, so that on a busy machine the watcher itself keeps up.
        with Camera(sink, Size(320, 240), fps=20) as camera:
            client = RawClient(port)
            assert client.request("DESCRIBE")[0] == 200
            wait_for(lambda: sink.dropped > 10)
            watcher = Watcher(sink.name)
            watcher.wait_for(10)
            # Delay that had built up would stay.
            wait_for(lambda: max(camera.written) - watcher.numbers[-1] < 10)
            assert sink.viewers == 1
            dropped = sink.dropped
            watcher.wait_for(10)
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


def test_odd_sizes_are_served():
    with open_sink(url_of(free_port())) as sink:
        sink.open(stream_info())
        with Camera(sink, Size(641, 361)):
            picture = next(decoded(sink.name))
    assert picture.shape == (362, 642, 3)
    assert picture_error(picture[:361, :641], read_number(picture)) < 5
