"""The V4L2 source and a made-up driver in the kernel's place: what goes wrong."""

import json
import signal
import subprocess
import sys
import threading
import time

import pytest
from fakes.v4l2_device.fake_camera import PICTURES, FakeCamera, color_error, read_numbers
from fakes.v4l2_device.in_front import environment, in_front_of
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import SourceError
from edge_detect.core.url import parse_url
from edge_detect.sources import open_source
from edge_detect.sources.v4l2.source import V4l2Source, read_v4l2_url

YUYV = "mode YUYV 320 240 640 153600 30 15"
NV12 = "mode NV12 320 240 320 115200 30"
MJPG = "mode MJPG 320 240 0 120000 30 15"


def open_within(camera: FakeCamera, silence_s: float) -> V4l2Source:
    """A camera that counts as lost when it is silent for so long."""
    return V4l2Source(*read_v4l2_url(parse_url(camera.url())), silence_s=silence_s)


@in_front_of(MJPG, YUYV)
def test_a_driver_that_does_not_keep_its_word_is_refused_only_where_it_matters(camera) -> None:
    camera.go_wrong("stubborn")
    with pytest.raises(SourceError, match="gives MJPG 320x240 when asked for YUYV 320x240"):
        open_source(camera.url("fourcc=YUYV"))
    with open_source(camera.url("size=320x240")) as source:
        assert source.fourcc == "MJPG"
        assert color_error(source.read().image) <= 3


@in_front_of(YUYV)
def test_every_reason_not_to_open_a_camera_has_its_own_words(camera) -> None:
    missing = FakeCamera(camera.folder, 7)
    other = camera.folder / "notes.txt"
    other.write_text("no device")
    metadata = FakeCamera(camera.folder, 1)
    metadata.plug("caps 84a00001 04800000")
    receiver = FakeCamera(camera.folder, 2)
    receiver.plug("driver unicam", YUYV)
    cases = [
        (missing.url(), "", "there is no camera at", "plug it in", True),
        (camera.url(), "busy", "is in use by another program", "fuser", True),
        (camera.url(), "crowded", "no room", "fourcc=MJPG", True),
        (camera.url(), "denied", "no permission", "video", False),
        (metadata.url(), "", "is not a camera", camera.url(), False),
        (receiver.url(), "", "is the CSI connector", "picamera2://0", False),
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
    source = open_within(camera, HANG_S)
    read_numbers(source, 3)
    # The reader waits for a frame, mostly.
    threading.Timer(0.2, camera.unplug).start()
    with promptly(), pytest.raises(SourceError, match="lost") as caught:
        read_numbers(source, 10_000)
    assert caught.value.transient
    source.close()
    with pytest.raises(SourceError, match="no camera") as caught:
        open_source(camera.url())
    assert caught.value.transient
    camera.plug(YUYV)
    with open_source(camera.url()) as source:
        [(sequence, number)] = read_numbers(source, 1)
        assert number == sequence % PICTURES


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
        assert source._silence_s == 5
        source.read()
        camera.go_wrong("stall")
        threading.Timer(0.5, camera.go_wrong).start()
        assert source.read() is not None
        wait_for(lambda: source.read().media_ns > 500_000_000)
    with open_within(camera, 0.5) as source:
        camera.go_wrong("stall")
        start = time.monotonic()
        with promptly(), pytest.raises(SourceError, match=r"no frames in 0\.5 s") as caught:
            read_numbers(source, 10_000)
        assert time.monotonic() - start > 0.49
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
            numbers = read_numbers(source, 3)
            # A reader that is late misses damaged ones, too.
            while source.damaged < 3:
                numbers += read_numbers(source, 1)
        assert all(number == sequence % PICTURES for sequence, number in numbers), words
        assert not [sequence for sequence, _ in numbers if sequence % 3 == 2], words


@in_front_of(YUYV, NV12)
def test_raw_pictures_that_are_too_short_are_skipped_and_counted(camera) -> None:
    for fourcc in ("YUYV", "NV12"):
        camera.go_wrong("damage=2")
        with open_source(camera.url(f"fourcc={fourcc}")) as source:
            while source.damaged < 3:
                assert color_error(source.read().image) <= 3


@in_front_of(MJPG)
def test_a_camera_that_gives_only_damaged_pictures_is_lost(camera) -> None:
    camera.go_wrong("empty")
    with open_within(camera, 0.5) as source:
        with pytest.raises(SourceError, match=r"only \d+ damaged pictures in 0\.5 s") as caught:
            source.read()
        assert caught.value.transient


@in_front_of(YUYV)
def test_a_link_that_leads_nowhere_is_a_camera_that_is_not_there(camera) -> None:
    link = camera.folder / "gone"
    link.symlink_to(camera.folder / "video9")
    with pytest.raises(SourceError, match="there is no camera") as caught:
        open_source(f"v4l2://{link}")
    assert caught.value.transient


def test_the_program_goes_on_when_its_camera_is_back(tmp_path) -> None:
    camera, results, log = FakeCamera(tmp_path), tmp_path / "out.jsonl", tmp_path / "log"
    camera.plug(MJPG)
    command = [sys.executable, "-m", "edge_detect.app.cli", "run", camera.url()]
    command += ["--model", "ssdlite-mobilenet-v2-pedestrian", "--sink", str(results), "--quiet"]

    def lines() -> list[dict]:
        # The last line may be half written.
        return [json.loads(line) for line in results.read_text().split("\n")[:-1]]

    with log.open("w") as errors:
        program = subprocess.Popen(command, env=environment(tmp_path), stderr=errors)
        try:
            wait_for(lambda: results.exists() and len(lines()) > 5, 60)
            camera.unplug()
            wait_for(lambda: "lost" in log.read_text())
            before = len(lines())
            camera.plug(MJPG)
            wait_for(lambda: len(lines()) > before + 5, 60)
            program.send_signal(signal.SIGINT)
            assert program.wait(60) == 0
        finally:
            program.kill()
            program.wait(10)
    sequences = [line["sequence"] for line in lines()]
    assert sequences == sorted(set(sequences))
    said = log.read_text()
    assert "No such device" in said
    assert "trying again until it is back" in said
    assert "back after" in log.read_text()
    assert camera.violations() == ""


MISUSE = """
import os, sys
from edge_detect.core import Size
from edge_detect.sources.v4l2 import calls as calls
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
calls.set_format(fd, "YUYV", Size(320, 240))
calls.request_buffers(fd, 4)
for wrong in (lambda: calls.dequeue(fd), lambda: [calls.queue(fd, 0) for _ in range(2)]):
    try:
        wrong()
    except OSError as error:
        print(error.errno)
"""


def test_the_made_up_driver_tells_who_misuses_it(tmp_path) -> None:
    camera = FakeCamera(tmp_path)
    camera.plug(YUYV)
    command = [sys.executable, "-c", MISUSE, camera.node]
    env = environment(tmp_path)
    done = subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
    assert done.stdout.split() == [b"22", b"22"]
    violations = camera.violations()
    assert "DQBUF without STREAMON" in violations
    assert "QBUF of buffer 0, which is not the program's" in violations
    assert "was left open" in violations
