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

from edge_detect.core import NS_PER_MS, SourceError, monotonic_ns
from edge_detect.sources import open_source

# Far above what is measured (3 to 75 ms), as tests share two cores with whatever else runs.
MOST_AGE_MS = 1500


@pytest.fixture(scope="module")
def camera():
    with rtsp_server("--shared") as server:
        yield f"rtsp://127.0.0.1:{server.port}/live"


@pytest.fixture(scope="module")
def web():
    with http_server() as server:
        yield f"http://127.0.0.1:{server.port}"


def check_stream(url: str, frames: int = 20) -> None:
    """Frames are whole, young, in order and of one size, and their times fit."""
    before_ns = monotonic_ns()
    with connected(url) as (source, first):
        assert source.live
        numbers, captured, ages = [], [before_ns - 1000 * NS_PER_MS], []
        for frame in chain([first], (source.read() for _ in range(frames - 1))):
            now_ns = monotonic_ns()
            stamp = pattern.read(frame.image)
            assert stamp is not None
            numbers.append(stamp.number)
            ages.append(stamp.age_ms(now_ns))
            assert captured[-1] < frame.captured_ns <= now_ns
            captured.append(frame.captured_ns)
            assert frame.size == source.size == (320, 240)
            assert frame.image.flags.c_contiguous
    assert numbers == sorted(set(numbers))
    assert sorted(ages)[len(ages) // 2] < MOST_AGE_MS


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
    start = time.monotonic()
    with open_source(f"{web}/{name}") as source:
        frames = []
        while (frame := source.read()) is not None:
            frames.append((pattern.read(frame.image).number, frame.captured_ns))
    assert time.monotonic() - start > 1.8
    assert frames[0][0] == 0
    assert frames[-1][0] == 49
    assert len(frames) > 30
    assert frames[-1][1] - frames[0][1] > 1800 * NS_PER_MS


def test_a_recording_that_breaks_off_is_lost_and_not_at_its_end(web) -> None:
    with open_source(f"{web}/cut.mp4") as source, pytest.raises(SourceError) as caught:
        while source.read() is not None:
            pass
    assert caught.value.transient


def test_a_slow_reader_gets_young_frames_and_the_others_are_counted() -> None:
    with (
        rtsp_server("--fps", "60") as server,
        connected(f"rtsp://127.0.0.1:{server.port}/live") as (source, _),
    ):
        memory = psutil.Process().memory_info().rss
        ages, numbers, sequences = [], [], []
        for _ in range(30):
            time.sleep(1 / 6)
            frame = source.read()
            stamp = pattern.read(frame.image)
            ages.append(stamp.age_ms(monotonic_ns()))
            numbers.append(stamp.number)
            sequences.append(frame.sequence)
        grown = psutil.Process().memory_info().rss - memory
    # A queue would add nine tenths of the time that went by: 3 seconds at least between these.
    part = len(ages) // 3
    assert sorted(ages[-part:])[part // 2] < sorted(ages[:part])[part // 2] + 1000
    assert len(set(sequences)) == len(sequences)
    # Ten times as many came as were read, less what the server had no time for.
    assert sequences[-1] - sequences[0] > 3 * len(ages)
    assert sequences[-1] - sequences[0] <= numbers[-1] - numbers[0] + 2
    assert grown < 30e6


def test_a_server_without_any_pace_fills_no_memory(web) -> None:
    with connected(f"{web}/live.ts?fps=0&size=640x480") as (source, _):
        memory = psutil.Process().memory_info().rss
        end = time.monotonic() + 2
        frames = 0
        while time.monotonic() < end:
            frames += source.read() is not None
        assert frames > 2
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
    program = (
        "import sys, threading; from edge_detect.sources import open_source\n"
        "source = open_source(sys.argv[1])\n"
        "reader = threading.Thread(target=source.read); reader.start()\n"
        "reader.join(1); source.close(); reader.join(); print('over', flush=True)\n"
    )
    with silent_port() as port:
        url = f"rtsp://127.0.0.1:{port}/live?open_timeout=60"
        process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE)
        with process:
            assert process.stdout.readline() == b"over\n"
            assert process.wait(5) == 0
