"""What may be asked of a CSI camera, and when its frames were taken."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core import ConfigError, Size
from edge_detect.core.url import parse_url
from edge_detect.sources.csi.options import (
    CsiOptions,
    default_lores,
    make_controls,
    read_options,
)
from edge_detect.sources.csi.timeline import TimeLine, sensor_time

FAKES = Path(__file__).parents[1] / "fakes" / "picamera2"
OFFERED = {
    "AnalogueGain": (1.0, 16.0, 1.0),
    "AeEnable": (False, True, None),
    "AwbMode": (0, 7, 0),
    "Brightness": (-1.0, 1.0, 0.0),
    "ExposureTime": (26, 112_015_443, 20_000),
    "NoiseReductionMode": (0, 3, 0),
}
FOCUS = {"AfMode": (0, 2, 0), "AfTrigger": (0, 1, 0), "LensPosition": (0.0, 32.0, 1.0)}
SECOND = 1_000_000_000


def options(query: str = "") -> CsiOptions:
    return read_options(parse_url(f"picamera2://0?{query}"))


@pytest.fixture
def controls(monkeypatch):
    """The enumerations of libcamera."""
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.delitem(sys.modules, "libcamera", raising=False)
    monkeypatch.delitem(sys.modules, "libcamera.controls", raising=False)
    yield import_module("libcamera").controls
    sys.modules.pop("libcamera.controls")
    sys.modules.pop("libcamera")


def test_the_defaults_suit_the_usual_models() -> None:
    assert options() == CsiOptions(size=Size(1280, 720), lores=Size(416, 234))


def test_sizes_are_made_even() -> None:
    wanted = options("size=641x481&lores=321x181")
    assert (wanted.size, wanted.lores) == (Size(640, 480), Size(320, 180))


@pytest.mark.parametrize(
    ("size", "lores"),
    [
        (Size(1920, 1080), Size(416, 234)),
        (Size(640, 480), Size(416, 312)),
        (Size(720, 1280), Size(234, 416)),
        (Size(1000, 1000), Size(416, 416)),
        (Size(416, 234), None),
        (Size(320, 240), None),
    ],
)
def test_the_small_image_has_the_aspect_of_the_picture(size, lores) -> None:
    assert default_lores(size) == lores


@given(st.builds(Size, st.integers(64, 4608), st.integers(64, 4608)))
def test_the_small_image_is_even_and_fits_into_the_picture(size) -> None:
    lores = default_lores(size)
    if lores is None:
        assert max(size) <= 416
        return
    assert max(lores) == 416
    assert all(
        side % 2 == 0 and 2 <= side <= whole for side, whole in zip(lores, size, strict=True)
    )
    assert abs(lores.width / 416 - size.width / max(size)) <= 1 / 416
    assert abs(lores.height / 416 - size.height / max(size)) <= 1 / 416


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("sized=640x480", "unknown option 'sized'"),
        ("size=32x32", "too small"),
        ("size=640", "such as 1280x720"),
        ("size=640x480&lores=800x600", "lores 800x600 does not fit into the picture's 640x480"),
        ("lores=big", "such as 1280x720"),
        ("fps=0", "'fps' must be a number above 0"),
        ("format=MJPEG", "use one of RGB888, BGR888"),
        ("rotation=90", "use one of 0, 180"),
        ("hflip=perhaps", "true or false"),
        ("gain=much", "'gain' must be a number, got 'much'"),
        ("ev=nan", "'ev' must be a number"),
        ("exposure=40000&fps=30", "an exposure of 40000 µs is longer than a frame"),
        ("exposure=40000&fps=30", "leave fps out, or use at most fps=25"),
        ("lens=2&af=auto", "sets the lens and has the camera focus"),
    ],
)
def test_what_is_impossible_with_any_camera_is_refused(query, complaint) -> None:
    with pytest.raises(ConfigError) as caught:
        options(query)
    assert complaint in str(caught.value)


def test_formats_are_understood_in_any_case() -> None:
    assert options("format=yuv420").format == "YUV420"


def test_a_fixed_lens_means_manual_focus(controls) -> None:
    made = make_controls(options("lens=2.5"), OFFERED | FOCUS, controls)
    assert made == {"LensPosition": 2.5, "AfMode": controls.AfModeEnum.Manual}


def test_a_camera_with_autofocus_focuses_all_the_time(controls) -> None:
    made = make_controls(options(), OFFERED | FOCUS, controls)
    assert made == {"AfMode": controls.AfModeEnum.Continuous}
    assert make_controls(options(), OFFERED, controls) == {}


def test_focusing_once_is_started(controls) -> None:
    made = make_controls(options("af=auto"), OFFERED | FOCUS, controls)
    assert made == {
        "AfMode": controls.AfModeEnum.Auto,
        "AfTrigger": controls.AfTriggerEnum.Start,
    }


def test_exposure_alone_leaves_the_gain_to_the_camera(controls) -> None:
    assert make_controls(options("exposure=5000"), OFFERED, controls) == {"ExposureTime": 5000}
    assert make_controls(options("gain=4"), OFFERED, controls) == {"AnalogueGain": 4.0}
    both = make_controls(options("gain=4&exposure=5000"), OFFERED, controls)
    assert both == {"ExposureTime": 5000, "AnalogueGain": 4.0, "AeEnable": False}


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("hdr=night", "does not offer 'hdr' (HdrMode)"),
        ("hdr=night", "it offers awb, brightness, denoise, exposure, gain"),
        ("af=manual", "does not offer 'af'"),
        ("lens=1", "does not offer 'lens'"),
        ("gain=20", "'gain' must be from 1 to 16 for this camera, got 20"),
        ("brightness=-1.5", "from -1 to 1"),
        ("awb=moonlight", "use one of auto, incandescent, tungsten"),
        ("denoise=zsl", "use one of off, fast, high-quality, minimal"),
    ],
)
def test_what_this_camera_does_not_offer_is_refused(controls, query, complaint) -> None:
    with pytest.raises(ConfigError) as caught:
        make_controls(options(query), OFFERED, controls)
    assert complaint in str(caught.value)


def test_a_camera_without_any_control_says_so(controls) -> None:
    with pytest.raises(ConfigError) as caught:
        make_controls(options("gain=2"), {}, controls)
    assert caught.value.hint == "it offers no such options"


@pytest.mark.parametrize(
    ("name", "value"),
    [("off", 0), ("single-exposure", 3), ("multi-exposure-unmerged", 1), ("Night", 4)],
)
def test_modes_are_written_with_hyphens(controls, name, value) -> None:
    made = make_controls(options(f"hdr={name}"), {"HdrMode": (0, 4, 0)}, controls)
    assert made == {"HdrMode": value}


NOW = 5_000 * SECOND
ASLEEP = 3_000 * SECOND


@pytest.mark.parametrize(
    ("stamp_ns", "captured_ns"),
    [
        (NOW - 20_000_000, NOW - 20_000_000),  # CLOCK_MONOTONIC, as the drivers use it
        (NOW + ASLEEP - 20_000_000, NOW - 20_000_000),  # CLOCK_BOOTTIME, as it is documented
        (NOW + 1, NOW),
        (NOW - 60 * SECOND, NOW),
        (1_700_000_000 * SECOND, NOW),
        (0, NOW),
        (None, NOW),
    ],
)
def test_the_sensors_time_is_understood_on_either_clock(stamp_ns, captured_ns) -> None:
    assert sensor_time(stamp_ns, NOW, ASLEEP) == captured_ns


@pytest.mark.parametrize("stamp_ns", [0, -SECOND, 2 * SECOND - ASLEEP])
def test_a_stamp_of_before_the_start_of_the_machine_is_none(stamp_ns) -> None:
    assert sensor_time(stamp_ns, 2 * SECOND, 0) == 2 * SECOND


class Clock:
    """The machine's clock, set by hand; it was never suspended."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def line(clock) -> TimeLine:
    return TimeLine(clock, clock)


@pytest.mark.parametrize("begin_ns", [0, NOW])
def test_lost_frames_are_gaps_in_the_numbers(clock, line, begin_ns) -> None:
    places = []
    for elapsed_ms in (0, 33, 67, 200, 233):
        stamp_ns = begin_ns + (elapsed_ms + 1) * 1_000_000
        clock.now_ns = stamp_ns + 5_000_000
        places.append(line.place(stamp_ns, 33_333))
    assert [sequence for _, sequence, _ in places] == [0, 1, 2, 6, 7]
    assert [media_ns // 1_000_000 for _, _, media_ns in places] == [0, 33, 67, 200, 233]


def test_times_grow_even_where_the_clock_of_the_stamps_changes(line) -> None:
    first = line.place(None, 33_333)
    second = line.place(NOW - 30_000_000, 33_333)
    assert second[0] > first[0]
    assert (first[1], second[1]) == (0, 1)


def test_without_a_frame_duration_every_frame_counts_as_the_next(line) -> None:
    line.place(NOW - SECOND, None)
    assert line.place(NOW, None)[1] == 1
