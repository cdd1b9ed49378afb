"""CSI cameras, against an imitation of picamera2 that fails where the original would."""

import logging
import sys
import threading
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.core import ConfigError, Size, SourceError
from edge_detect.core.url import parse_url
from edge_detect.sources import open_source
from edge_detect.sources.csi.source import CsiLimits, CsiSource, read_picamera2_url

FAKES = Path(__file__).parents[1] / "fakes" / "picamera2"
PACKAGES = ("csi_hardware", "libcamera", "picamera2")
SMALL = "picamera2://0?size=320x240&lores=128x96&fps=100"

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def forget_packages() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]


@pytest.fixture
def hardware(monkeypatch, tmp_path):
    """The board and its sensors; afterwards nothing may be borrowed and all memory is back."""
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.setenv("FAKE_CSI_LOCKS", str(tmp_path))
    forget_packages()
    module = import_module("csi_hardware")
    module.board.turn_s = 0.01
    memory = module.board.cma_left
    yield module
    assert module.board.outstanding() == 0
    assert module.board.cma_left == memory
    forget_packages()


@pytest.fixture
def sensor(hardware):
    return hardware.board.sensors[0]


def open_within(limits: CsiLimits) -> CsiSource:
    """The small camera, which is waited for no longer than the limits say."""
    return CsiSource(*read_picamera2_url(parse_url(SMALL)), limits)


@contextmanager
def reading(source: CsiSource, *, to_the_end: bool = False):
    """Read once, or to the end, in another thread that must come to its end; gives the results."""
    results: list = []

    def read() -> None:
        results.append(source.read())
        while to_the_end and results[-1] is not None:
            results.append(source.read())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield results
    with promptly():
        thread.join(HANG_S)


def test_frames_are_numbered_and_timed_by_the_sensor(hardware) -> None:
    with open_source(SMALL) as source:
        before = time.monotonic_ns()
        frames = [source.read() for _ in range(12)]
        after = time.monotonic_ns()
    assert (source.live, source.fps, source.size) == (True, 100, Size(320, 240))
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times))
    assert before - 1e9 < times[0]
    assert times[-1] < after
    first = hardware.number_of(frames[0].image)
    assert frames[0].sequence == frames[0].media_ns == 0
    for frame in frames:
        # Each exposure has its own colours: gaps in the numbers are the exposures not seen.
        assert (hardware.number_of(frame.image) - first - frame.sequence) % 8 == 0
        assert frame.media_ns == frame.captured_ns - times[0]
        assert frame.source == "picamera2://0"


def test_the_small_image_is_of_the_same_exposure(hardware) -> None:
    with open_source(SMALL) as source:
        for _ in range(5):
            frame = source.read()
            assert frame.small.shape == (96, 128, 3)
            assert frame.small.flags.c_contiguous
            assert frame.image.flags.c_contiguous
            assert hardware.number_of(frame.small) == hardware.number_of(frame.image)


def test_images_outlive_the_buffers_they_came_from(hardware) -> None:
    with open_source(SMALL) as source:
        frames = [source.read() for _ in range(20)]
        first = hardware.number_of(frames[0].image)
    for frame in frames:
        assert (hardware.number_of(frame.image) - first - frame.sequence) % 8 == 0
        assert (hardware.number_of(frame.small) - first - frame.sequence) % 8 == 0


@pytest.mark.parametrize("name", ["RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "NV12"])
@pytest.mark.parametrize("size", ["322x242", "1280x720"])
def test_every_format_gives_the_same_colours(hardware, name, size) -> None:
    # 720p is coded by BT.709 and smaller pictures by BT.601, as the libraries have it.
    with open_source(f"picamera2://?size={size}&lores=130x98&format={name}&fps=10") as source:
        frame = source.read()
        assert source._main.format == name
    assert hardware.number_of(frame.image) == hardware.number_of(frame.small)


def test_the_format_that_the_camera_chose_counts(hardware, sensor) -> None:
    sensor.formats = ("YUYV",)
    with open_source(SMALL) as source:
        frame = source.read()
    assert hardware.number_of(frame.image) == hardware.number_of(frame.small)


def test_a_format_that_is_not_known_is_refused(hardware, sensor, monkeypatch) -> None:
    sensor.formats = ("MJPEG",)
    with pytest.raises(ConfigError, match="gives MJPEG only"):
        open_source(SMALL)


def test_without_lores_inference_uses_the_picture(hardware) -> None:
    with open_source("picamera2://0?size=320x240&lores=none&fps=100") as source:
        assert source.read().small is None


def test_a_slow_reader_gets_the_newest_frame_and_knows_what_it_missed(hardware, sensor) -> None:
    with open_source(SMALL) as source:
        first = source.read()
        number = hardware.number_of(first.image)
        for _ in range(3):
            exposures, before_ns = sensor.exposures, time.monotonic_ns()
            # All buffers have been filled twice over.
            wait_for(lambda seen=exposures: sensor.exposures > seen + 10)
            frame = source.read()
            if frame.captured_ns <= before_ns:
                # The library's thread had no turn meanwhile: this was the newest that it gave.
                frame = source.read()
            assert frame.captured_ns > before_ns
            assert (hardware.number_of(frame.image) - number - frame.sequence) % 8 == 0
    assert frame.sequence > 3 * 8


def test_frames_without_a_sensors_time_count_from_their_arrival(hardware, sensor) -> None:
    sensor.stamp = lambda _: None
    with open_source(SMALL) as source:
        for _ in range(3):
            before = time.monotonic_ns()
            frame = source.read()
            assert before < frame.captured_ns < time.monotonic_ns()


@pytest.mark.parametrize(
    ("query", "flipped"),
    [
        ("hflip", [1, 0, 3, 2]),
        ("vflip", [2, 3, 0, 1]),
        ("rotation=180", [3, 2, 1, 0]),
        ("rotation=180&hflip", [2, 3, 0, 1]),
    ],
)
def test_pictures_are_turned_by_the_camera(hardware, query, flipped) -> None:
    with open_source(f"{SMALL}&{query}") as source:
        frame = source.read()
    for image in (frame.image, frame.small):
        height, width = image.shape[:2]
        corners = [image[y, x] for y in (0, height - 1) for x in (0, width - 1)]
        upright = np.array([corners[place] for place in flipped]).astype(int)
        assert any(np.abs(upright - hardware.colors(n)).max() <= 3 for n in range(8))


def test_a_camera_that_cannot_turn_its_picture_says_so(hardware, sensor) -> None:
    sensor.flips = False
    with pytest.raises(ConfigError, match="cannot turn its picture"):
        open_source(f"{SMALL}&vflip")


def test_controls_reach_the_camera(hardware, sensor) -> None:
    with open_source(f"{SMALL}&exposure=8000&gain=2.5&ev=-1&awb=daylight&denoise=high-quality"):
        assert sensor.applied == {
            "ExposureTime": 8000,
            "AnalogueGain": 2.5,
            "ExposureValue": -1.0,
            "AwbMode": 5,
            "NoiseReductionMode": 2,
            "AeEnable": False,
            "FrameDurationLimits": (10000, 10000),
        }


def test_a_rate_beyond_the_camera_is_an_error_only_if_asked_for(hardware, sensor) -> None:
    with pytest.raises(ConfigError, match=r"gives .* to 120 frames a second at this size"):
        open_source("picamera2://0?size=320x240&fps=200")
    sensor.controls["FrameDurationLimits"] = (69_735, 112_015_956, 69_735)
    with open_source("picamera2://0?size=320x240") as source:
        assert source.fps == pytest.approx(14.34, abs=0.01)


def test_a_long_exposure_lengthens_the_frames(hardware) -> None:
    with open_source("picamera2://0?size=320x240&exposure=100000") as source:
        assert source.fps == pytest.approx(9.9, abs=0.01)


def test_a_camera_without_a_rate_to_set_is_taken_as_it_is(hardware, sensor) -> None:
    del sensor.controls["FrameDurationLimits"]
    with open_source("picamera2://0?size=320x240") as source:
        assert source.fps is None
        assert source.read() is not None
    with pytest.raises(ConfigError, match="does not let its rate be set"):
        open_source(SMALL)


@pytest.mark.parametrize("unplugged", [True, False])
def test_close_ends_a_read_at_once(hardware, sensor, unplugged) -> None:
    if unplugged:
        source = open_within(CsiLimits(silence_s=HANG_S))
        source.read()
        sensor.plugged = False
    else:
        source = open_source("picamera2://0?size=320x240&fps=0.01")
    with reading(source, to_the_end=True) as results:
        wait_for(source._reading.locked)
        source.close()
    # Before it: pictures that were taken while the cable was still in.
    assert results[-1] is None


def test_close_at_any_moment_of_a_read_is_safe(hardware) -> None:
    for attempt in range(20):
        source = open_source(SMALL)
        with reading(source):
            # Any moment will do: within a wait, a copy, or between.
            time.sleep(attempt * 0.0012)
            source.close()
        assert hardware.board.outstanding() == 0
        assert source.read() is None


def test_close_waits_for_a_reader_that_looks_into_a_buffer(hardware) -> None:
    source = open_source(SMALL)
    hardware.board.mapping_s = 0.15
    with reading(source) as results:
        wait_for(lambda: hardware.board.mapped)
        source.close()
        assert not hardware.board.mapped
    assert results[0].image.shape == (240, 320, 3)


def test_a_source_that_is_closed_stays_closed(hardware) -> None:
    source = open_source(SMALL)
    source.close()
    source.close()
    assert source.read() is None


def test_a_camera_that_falls_silent_is_lost_and_can_be_opened_again(hardware, sensor) -> None:
    with open_within(CsiLimits(silence_s=0.2, silence_frames=1)) as source:
        source.read()
        sensor.plugged = False
        with pytest.raises(SourceError, match=r"picamera2://0 has given no frame for 0\.2 s") as it:
            for _ in range(3):
                source.read()
        assert it.value.transient
        # The frame that comes after all must not be handed to nobody.
        sensor.plugged = True
        wait_for(lambda: source._camera.completed_requests)
        assert hardware.board.outstanding() == 0
    with open_source(SMALL) as again:
        assert again.read() is not None


@pytest.mark.parametrize(("fps", "silence_s"), [("100", 5), ("30", 5), ("1", 10)])
def test_silence_is_five_seconds_or_ten_frames(hardware, fps, silence_s) -> None:
    with open_source(f"picamera2://0?size=320x240&fps={fps}") as source:
        assert source._silence_s == pytest.approx(silence_s)


def test_a_camera_that_does_not_start_leaves_nothing_behind(hardware, sensor) -> None:
    sensor.plugged = False
    with pytest.raises(SourceError, match="does not start: Failed to start camera") as caught:
        open_source(SMALL)
    assert caught.value.transient
    sensor.plugged = True
    open_source(SMALL).close()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Could not open any dmaHeap device"),
        PermissionError(13, "Permission denied", "/dev/dma_heap/linux,cma"),
    ],
)
def test_a_camera_that_was_acquired_in_vain_is_given_up(hardware, error) -> None:
    hardware.board.heap_error = error
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        open_source(SMALL)
    assert not caught.value.transient
    assert "groups video and render" in caught.value.hint


def test_missing_memory_is_told_with_its_cure(hardware) -> None:
    hardware.board.cma_left, whole = 1 << 20, hardware.board.cma_left
    with pytest.raises(SourceError, match="no memory for its buffers") as caught:
        open_source("picamera2://0?size=1280x720")
    assert "cma" in caught.value.hint
    assert hardware.board.cma_left == 1 << 20
    hardware.board.cma_left = whole


def test_a_camera_in_use_is_told_from_a_broken_one(hardware) -> None:
    with open_source(SMALL), pytest.raises(SourceError, match="in use by another") as caught:
        open_source(SMALL)
    assert caught.value.transient
    open_source(SMALL).close()


def test_the_cameras_are_listed_for_a_number_that_is_none(hardware) -> None:
    with pytest.raises(SourceError, match="there is no camera 3") as caught:
        open_source("picamera2://3")
    assert caught.value.hint == "there are 0: imx219 (/base/soc/i2c0mux/i2c@1/imx219@10)"
    hardware.board.sensors.clear()
    with pytest.raises(SourceError, match="libcamera sees no camera"):
        open_source("picamera2://")
    with pytest.raises(ConfigError, match="names no camera"):
        open_source("picamera2://front")


def test_a_driver_that_hangs_does_not_keep_close(hardware, sensor, caplog) -> None:
    source = open_within(CsiLimits(close_s=0.3))
    source.read()
    sensor.driver_hangs.set()
    with promptly():
        source.close()
    assert "picamera2://0 does not close" in caplog.text
    with pytest.raises(SourceError, match="in use"):
        open_source(SMALL)
    sensor.driver_hangs.clear()
    wait_for(lambda: hardware.board.cma_left == 64 << 20)
    wait_for(lambda: sensor._lock is None)


def test_many_openings_leave_no_thread_and_no_descriptor(hardware) -> None:
    def count() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    open_source(SMALL).close()
    before = count()
    for turn in range(25):
        with open_source(SMALL) as source:
            if turn % 5 == 0:
                assert source.read() is not None
    assert count() <= before


def test_opening_is_told_once_and_the_libraries_are_quiet(hardware, caplog) -> None:
    with caplog.at_level(logging.INFO, "edge_detect"):
        open_source(SMALL).close()
    assert caplog.messages == ["picamera2://0 gives RGB888 320x240 and 128x96"]
