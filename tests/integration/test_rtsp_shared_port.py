"""Several cameras at one port: each at its path, and none in the way of another."""

import shutil
import socket
import subprocess
import threading
from itertools import islice

import av
import numpy as np
import pytest
from support.ports import free_port
from support.rtsp_clients import (
    MOST_BLOCK_ERROR,
    Camera,
    RawClient,
    Watcher,
    assert_sound,
    decoded,
    over_udp,
    read_number,
    stream_info,
    worst_block,
)
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import SinkError, Size
from edge_detect.sinks import open_sink
from edge_detect.sinks.encoder import EncoderSettings
from edge_detect.sinks.rtsp.clients import Limits
from edge_detect.sinks.rtsp.mount import Address
from edge_detect.sinks.rtsp.sink import RtspSink

# By its size a picture tells its camera.
YARD, DOOR = Size(640, 360), Size(320, 240)
GSTREAMER = (
    "gst-launch-1.0 -q rtspsrc location={url} latency=0 protocols=tcp ! rtph264depay ! h264parse"
    " ! openh264dec ! videoconvert ! video/x-raw,format=BGR ! fdsink sync=false"
)


def sink_at(port, path, user="", options=""):
    return open_sink(f"rtsp://{user}127.0.0.1:{port}/{path}?encoder=libx264{options}")


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def cameras(port):
    """Two cameras at one port, and the sinks that serve them; no client is left by itself."""
    limits = Limits(idle_s=HANG_S, session_s=round(HANG_S), stuck_s=HANG_S)
    yard, door = (
        RtspSink(Address("127.0.0.1", port, f"/{name}"), EncoderSettings("libx264"), limits)
        for name in ("yard", "door")
    )
    with yard, door:
        yard.open(stream_info())
        door.open(stream_info())
        with Camera(yard, YARD), Camera(door, DOOR, fps=20):
            yield yard, door


def server_threads():
    return [
        each.name for each in threading.enumerate() if each.name in ("edge-rtsp", "edge-rtsp-guard")
    ]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_gstreamer(url, size, count):
    """The first pictures that a GStreamer client decodes."""
    command = GSTREAMER.format(url=url).split()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        pictures = []
        for _ in range(count):
            data = client.stdout.read(size.width * size.height * 3)
            assert len(data) == size.width * size.height * 3
            pictures.append(np.frombuffer(data, np.uint8).reshape(size.height, size.width, 3))
        client.terminate()
    return pictures


def test_each_path_shows_its_own_camera_to_all_kinds_of_clients_at_once(cameras):
    assert shutil.which("gst-launch-1.0"), "these tests need gstreamer1.0-tools"
    assert server_threads() == ["edge-rtsp", "edge-rtsp-guard"]
    yard, door = cameras
    watchers = [Watcher(yard.name), Watcher(door.name), Watcher(door.name, "udp")]
    for watcher in watchers:
        watcher.wait_for(10)
    for sink, size in ((yard, YARD), (door, DOOR)):
        for picture in read_gstreamer(sink.name, size, 20):
            assert worst_block(picture, read_number(picture)) < MOST_BLOCK_ERROR
        pictures = list(islice(decoded(sink.name), 20))
        assert {picture.shape for picture in pictures} == {(size.height, size.width, 3)}
        assert_sound(pictures, 20)
    wait_for(lambda: (yard.viewers, door.viewers) == (1, 2))
    for watcher in watchers:
        watcher.stop()
        assert watcher.error is None
        assert watcher.lost == 0
        assert watcher.worst < MOST_BLOCK_ERROR
    wait_for(lambda: (yard.viewers, door.viewers) == (0, 0))


def look_at_door(port):
    """Three clients of one path: one that plays over TCP, one over UDP, one that only asks."""
    clients = [RawClient(port, "/door") for _ in range(3)]
    assert clients[0].play() == 200
    assert clients[1].play(over_udp()) == 200
    assert clients[2].request("DESCRIBE")[0] == 200
    return clients


def test_closing_a_path_sends_its_viewers_away_and_costs_the_others_nothing(cameras, port):
    yard, door = cameras
    stays = Watcher(yard.name)
    stays.wait_for(10)
    dropped = yard.dropped
    for _ in range(3):
        clients = look_at_door(port)
        wait_for(lambda: (yard.viewers, door.viewers) == (1, 2))
        # The clients would stay for ever.
        with promptly():
            door.close()
        assert [each.wait_for_end() for each in clients] == [True] * 3
        assert not door.wants_picture
        # As a camera that is being started again: it is worth while to come back.
        assert RawClient(port, "/door").request("DESCRIBE")[0] == 503
        stays.wait_for(10)
        door.open(stream_info())
    stays.wait_for(10)
    assert yard.dropped == dropped
    stays.stop()
    assert stays.error is None
    assert stays.lost == 0


def test_the_last_path_to_close_frees_the_port(port):
    with sink_at(port, "yard") as yard, sink_at(port, "door") as door:
        yard.open(stream_info())
        door.open(stream_info())
        yard.close()
        assert is_open(port)
        door.close()
        assert not is_open(port)
        assert server_threads() == []
        yard.open(stream_info())
        with Camera(yard):
            assert_sound(islice(decoded(yard.name), 5), 5)
    assert not is_open(port)


def test_a_path_belongs_to_one_output_and_the_other_is_told_whose_it_is(port):
    with sink_at(port, "yard") as first, sink_at(port, "yard", options="&fps=5") as second:
        first.open(stream_info())
        with pytest.raises(SinkError, match="its path is in use by another output") as caught:
            second.open(stream_info())
        assert caught.value.message.count(first.name) == 2
        assert not caught.value.transient
        assert "/yard2" in caught.value.hint
        second.close()
        with Camera(first):
            assert_sound(islice(decoded(first.name), 5), 5)


def test_one_port_under_two_addresses_is_refused_with_what_to_do(port):
    with sink_at(port, "yard") as first, open_sink(f"rtsp://0.0.0.0:{port}/door") as second:
        first.open(stream_info())
        with pytest.raises(SinkError, match=f"in use, for '{first.name}'") as caught:
            second.open(stream_info())
        assert "give both the same address, 127.0.0.1" in caught.value.hint


def pictures_of(name, login=""):
    """How many of two pictures a viewer gets with this login."""
    try:
        return len(list(islice(decoded(name.replace("//", f"//{login}")), 2)))
    except av.error.HTTPUnauthorizedError:
        return 0


def test_each_path_asks_for_its_own_password_and_open_ones_for_none(port):
    with (
        sink_at(port, "yard", "anna:one-secret@") as yard,
        sink_at(port, "door", "anna:another@") as door,
        sink_at(port, "street") as street,
        sink_at(port, "yard/small", "bert:third@") as below,
    ):
        sinks = (yard, door, street, below)
        for sink in sinks:
            sink.open(stream_info())
        with Camera(yard), Camera(door), Camera(street), Camera(below):
            logins = ("", "anna:one-secret@", "anna:another@", "bert:third@")
            seen = {
                (sink.name.partition(f"{port}/")[2], login): pictures_of(sink.name, login)
                for sink in sinks
                for login in logins
            }
    right = {
        ("yard", "anna:one-secret@"),
        ("door", "anna:another@"),
        ("yard/small", "bert:third@"),
        *(("street", login) for login in logins),
    }
    assert {key for key, count in seen.items() if count} == right


def test_each_path_counts_its_own_viewers_up_to_its_own_limit(port):
    with (
        sink_at(port, "yard", options="&clients=1") as yard,
        sink_at(port, "door", options="&clients=2") as door,
    ):
        yard.open(stream_info())
        door.open(stream_info())
        with Camera(yard), Camera(door):
            clients = [RawClient(port, path) for path in ("/yard", "/yard", "/door", "/door")]
            assert [client.play() for client in clients] == [200, 503, 200, 200]
            wait_for(lambda: (yard.viewers, door.viewers) == (1, 2))
            assert RawClient(port, "/door").play() == 503
            clients[0].close()
            wait_for(lambda: yard.viewers == 0)
            assert clients[1].play() == 200
            for client in clients[1:]:
                client.close()


def test_a_camera_without_pictures_keeps_nobody_from_those_of_another(port):
    """Whoever asks for its stream holds the server's thread until it is given up on."""
    limits = Limits(idle_s=HANG_S, first_picture_s=HANG_S)
    settings = EncoderSettings("libx264")
    with (
        RtspSink(Address("127.0.0.1", port, "/yard"), settings, limits) as yard,
        RtspSink(Address("127.0.0.1", port, "/door"), settings, limits) as dark,
        RtspSink(Address("127.0.0.1", port, "/street"), settings, limits) as street,
    ):
        for sink in (yard, dark, street):
            sink.open(stream_info())
        with Camera(yard):
            watcher = Watcher(yard.name)
            watcher.wait_for(10)
            dropped = yard.dropped
            waits = RawClient(port, "/door")
            waits.send(f"DESCRIBE {dark.name} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
            wait_for(lambda: dark.wants_picture)
            watcher.wait_for(10)
            with promptly():
                street.close()
            watcher.wait_for(10)
            # It was held all the time.
            assert dark.wants_picture
            dark.close()
            assert " 503 " in waits.receive_answer()
            watcher.wait_for(10)
            assert yard.dropped == dropped
            watcher.stop()
        assert (watcher.error, watcher.lost) == (None, 0)


def test_a_defect_in_the_server_is_told_to_all_and_all_come_back(port):
    def state():
        raise RuntimeError("nobody foresaw this")

    with sink_at(port, "yard") as yard, sink_at(port, "door") as door:
        yard.open(stream_info())
        door.open(stream_info(state))
        RawClient(port, "/door").send(f"DESCRIBE {door.name} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        wait_for(lambda: yard.wants_picture and door.wants_picture)
        for sink in (yard, door):
            with pytest.raises(SinkError, match="nobody foresaw this"), Camera(sink) as camera:
                wait_for(lambda camera=camera: camera.error)
        yard.close()
        yard.open(stream_info())
        # The old server's last path, closed late, must not take the new one along.
        door.close()
        door.open(stream_info())
        with Camera(yard), Camera(door):
            for sink in (yard, door):
                assert_sound(islice(decoded(sink.name), 5), 5)
