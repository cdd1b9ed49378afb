"""The V4L2 source in front of a made-up driver in the place of the kernel's.

Each test runs in a process of its own, because the driver is loaded before the C library. It
fails, too, if the process misused the device, or left a descriptor or a mapping behind.
"""

import faulthandler
import functools
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

FAKES = Path(__file__).parents[1] / "fakes" / "v4l2_device"
sys.path.insert(0, str(FAKES))

from fake_camera import (  # noqa: E402
    PICTURES,
    FakeCamera,
    build,
    color_error,
    environment,
    number_in,
)
from waiting import wait_for  # noqa: E402

from edge_detect.core import ConfigError, SourceError, monotonic_ns  # noqa: E402
from edge_detect.sources import first_camera, open_source  # noqa: E402

YUYV = "mode YUYV 320 240 640 153600 30 15"
SMALL_YUYV = "mode YUYV 160 120 320 38400 30"
NV12 = "mode NV12 320 240 320 115200 30"
MJPG = "mode MJPG 320 240 0 120000 30 15"
SLOW_S = 10


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Path:
    """The driver's shared library."""
    return build(tmp_path_factory.mktemp("driver"))


def in_front_of(*lines: str):
    """Run a test in a process that sees a camera with these modes."""

    def decorate(body):
        @functools.wraps(body)
        def test(driver, tmp_path):
            camera = FakeCamera(tmp_path)
            camera.plug(*lines)
            done = subprocess.run(
                [sys.executable, __file__, body.__name__, tmp_path],
                env=environment(driver, tmp_path) | {"PYTHONPATH": str(Path(__file__).parents[1])},
                check=False,
                capture_output=True,
                text=True,
                timeout=100,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert camera.violations() == ""

        # Its arguments, not those of the body, are the fixtures.
        del test.__wrapped__
        test.body = body
        return test

    return decorate


def read_numbers(source, count: int) -> list[tuple[int, int]]:
    """Sequence number and number in the picture of some frames."""
    frames = [source.read() for _ in range(count)]
    return [(frame.sequence, number_in(frame.image)) for frame in frames]


@in_front_of(YUYV)
def test_frames_carry_the_drivers_times_and_numbers(camera) -> None:
    with open_source(camera.url()) as source:
        assert (source.size, source.fps, source.fourcc, source.live) == (
            (320, 240),
            30,
            "YUYV",
            True,
        )
        frames = []
        for _ in range(20):
            frames.append(source.read())
            assert 0 <= monotonic_ns() - frames[-1].captured_ns < 1_000_000_000
    steps = np.diff([frame.captured_ns for frame in frames])
    numbers = np.diff([frame.sequence for frame in frames])
    assert frames[0].sequence == frames[0].media_ns == 0
    assert (steps > 0).all()
    assert (numbers > 0).all()
    assert np.median(steps / numbers) == pytest.approx(33_333_333, rel=0.2)
    assert frames[-1].media_ns == frames[-1].captured_ns - frames[0].captured_ns
    assert all(number_in(frame.image) == frame.sequence % PICTURES for frame in frames)


@in_front_of(YUYV)
def test_an_image_that_is_held_is_not_written_to(camera) -> None:
    with open_source(camera.url()) as source:
        held = source.read().image
        before = held.copy()
        read_numbers(source, 12)
    assert (held == before).all()


@in_front_of(YUYV, NV12, MJPG)
def test_colors_are_right_in_every_format(camera) -> None:
    for fourcc in ("YUYV", "NV12", "MJPG"):
        with open_source(camera.url(f"fourcc={fourcc}")) as source:
            frame = source.read()
        assert source.fourcc == fourcc
        assert frame.size == (320, 240)
        assert color_error(frame.image) <= 3, fourcc
        assert number_in(frame.image) == frame.sequence % PICTURES


@in_front_of("mode YUYV 320 240 704 180224 30", "mode NV12 320 240 384 138240 30")
def test_padding_at_the_end_of_rows_is_left_out(camera) -> None:
    for fourcc in ("YUYV", "NV12"):
        with open_source(camera.url(f"fourcc={fourcc}")) as source:
            frame = source.read()
        assert frame.image.shape == (240, 320, 3)
        assert color_error(frame.image) <= 3, fourcc


@in_front_of("mode YUYV 320 240 640 999999 30", "mode NV12 320 240 320 999999 30")
def test_a_picture_size_that_is_wrong_does_no_harm(camera) -> None:
    for fourcc in ("YUYV", "NV12"):
        with open_source(camera.url(f"fourcc={fourcc}")) as source:
            assert color_error(source.read().image) <= 3, fourcc


@in_front_of("mode YUYV 640 480 1280 614400 10", SMALL_YUYV, MJPG)
def test_what_is_not_asked_for_is_chosen(camera) -> None:
    chosen = {}
    for query in ("", "size=640x480", "size=160x120", "fps=15", "fourcc=YUYV"):
        with open_source(camera.url(query)) as source:
            chosen[query] = f"{source.fourcc} {source.size} {source.fps:g}"
    assert chosen == {
        "": "MJPG 320x240 30",
        "size=640x480": "YUYV 640x480 10",
        "size=160x120": "YUYV 160x120 30",
        "fps=15": "MJPG 320x240 15",
        "fourcc=YUYV": "YUYV 160x120 30",
    }


@in_front_of(MJPG, SMALL_YUYV)
def test_what_the_camera_has_not_is_met_with_what_it_has(camera) -> None:
    cases = {
        "size=640x480": "has no 640x480",
        "fps=60": "has no 60 fps",
        "fourcc=NV12": "has no NV12",
        "size=160x120&fourcc=mjpg&fps=5": "has no MJPG 160x120 5 fps",
    }
    for query, fact in cases.items():
        with pytest.raises(SourceError) as caught:
            open_source(camera.url(query))
        assert caught.value.message == f"camera {camera.node} {fact}"
        assert caught.value.hint == "it offers MJPG 320x240 30 15; YUYV 160x120 30"
        assert not caught.value.transient


@in_front_of("mode H264 640 480 0 100000 30", "mode RGGB 640 480 640 307200 30")
def test_a_camera_that_cannot_be_read_is_told_by_its_formats(camera) -> None:
    with pytest.raises(SourceError, match="gives H264, RGGB and none of NV12, YUYV, MJPG"):
        open_source(camera.url())


@in_front_of(YUYV)
def test_every_reason_not_to_open_a_camera_has_its_own_words(camera) -> None:
    missing = FakeCamera(camera.folder, 7)
    other = camera.folder / "notes.txt"
    other.write_text("no device")
    metadata = FakeCamera(camera.folder, 1)
    metadata.plug("caps 84a00001 04800000")
    cases = [
        (missing.url(), "", "there is no camera at", "plug it in", True),
        (camera.url(), "busy", "is in use by another program", "fuser", True),
        (camera.url(), "crowded", "no room", "fourcc=MJPG", True),
        (camera.url(), "denied", "no permission", "video", False),
        (metadata.url(), "", "is not a camera", camera.url(), False),
        (f"v4l2://{other}", "", "is not a camera", camera.url(), False),
        (f"v4l2://{camera.folder}", "", "is not a camera", "by-id", False),
    ]
    for url, words, fact, hint, transient in cases:
        camera.go_wrong(words)
        with pytest.raises(SourceError) as caught:
            open_source(url)
        assert fact in caught.value.message
        assert hint in caught.value.hint
        assert caught.value.transient == transient, caught.value
        assert "\n" not in caught.value.message
    camera.go_wrong()
    with open_source(camera.url()) as source:
        assert source.read() is not None


@in_front_of(YUYV)
def test_a_camera_that_we_use_ourselves_is_in_use(camera) -> None:
    with open_source(camera.url()) as source:
        with pytest.raises(SourceError, match="in use"):
            open_source(camera.url())
        assert source.read() is not None
    with open_source(camera.url()) as source:
        assert source.read() is not None


@in_front_of(YUYV)
def test_a_camera_that_is_unplugged_is_lost_at_once_and_found_when_it_is_back(camera) -> None:
    source = open_source(camera.url())
    read_numbers(source, 3)
    threading.Timer(0.2, camera.unplug).start()
    start = time.monotonic()
    with pytest.raises(SourceError, match="lost") as caught:
        read_numbers(source, 1000)
    assert time.monotonic() - start < 2
    assert caught.value.transient
    source.close()
    with pytest.raises(SourceError, match="no camera") as caught:
        open_source(camera.url())
    assert caught.value.transient
    camera.plug(YUYV)
    with open_source(camera.url()) as source:
        assert read_numbers(source, 1) == [(0, 0)]


@in_front_of(YUYV)
def test_a_camera_is_found_by_its_name_under_another_number(camera) -> None:
    by_id = camera.folder / "by-id"
    by_id.mkdir()
    link = by_id / "usb-Made-up_Camera-index0"
    link.symlink_to(camera.node)
    with open_source(f"v4l2://{link}") as source:
        assert source.read().source == f"v4l2://{link}"
        camera.unplug()
        with pytest.raises(SourceError, match="lost"):
            read_numbers(source, 1000)
    link.unlink()
    moved = FakeCamera(camera.folder, 4)
    moved.plug(YUYV)
    link.symlink_to(moved.node)
    with open_source(f"v4l2://{link}") as source:
        assert source.read() is not None


@in_front_of(YUYV)
def test_a_camera_that_hesitates_is_waited_for_and_a_silent_one_is_lost(camera) -> None:
    with open_source(camera.url()) as source:
        source.read()
        camera.go_wrong("stall")
        threading.Timer(1.5, camera.go_wrong).start()
        assert source.read().captured_ns > 0
        wait_for(lambda: source.read().media_ns > 1_500_000_000)
        camera.go_wrong("stall")
        start = time.monotonic()
        with pytest.raises(SourceError, match="no frames in 5 s") as caught:
            read_numbers(source, 1000)
        assert 4.9 < time.monotonic() - start < SLOW_S
        assert caught.value.transient


@in_front_of(YUYV)
def test_a_driver_that_fails_is_a_lost_camera(camera) -> None:
    with open_source(camera.url()) as source:
        source.read()
        camera.go_wrong("failing")
        with pytest.raises(SourceError, match="lost: Input/output error") as caught:
            read_numbers(source, 1000)
        assert caught.value.transient


@in_front_of(YUYV)
def test_closing_ends_a_read_that_waits(camera) -> None:
    camera.go_wrong("stall")
    source = open_source(camera.url())
    results = []
    reader = threading.Thread(target=lambda: results.append(source.read()), name="edge-test")
    reader.start()
    time.sleep(0.3)
    start = time.monotonic()
    source.close()
    reader.join(5)
    assert time.monotonic() - start < 0.5
    assert results == [None]
    assert source.read() is None
    source.close()


@in_front_of(SMALL_YUYV)
def test_two_hundred_cameras_leave_no_thread_and_no_descriptor(camera) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with open_source(camera.url()) as source:
        source.read()
    # The driver closes its own end a moment later.
    time.sleep(0.1)
    threads, before = threading.active_count(), descriptors()
    for index in range(200):
        source = open_source(camera.url("fps=30"))
        if index % 10 == 0:
            assert source.read() is not None
        source.close()
    wait_for(lambda: descriptors() <= before)
    assert threading.active_count() == threads


@in_front_of(YUYV)
def test_a_slow_reader_gets_fresh_frames_and_the_gaps_tell_what_it_missed(camera) -> None:
    ages, sequences = [], []
    with open_source(camera.url()) as source:
        for _ in range(8):
            frame = source.read()
            ages.append((monotonic_ns() - frame.captured_ns) / 1e6)
            sequences.append(frame.sequence)
            assert number_in(frame.image) == frame.sequence % PICTURES
            time.sleep(0.4)
    # Without buffers to fill, a driver stops at the oldest frames: those would be 270 ms old.
    assert np.median(ages) < 100, ages
    assert np.median(np.diff(sequences)) == pytest.approx(12, abs=2)


@in_front_of(YUYV)
def test_frames_that_the_driver_lost_are_gaps(camera) -> None:
    camera.go_wrong("lose=4")
    with open_source(camera.url()) as source:
        numbers = read_numbers(source, 20)
    assert all(number == sequence % PICTURES for sequence, number in numbers)
    assert not [sequence for sequence, _ in numbers if sequence % 4 == 3]


@in_front_of(MJPG)
def test_damaged_pictures_are_skipped_and_counted(camera) -> None:
    for words in ("damage=3", "empty=3", "flag=3"):
        camera.go_wrong(words)
        with open_source(camera.url()) as source:
            numbers = read_numbers(source, 12)
            assert source.damaged >= 3, words
        assert all(number == sequence % PICTURES for sequence, number in numbers), words
        assert not [sequence for sequence, _ in numbers if sequence % 3 == 2], words


@in_front_of(YUYV, NV12)
def test_raw_pictures_that_are_too_short_are_skipped_and_counted(camera) -> None:
    for fourcc in ("YUYV", "NV12"):
        camera.go_wrong("damage=2")
        with open_source(camera.url(f"fourcc={fourcc}")) as source:
            for _ in range(5):
                assert color_error(source.read().image) <= 3
            assert source.damaged >= 3


@in_front_of(MJPG)
def test_a_camera_that_gives_only_damaged_pictures_is_lost(camera) -> None:
    camera.go_wrong("empty")
    with open_source(camera.url()) as source:
        with pytest.raises(SourceError, match=r"only \d+ damaged pictures in 5 s") as caught:
            source.read()
        assert caught.value.transient


@in_front_of(YUYV, "wall-clock", "uncounted")
def test_a_driver_without_times_and_numbers_gets_ours(camera) -> None:
    with open_source(camera.url()) as source:
        frames = [source.read() for _ in range(10)]
        assert 0 <= monotonic_ns() - frames[-1].captured_ns < 1_000_000_000
    assert frames[0].sequence == 0
    assert (np.diff([frame.sequence for frame in frames]) >= 1).all()
    assert (np.diff([frame.captured_ns for frame in frames]) > 0).all()


@in_front_of(YUYV, "unlisted")
def test_a_driver_that_lists_nothing_is_asked_what_it_would_take(camera) -> None:
    with open_source(camera.url()) as source:
        assert (source.size, source.fps) == ((320, 240), None)
        assert source.read() is not None
    with pytest.raises(SourceError, match="has no 640x480") as caught:
        open_source(camera.url("size=640x480"))
    assert caught.value.hint == "it offers YUYV 320x240"


@in_front_of("range YUYV 16 16 1920 1080 2 1 60")
def test_a_camera_of_any_size_takes_the_size_that_is_asked_for(camera) -> None:
    camera.picture("YUYV", 322, 240, 644)
    with open_source(camera.url("size=322x240&fps=24")) as source:
        assert (source.size, source.fps) == ((322, 240), 24)
        assert source.read().size == (322, 240)
    with pytest.raises(SourceError, match="has no 321x240 120 fps") as caught:
        open_source(camera.url("size=321x240&fps=120"))
    assert caught.value.hint == "it offers YUYV 1920x1080 60-1 · 320x240 60-1 · 16x16 60-1"


@in_front_of(YUYV, "control 9963776 -64 64 Brightness", "control 10094849 0 3 Auto Exposure")
def test_controls_are_set_by_name_in_the_order_given(camera) -> None:
    with open_source(camera.url("controls=auto_exposure:1,brightness:-10")) as source:
        assert source.read() is not None
    assert camera.controls_set() == ["Auto Exposure=1", "Brightness=-10"]
    for query, fact in (("hue:1", "has no control 'hue'"), ("brightness:99", "does not take 99")):
        with pytest.raises(ConfigError, match=fact):
            open_source(camera.url(f"controls={query}"))


@in_front_of(YUYV)
def test_the_first_camera_is_the_one_that_captures(camera) -> None:
    camera.unplug()
    for number, line in ((0, "caps 84a00001 04800000"), (2, YUYV), (10, YUYV)):
        FakeCamera(camera.folder, number).plug(line)
    assert first_camera(camera.folder) == FakeCamera(camera.folder, 2).url()


@in_front_of(YUYV)
def test_a_link_that_leads_nowhere_is_a_camera_that_is_not_there(camera) -> None:
    link = camera.folder / "gone"
    link.symlink_to(camera.folder / "video9")
    with pytest.raises(SourceError, match="there is no camera") as caught:
        open_source(f"v4l2://{link}")
    assert caught.value.transient


def test_the_program_goes_on_when_its_camera_is_back(driver, tmp_path) -> None:
    camera, results, log = FakeCamera(tmp_path), tmp_path / "out.jsonl", tmp_path / "log"
    camera.plug(MJPG)
    command = [sys.executable, "-m", "edge_detect.app.cli", "run", camera.url()]
    command += ["--model", "ssdlite-mobilenet-v2-pedestrian", "--sink", str(results), "--quiet"]

    def lines() -> list[dict]:
        return [json.loads(line) for line in results.read_text().splitlines()]

    with log.open("w") as errors:
        program = subprocess.Popen(command, env=environment(driver, tmp_path), stderr=errors)
        try:
            wait_for(lambda: results.exists() and len(lines()) > 5, 60)
            camera.unplug()
            wait_for(lambda: "lost" in log.read_text())
            before = len(lines())
            camera.plug(MJPG)
            wait_for(lambda: len(lines()) > before + 5, 30)
            program.send_signal(signal.SIGINT)
            assert program.wait(20) == 0
        finally:
            program.kill()
            program.wait(10)
    sequences = [line["sequence"] for line in lines()]
    assert sequences == sorted(set(sequences))
    assert "No such device; trying again" in log.read_text()
    assert "back after" in log.read_text()
    assert camera.violations() == ""


MISUSE = """
import os, sys
from edge_detect.core import Size
from edge_detect.sources import v4l2_calls as calls
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
calls.set_format(fd, "YUYV", Size(320, 240))
calls.request_buffers(fd, 4)
for wrong in (lambda: calls.dequeue(fd), lambda: [calls.queue(fd, 0) for _ in range(2)]):
    try:
        wrong()
    except OSError as error:
        print(error.errno)
"""


def test_the_made_up_driver_tells_who_misuses_it(driver, tmp_path) -> None:
    camera = FakeCamera(tmp_path)
    camera.plug(YUYV)
    command = [sys.executable, "-c", MISUSE, camera.node]
    env = environment(driver, tmp_path)
    done = subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
    assert done.stdout.split() == [b"22", b"22"]
    violations = camera.violations()
    assert "DQBUF without STREAMON" in violations
    assert "QBUF of buffer 0, which is not the program's" in violations
    assert "was left open" in violations


def main(name: str, folder: str) -> None:
    """Run the body of one test."""
    faulthandler.dump_traceback_later(90, exit=True)
    globals()[name].body(FakeCamera(Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
