"""The RTSP server among clients that misbehave, while a decent viewer loses no picture."""

import ctypes
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from time import monotonic, sleep
from typing import NamedTuple

import psutil
import pytest
from support.ports import free_port
from support.rtsp_clients import Camera, RawClient, Watcher, over_udp, stream_info
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.sinks.encoder import EncoderSettings
from edge_detect.sinks.rtsp.clients import Limits
from edge_detect.sinks.rtsp.mount import Address
from edge_detect.sinks.rtsp.sink import RtspSink


class Served(NamedTuple):
    """A stream and its first viewer, who shows that nothing holds the pictures up."""

    sink: RtspSink
    port: int
    viewer: Watcher


@contextmanager
def watched(
    limits: Limits | None = None,
    bitrate_kbps: int = 4000,
    *,
    fps: float = 30.0,
    noise: bool = False,
) -> Iterator[Served]:
    """A served stream with a viewer; at the end it must have seen every picture."""
    port = free_port()
    settings = EncoderSettings("libx264", bitrate_kbps=bitrate_kbps)
    with RtspSink(Address("127.0.0.1", port, "/live"), settings, limits or Limits()) as sink:
        sink.open(stream_info())
        with Camera(sink, fps=fps, noise=noise):
            watcher = Watcher(sink.name)
            watcher.wait_for(10)
            # GStreamer's pipeline stands still before the first viewer plays, and after the last.
            dropped = sink.dropped
            yield Served(sink, port, watcher)
            watcher.wait_for(10)
            assert sink.dropped == dropped
            watcher.stop()
        assert watcher.error is None
        assert watcher.lost == 0


def open_connections(port: int) -> int:
    """How many connections the server holds, its listening socket left out."""
    return sum(
        each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED
        for each in psutil.Process().net_connections("tcp")
    )


def test_a_flood_of_connections_locks_nobody_out_and_is_bounded():
    limits = Limits(strangers=20, idle_s=2)
    with watched(limits) as (sink, port, viewer):
        flood = []
        most = 0
        for number in range(100):
            flood.append(RawClient(port))
            if number % 2:
                flood[-1].send(b"OPTIONS * RTSP/1.0\r\nCSe")
            RawClient(port).reset()
            if number % 3 == 0:
                most = max(most, open_connections(port))
                viewer.wait_for(1)
            if number == 80:
                guest = RawClient(port)
                assert guest.play() == 200
                wait_for(lambda: sink.viewers == 2)
                guest.close()
        assert most <= limits.clients + limits.strangers + 2
        wait_for(lambda: open_connections(port) == 1)
        assert sum(each.wait_for_end() for each in flood) == len(flood)


def test_connections_that_never_ask_for_anything_are_closed():
    with watched(Limits(idle_s=1)) as (_, port, _):
        clients = [RawClient(port)]
        assert clients[0].request("OPTIONS")[0] == 200
        for data in (b"", b"DESCRIBE rtsp://127.0.0.1/live RTSP/1.0\r\n", b"$\x00\xff\xff"):
            clients.append(RawClient(port))
            clients[-1].send(data)
        assert all(each.wait_for_end() for each in clients)


SENSELESS = {
    "a long header": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "many headers": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n" + b"X: b\r\n" * 150_000 + b"\r\n",
    "a long URL": b"OPTIONS " + b"/" * 1_000_000 + b" RTSP/1.0\r\n\r\n",
    "a large body": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4000000000\r\n\r\n"
    + b"c" * 1_000_000,
    "half a tunnel": b"POST / HTTP/1.0\r\nx-sessioncookie: a\r\nContent-Length: 9999999\r\n\r\n",
    "garbage": bytes(range(256)) * 4000,
    "data for no channel": b"$\x00\xff\xff" + b"\x80" * 1_000_000,
    "empty lines": b"\r\n" * 100_000,
}


def test_senseless_requests_of_a_megabyte_harm_nobody():
    with watched(Limits(idle_s=1)) as (_, port, viewer):
        before = psutil.Process().memory_info().rss
        clients = {name: [RawClient(port) for _ in range(2)] for name in SENSELESS}
        for name, head in SENSELESS.items():
            for client in clients[name]:
                client.send_if_possible(head)
            viewer.wait_for(1)
        for name in SENSELESS:
            assert all(each.wait_for_end() for each in clients[name]), name
        assert psutil.Process().memory_info().rss - before < 60e6


def test_requests_without_an_end_hold_nobody_up():
    """GStreamer alone would read one for ever, and neither accept nor close anything else."""
    with watched() as (_, port, viewer):
        ended = Event()

        def talk() -> None:
            while not ended.is_set():
                talker = RawClient(port)
                with suppress(OSError):
                    talker.send(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: ")
                    while not ended.is_set():
                        talker.send(b"a" * 65536)
                talker.close()

        talkers = [Thread(target=talk, daemon=True) for _ in range(3)]
        for each in talkers:
            each.start()
        for _ in range(3):
            guest = RawClient(port)
            # They talk until they are told to end.
            with promptly():
                assert guest.play() == 200
            guest.close()
            viewer.wait_for(3)
        ended.set()
        for each in talkers:
            each.join(10)
            assert not each.is_alive()


@contextmanager
def freed_memory_overwritten() -> Iterator[None]:
    """Whoever uses what was freed gets nonsense, instead of what happens to be there still."""
    library = ctypes.CDLL(None)
    perturb = -6  # M_PERTURB of glibc's <malloc.h>
    assert library.mallopt(perturb, 0xA5)
    try:
        yield
    finally:
        assert library.mallopt(perturb, 0)


def test_viewers_that_hang_up_while_the_server_is_held_up_end_nothing():
    """GStreamer finds out when it sends, and when it reads; the later one must find a client."""
    with freed_memory_overwritten(), watched() as (sink, port, _):
        for _ in range(10):
            viewers = [RawClient(port) for _ in range(3)]
            assert all(each.play() == 200 for each in viewers)
            talker = RawClient(port)
            talking = Thread(target=talker.send_if_possible, args=[SENSELESS["a long header"]])
            talking.start()
            # The server reads a megabyte a second, and stops this client after a tenth.
            sleep(0.02)
            for each in viewers:
                each.reset()
            talking.join()
            talker.close()
            wait_for(lambda: sink.viewers == 1)


@pytest.mark.endurance
def test_a_frozen_viewer_slows_nobody_and_is_sent_away():
    with watched(bitrate_kbps=12_000, fps=15, noise=True) as (sink, _, viewer):
        process = psutil.Process()
        command = f"ffmpeg -nostdin -loglevel quiet -rtsp_transport tcp -i {sink.name} -f null -"
        with subprocess.Popen(command.split()) as frozen:
            try:
                wait_for(lambda: sink.viewers == 2)
                viewer.wait_for(10)
                before = process.memory_info().rss
                frozen.send_signal(signal.SIGSTOP)
                stopped = monotonic()
                # It is there for ten seconds, but in nobody's way.
                viewer.wait_for(30)
                assert sink.viewers == 2
                grown = 0
                while sink.viewers == 2:
                    grown = max(grown, process.memory_info().rss - before)
                    viewer.wait_for(1)
                    assert monotonic() - stopped < HANG_S
                assert monotonic() - stopped >= 10
                # Ten seconds of the stream are 15 MB.
                assert grown < 60e6
                frozen.send_signal(signal.SIGCONT)
                assert frozen.wait(30) is not None
            finally:
                frozen.kill()
        wait_for(lambda: sink.viewers == 1)


def test_viewers_that_vanished_are_forgotten():
    """As after a power cut: nothing is received, and nobody hangs up."""
    # The decent viewer shows every second that it is there, and so may be four seconds late.
    limits = Limits(idle_s=1, session_s=2, session_grace_s=3, stuck_s=4)
    with watched(limits, fps=15, noise=True) as (sink, port, _):
        idle = RawClient(port)
        udp = RawClient(port)
        assert udp.play(over_udp()) == 200
        tcp = RawClient(port)
        assert tcp.play() == 200
        wait_for(lambda: sink.viewers == 3)
        # They are not idle as long as their sessions last.
        assert idle.wait_for_end()
        assert sink.viewers == 3
        wait_for(lambda: sink.viewers == 1 and open_connections(port) == 1)
        udp.close()
        tcp.close()


def test_viewers_beyond_the_limit_are_refused_until_one_leaves():
    with watched(Limits(clients=2)) as (sink, port, _):
        second = RawClient(port)
        assert second.play() == 200
        third = RawClient(port)
        assert third.play() == 503
        wait_for(lambda: sink.viewers == 2)
        second.close()
        wait_for(lambda: sink.viewers == 1)
        assert third.play() == 200
        third.close()


def test_pausing_and_leaving_count_as_not_looking():
    with watched() as (sink, port, _):
        client = RawClient(port)
        assert client.play(over_udp()) == 200
        wait_for(lambda: sink.viewers == 2)
        assert client.request("PAUSE")[0] == 200
        wait_for(lambda: sink.viewers == 1)
        assert client.request("PLAY")[0] == 200
        wait_for(lambda: sink.viewers == 2)
        assert client.request("TEARDOWN")[0] == 200
        wait_for(lambda: sink.viewers == 1)
        assert re.fullmatch(r"rtsp://127\.0\.0\.1:\d+/live", sink.name)
        client.close()
