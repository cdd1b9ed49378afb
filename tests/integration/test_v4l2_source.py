"""The V4L2 source in front of a made-up driver in the place of the kernel's.

Each test runs in a process of its own, because the driver is loaded before the C library. It
fails, too, if the process misused the device, or left a descriptor or a mapping behind.
"""

import faulthandler
import functools
import os
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
    wait_for,
)

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
                env=environment(driver, tmp_path),
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


def main(name: str, folder: str) -> None:
    """Run the body of one test."""
    faulthandler.dump_traceback_later(90, exit=True)
    globals()[name].body(FakeCamera(Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
