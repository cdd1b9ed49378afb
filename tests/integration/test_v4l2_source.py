"""The V4L2 source and a made-up driver in the kernel's place: what it captures."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fakes.v4l2_device.fake_camera import PICTURES, FakeCamera, color_error, number_in, read_numbers
from fakes.v4l2_device.in_front import in_front_of
from support.waiting import HANG_S, PROMPT_S, promptly, wait_for

from edge_detect.core import ConfigError, SourceError, monotonic_ns
from edge_detect.core.url import parse_url
from edge_detect.sources import first_camera, open_source
from edge_detect.sources.first import open_first
from edge_detect.sources.v4l2.source import V4l2Source, read_v4l2_url

YUYV = "mode YUYV 320 240 640 153600 30 15"
SMALL_YUYV = "mode YUYV 160 120 320 38400 30"
NV12 = "mode NV12 320 240 320 115200 30"
MJPG = "mode MJPG 320 240 0 120000 30 15"


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
            assert 0 <= monotonic_ns() - frames[-1].captured_ns < PROMPT_S * 1e9
    steps = np.diff([frame.captured_ns for frame in frames])
    numbers = np.diff([frame.sequence for frame in frames])
    # A reader that is late misses the first ones.
    assert frames[0].sequence >= frames[0].media_ns == 0
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
def test_closing_ends_a_read_that_waits(camera) -> None:
    camera.go_wrong("stall")
    source = V4l2Source(*read_v4l2_url(parse_url(camera.url())), silence_s=HANG_S)
    results = []
    reader = threading.Thread(target=lambda: results.append(source.read()), name="edge-test")
    reader.start()
    wait_for(source._lock.locked)
    with promptly():
        source.close()
        reader.join(HANG_S)
    assert results == [None]
    assert source.read() is None
    source.close()


@in_front_of(SMALL_YUYV)
def test_two_hundred_cameras_leave_no_thread_and_no_descriptor(camera) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

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
    with open_source(camera.url()) as source:
        decode = source._decode

        def slowly(data):
            time.sleep(0.3)
            return decode(data)

        # Nine periods of the camera, which has four buffers.
        for between_s in (0.3, 0):
            early_ns, sequences = [], []
            # The second time, the driver goes without the buffer that is being decoded, too.
            source._decode = decode if between_s else slowly
            for _ in range(4):
                asked_ns = monotonic_ns()
                frame = source.read()
                early_ns.append(asked_ns - frame.captured_ns)
                sequences.append(frame.sequence)
                assert number_in(frame.image) == frame.sequence % PICTURES
                time.sleep(between_s)
            # Without buffers to fill, a driver stops at the oldest frames, five periods ago.
            assert np.median(early_ns) < 3e9 / 30, early_ns
            assert np.median(np.diff(sequences)) >= 8


@in_front_of(YUYV, "wall-clock", "uncounted")
def test_a_driver_without_times_and_numbers_gets_ours(camera) -> None:
    with open_source(camera.url()) as source:
        frames = [source.read() for _ in range(10)]
        assert 0 <= monotonic_ns() - frames[-1].captured_ns < PROMPT_S * 1e9
    assert frames[0].sequence >= frames[0].media_ns == 0
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
def test_the_first_camera_can_be_asked_for_without_knowing_its_number(camera) -> None:
    with open_first(parse_url("camera://?size=320x240&fps=15"), None, camera.folder) as source:
        assert (source.name, source.size, source.fps) == (camera.url(), (320, 240), 15)
    camera.unplug()
    with pytest.raises(SourceError, match="there is no camera") as caught:
        open_first(parse_url("camera://"), None, camera.folder)
    assert caught.value.transient
