"""Network streams of all sorts, from real servers on loopback, arrive in order and in time."""

import subprocess
import sys
import time
from itertools import chain

import psutil
import pytest
from support.servers import pattern
from support.servers.programs import http_server, rtsp_server, silent_port
from support.streams import LOGIN, PASSWORD, USER, connected, make_certificate
from support.waiting import HANG_S, promptly

from edge_detect.core import NS_PER_MS, SourceError, monotonic_ns
from edge_detect.sources import open_source


@pytest.fixture(scope="module")
def camera():
    with rtsp_server("--shared") as server:
        yield f"rtsp://127.0.0.1:{server.port}/live"


@pytest.fixture(scope="module")
def web():
    with http_server() as server:
        yield f"http://127.0.0.1:{server.port}"


def check_stream(url: str, frames: int = 10) -> None:
    """Frames are whole, in order and of one size, and their times fit."""
    before_ns = monotonic_ns()
    with connected(url) as (source, first):
        assert source.live
        numbers, captured = [], [before_ns - 1000 * NS_PER_MS]
        for frame in chain([first], (source.read() for _ in range(frames - 1))):
            now_ns = monotonic_ns()
            stamp = pattern.read(frame.image)
            assert stamp is not None
            numbers.append(stamp.number)
            # Made before it was captured, and on the same clock.
            assert stamp.age_ms(now_ns) < 1000 * HANG_S
            assert captured[-1] < frame.captured_ns <= now_ns
            captured.append(frame.captured_ns)
            assert frame.size == source.size == (320, 240)
            assert frame.image.flags.c_contiguous
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_is_read_by_both_transports(camera, transport) -> None:
    check_stream(f"{camera}?transport={transport}&channel=1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--codec", "h264", "--profile", "high"),
        ("--codec", "h265"),
        ("--codec", "mjpeg"),
    ],
)
def test_every_codec_of_cameras_is_read(arguments) -> None:
    with rtsp_server(*arguments) as server:
        check_stream(f"rtsp://127.0.0.1:{server.port}/live")


@pytest.mark.parametrize("style", ["plain", "quoted", "dashes", "bare", "lower"])
def test_mjpeg_is_read_however_the_camera_writes_it(web, style) -> None:
    check_stream(f"{web}/mjpeg?style={style}")


def test_the_picture_size_may_change_within_a_stream(web) -> None:
    with connected(f"{web}/mjpeg?zoom=1") as (source, _):
        frames = [source.read() for _ in range(25)]
    assert {frame.size for frame in frames} == {(320, 240), (640, 240)}
    assert all(pattern.read(frame.image) for frame in frames)


def test_an_endless_transport_stream_is_read(web) -> None:
    check_stream(f"{web}/live.ts")


def test_the_nominal_rate_is_known_where_the_stream_tells_it(camera, web) -> None:
    for url, fps in ((camera, 30), (f"{web}/live.ts", 30), (f"{web}/mjpeg?fps=12", None)):
        with connected(url) as (source, _):
            assert source.fps == fps


def test_a_constructor_connects_to_nothing() -> None:
    with silent_port() as port, open_source(f"rtsp://127.0.0.1:{port}/live") as source:
        assert (source.size, source.fps) == (None, None)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts"])
def test_a_recording_on_a_web_server_comes_at_its_own_rate_and_ends(web, name) -> None:
    with open_source(f"{web}/{name}") as source:
        frames = []
        while (frame := source.read()) is not None:
            frames.append((pattern.read(frame.image).number, frame.captured_ns))
    numbers = [number for number, _ in frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 5
    assert numbers[-1] == 24
    # A reader that is late misses the first ones.
    played = numbers[-1] - numbers[0]
    assert frames[-1][1] - frames[0][1] > (played - 2) * 40 * NS_PER_MS


def test_a_recording_that_breaks_off_is_lost_and_not_at_its_end(web) -> None:
    with open_source(f"{web}/cut.mp4") as source, pytest.raises(SourceError) as caught:
        while source.read() is not None:
            pass
    assert caught.value.transient


def test_a_slow_reader_gets_the_newest_frames_and_the_others_are_counted() -> None:
    with (
        rtsp_server("--fps", "60") as server,
        connected(f"rtsp://127.0.0.1:{server.port}/live") as (source, _),
    ):
        memory = psutil.Process().memory_info().rss
        numbers, sequences = [], []
        for _ in range(12):
            time.sleep(1 / 6)
            frame = source.read()
            numbers.append(pattern.read(frame.image).number)
            sequences.append(frame.sequence)
        grown = psutil.Process().memory_info().rss - memory
    # A queue would give one after the other. Ten times as many came as were read, less what the
    # server had no time for.
    assert sequences == sorted(set(sequences))
    assert sequences[-1] - sequences[0] > 2 * len(sequences)
    assert sequences[-1] - sequences[0] <= numbers[-1] - numbers[0] + 2
    assert grown < 30e6


def test_a_server_without_any_pace_fills_no_memory(web) -> None:
    with connected(f"{web}/live.ts?fps=0&size=640x480") as (source, _):
        memory = psutil.Process().memory_info().rss
        end = time.monotonic() + 1.5
        frames = 0
        while time.monotonic() < end or frames < 3:
            frames += source.read() is not None
        assert psutil.Process().memory_info().rss - memory < 40e6


@pytest.mark.parametrize("digest", [(), ("--digest",)])
def test_rtsp_logins_with_special_characters_are_accepted(digest, monkeypatch) -> None:
    with rtsp_server("--user", USER, "--password", PASSWORD, *digest) as server:
        check_stream(f"rtsp://{LOGIN}@127.0.0.1:{server.port}/live", frames=2)
        monkeypatch.setenv("EDGE_DETECT_SOURCE_USER", USER)
        monkeypatch.setenv("EDGE_DETECT_SOURCE_PASSWORD", PASSWORD)
        check_stream(f"rtsp://127.0.0.1:{server.port}/live", frames=2)


def test_http_logins_with_special_characters_are_accepted(web) -> None:
    check_stream(web.replace("//", f"//{LOGIN}@") + "/private/mjpeg", frames=2)


def test_encrypted_streams_are_read_and_certificates_checked_when_asked(tmp_path) -> None:
    certificate, key = make_certificate(tmp_path)
    with (
        rtsp_server("--tls", certificate, key) as camera,
        http_server("--tls", certificate, key) as web,
    ):
        for url in (f"rtsps://127.0.0.1:{camera.port}/live", f"https://127.0.0.1:{web.port}/mjpeg"):
            check_stream(url, frames=2)
            check_stream(f"{url}?tls_ca={certificate}", frames=2)
            with open_source(f"{url}?tls_verify=true") as source:
                with pytest.raises(SourceError) as caught:
                    source.read()
                assert "certificate" in caught.value.hint


def test_the_program_ends_at_once_although_a_camera_does_not_answer() -> None:
    # The interpreter is gone for a second before the process is: whatever still asks it for
    # something in that time crashes. `sleep` is called with the exit status.
    program = (
        "import ctypes, sys, threading; from edge_detect.sources import open_source\n"
        "source = open_source(sys.argv[1])\n"
        "reader = threading.Thread(target=source.read); reader.start()\n"
        "while not source._reader: pass\n"
        "source.close(); reader.join(); print('over', flush=True)\n"
        "libc = ctypes.CDLL(None); libc.on_exit(libc.sleep, None); sys.exit(1)\n"
    )
    with silent_port() as port:
        url = f"rtsp://127.0.0.1:{port}/live?open_timeout={HANG_S:g}"
        process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE)
        with process:
            assert process.stdout.readline() == b"over\n"
            with promptly():
                assert process.wait(HANG_S) == 1
