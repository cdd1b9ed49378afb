"""Which of a camera's formats, sizes and rates is taken, and how they are told."""

from fractions import Fraction

import pytest

from edge_detect.core import Size
from edge_detect.sources.v4l2.modes import Choice, Mode, SizeRange, Wanted, choose, describe

READABLE = ("NV12", "YUYV", "MJPG")
VGA, HD, FULL_HD = Size(640, 480), Size(1280, 720), Size(1920, 1080)


def mode(fourcc: str, size: Size, *rates: float) -> Mode:
    """A mode with rates such as 30 and 29.97."""
    return Mode(fourcc, size, tuple(Fraction(rate).limit_denominator(1001) for rate in rates))


# What an ordinary USB 2 camera lists.
WEBCAM = [
    mode("YUYV", VGA, 30, 15),
    mode("YUYV", HD, 10, 5),
    mode("MJPG", VGA, 30),
    mode("MJPG", HD, 30, 15),
    mode("MJPG", FULL_HD, 30),
    mode("H264", FULL_HD, 60),
]


def chosen(modes, **wanted) -> str:
    """The choice as text."""
    choice = choose(modes, Wanted(**wanted), READABLE)
    return str(choice) if choice is None else f"{choice.fourcc} {choice.size} {choice.fps}"


def test_left_to_us_it_is_720p_at_30_fps() -> None:
    assert chosen(WEBCAM) == "MJPG 1280x720 30"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"size": VGA}, "YUYV 640x480 30"),
        ({"size": VGA, "fps": 15.0}, "YUYV 640x480 15"),
        ({"size": HD, "fps": 10.0}, "YUYV 1280x720 10"),
        ({"size": FULL_HD}, "MJPG 1920x1080 30"),
        ({"fps": 5.0}, "YUYV 1280x720 5"),
        ({"fourcc": "YUYV"}, "YUYV 640x480 30"),
        ({"fourcc": "YUYV", "size": HD}, "YUYV 1280x720 10"),
        ({"fourcc": "MJPG", "size": VGA}, "MJPG 640x480 30"),
    ],
)
def test_raw_pictures_are_taken_where_they_reach_what_is_wanted(wanted, expected) -> None:
    assert chosen(WEBCAM, **wanted) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        {"size": Size(800, 600)},
        {"fps": 60.0},
        {"fourcc": "NV12"},
        {"fourcc": "H264"},
        {"fourcc": "YUYV", "size": FULL_HD},
        {"size": HD, "fps": 12.0},
    ],
)
def test_what_is_asked_for_is_met_or_nothing_is_taken(wanted) -> None:
    assert choose(WEBCAM, Wanted(**wanted), READABLE) is None


def test_almost_the_rate_is_the_rate_and_the_drivers_own_is_set() -> None:
    modes = [Mode("YUYV", VGA, (Fraction(30000, 1001),))]
    assert choose(modes, Wanted(fps=30.0), READABLE) == Choice("YUYV", VGA, Fraction(30000, 1001))
    assert choose(modes, Wanted(fps=29.97), READABLE) is not None
    assert choose(modes, Wanted(fps=29.0), READABLE) is None


def test_without_thirty_the_next_slower_rate_is_taken_then_the_slowest() -> None:
    assert chosen([mode("YUYV", VGA, 60, 25, 10)]) == "YUYV 640x480 25"
    assert chosen([mode("YUYV", VGA, 120, 60)]) == "YUYV 640x480 60"


def test_a_picture_that_moves_comes_before_a_large_one() -> None:
    slow_hd, fast_vga = mode("YUYV", HD, 5), mode("YUYV", VGA, 30)
    assert chosen([slow_hd, fast_vga]) == "YUYV 640x480 30"
    assert chosen([mode("YUYV", HD, 25), fast_vga]) == "YUYV 1280x720 25"


def test_above_720p_the_smallest_size_is_taken() -> None:
    modes = [mode("MJPG", Size(3840, 2160), 30), mode("MJPG", FULL_HD, 30)]
    assert chosen(modes) == "MJPG 1920x1080 30"


def test_where_rates_are_not_told_the_wanted_one_is_tried() -> None:
    assert chosen([mode("YUYV", VGA)]) == "YUYV 640x480 None"
    assert chosen([mode("YUYV", VGA)], fps=12.5) == "YUYV 640x480 25/2"


def test_rates_between_those_listed_are_taken_where_the_camera_takes_any() -> None:
    modes = [Mode("NV12", HD, (Fraction(60), Fraction(2)), any_between=True)]
    assert chosen(modes) == "NV12 1280x720 30"
    assert chosen(modes, fps=24.0) == "NV12 1280x720 24"
    assert chosen(modes, fps=61.0) == "None"
    assert describe(modes) == "NV12 1280x720 60-2"


def test_all_modes_fit_in_one_readable_line() -> None:
    assert describe([*WEBCAM[2:4], mode("YUYV", VGA, 7.5, 29.97), mode("NV12", VGA)]) == (
        "MJPG 640x480 30 · 1280x720 30 15; YUYV 640x480 29.97 7.5; NV12 640x480"
    )


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        ((1280, 720), (1280, 720)),
        ((1281, 721), (1280, 720)),
        ((4000, 10), (1920, 16)),
        ((1, 5000), (32, 1080)),
    ],
)
def test_the_nearest_size_of_a_range_lies_on_its_grid(wanted, nearest) -> None:
    sizes = SizeRange(Size(32, 16), Size(1920, 1080), Size(16, 8))
    assert sizes.nearest(Size(*wanted)) == nearest


def test_a_range_without_steps_takes_every_size() -> None:
    sizes = SizeRange(Size(1, 1), Size(100, 101), Size(0, 0))
    assert sizes.nearest(Size(33, 77)) == (33, 77)
