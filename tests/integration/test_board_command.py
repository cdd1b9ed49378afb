"""The firmware's command, which tells a Raspberry Pi's flags where the kernel does not."""

import stat
from pathlib import Path

import pytest
from fakes.sysfs import FakeSystem
from support.waiting import HANG_S, promptly

from edge_detect.board.throttling import ThrottlingReader
from edge_detect.core import NS_PER_S
from edge_detect.core.board import Throttling


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path / "root")


def vcgencmd(folder: Path, script: str) -> str:
    """A program in the place of the firmware's; it counts its calls in a file beside it."""
    path = folder / "vcgencmd"
    path.write_text(f"#!/bin/sh\necho x >> {folder}/calls\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def calls_in(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


class Clock:
    """Shortly after boot, until a test lets time pass."""

    now_s = 1.0

    def __call__(self) -> int:
        return round(self.now_s * NS_PER_S)


def test_the_command_answers_where_the_kernel_does_not_and_is_not_asked_each_time(
    system, tmp_path
) -> None:
    command, clock = vcgencmd(tmp_path, "echo throttled=0x80008"), Clock()
    reader = ThrottlingReader(system.root, command, clock_ns=clock)
    for _ in range(5):
        flags = reader.read()
        assert flags is not None
        assert flags.soft_temperature_limit
        assert flags.soft_temperature_limit_since_boot
        clock.now_s += 1.0
    assert calls_in(tmp_path) == 1
    reader.read()
    assert calls_in(tmp_path) == 2


@pytest.mark.parametrize(
    "script", ["echo VCHI initialization failed; exit 255", "printf '\\377\\376'"]
)
def test_a_command_that_refuses_is_left_alone_afterwards(system, tmp_path, script) -> None:
    system.hwmon(0, "rpi_volt", {"in0_lcrit_alarm": 1})
    reader = ThrottlingReader(system.root, vcgencmd(tmp_path, script))
    for _ in range(3):
        assert reader.read() == Throttling(under_voltage=True)
    assert calls_in(tmp_path) == 1


def test_a_command_that_hangs_is_given_up_and_left_alone_afterwards(system, tmp_path) -> None:
    system.hwmon(0, "rpi_volt", {"in0_lcrit_alarm": 1})
    hangs = vcgencmd(tmp_path, f"exec sleep {HANG_S}")
    reader = ThrottlingReader(system.root, hangs, timeout_s=0.3)
    with promptly():
        assert reader.read() == Throttling(under_voltage=True)
    # It would answer by now, were it asked.
    vcgencmd(tmp_path, "echo throttled=0x80008")
    assert reader.read() == Throttling(under_voltage=True)
