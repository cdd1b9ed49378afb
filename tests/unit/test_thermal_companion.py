"""The thermal companion on a board of files: cameras slow down and come back, and it says so."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import enumerate as all_threads

import pytest
from fakes.sysfs import FakeSystem
from support.service_views import PlainCamera, PlainService, a_status
from support.waiting import wait_for

from edge_detect.board import Board
from edge_detect.core import NS_PER_S
from edge_detect.core.board import BoardReading
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import ThermalSettings
from edge_detect.service.thermal import ThermalCompanion

LOGGER = "edge_detect.service.thermal"


class BoardOfFiles(PlainService):
    """A service that reads a board of files anew each time, two seconds of its time later."""

    def __init__(self, system: FakeSystem, cameras: list[PlainCamera]) -> None:
        super().__init__(cameras)
        self.files = Board(system.root, vcgencmd=None)
        self.ticks = count(1)
        self.looks = 0

    def board(self) -> BoardReading:
        self.looks = next(self.ticks)
        return replace(self.files.read(), read_ns=2 * self.looks * NS_PER_S)

    def wait(self, looks: int) -> None:
        """Until so many more readings were taken."""
        until = self.looks + looks
        wait_for(lambda: self.looks >= until)


class Stage:
    """A board, its cameras and the companion."""

    def __init__(self, root: Path, settings: ThermalSettings) -> None:
        self.system = FakeSystem(root)
        self.system.raspberry_pi_4()
        self.fast, self.slow = camera("fast", 24.0), camera("slow", 2.0)
        self.service = BoardOfFiles(self.system, [self.fast, self.slow])
        self.companion = ThermalCompanion(settings, interval_s=0.002)

    def start(self) -> None:
        self.companion.start(self.service)
        for each in self.service.cameras:
            self.companion.add_camera(each)
        self.service.wait(10)

    def heat(self, temperature_c: float) -> None:
        self.system.thermal_zone(0, "cpu-thermal", temperature_c)


def camera(name: str, fps: float) -> PlainCamera:
    status = replace(a_status(), rates={"captured": 30.0, "detected": fps})
    return PlainCamera(name, now=CameraState("running", status=status))


@pytest.fixture
def stage(tmp_path: Path, caplog) -> Iterator[Stage]:
    caplog.set_level(logging.DEBUG, LOGGER)
    made = Stage(tmp_path / "root", ThermalSettings(min_fps=1.5))
    yield made
    made.companion.stop()
    assert "edge-thermal" not in [thread.name for thread in all_threads()]


def test_a_cool_board_is_left_alone(stage, caplog) -> None:
    stage.start()
    stage.service.wait(50)
    assert (stage.fast.max_fps, stage.slow.max_fps) == (None, None)
    assert stage.companion.state.share == 1.0
    assert caplog.messages == []


def test_heat_slows_all_cameras_down_by_shares_of_their_rates_but_not_below_the_least(
    stage, caplog
) -> None:
    stage.start()
    stage.heat(79)
    wait_for(lambda: stage.fast.max_fps is not None)
    state = stage.companion.state
    assert state.share < 1
    assert "limit of 78 °C" in state.reason
    assert stage.fast.max_fps <= 24 * 0.85
    wait_for(lambda: stage.fast.max_fps == 1.5)
    stage.service.wait(2)
    assert stage.slow.max_fps == 1.5
    assert "79.0 °C" in caplog.messages[0]
    assert "fast 24.0 → " in caplog.messages[0]


def test_each_step_is_logged_once_and_standing_still_is_not(stage, caplog) -> None:
    stage.start()
    stage.heat(79)
    wait_for(lambda: stage.fast.max_fps == 1.5)
    # The step is said after it was taken.
    stage.service.wait(2)
    steps = len(caplog.messages)
    assert len(set(caplog.messages)) == steps
    stage.service.wait(100)
    assert len(caplog.messages) == steps


def test_a_board_that_cools_down_gets_its_full_rate_back(stage, caplog) -> None:
    stage.start()
    stage.heat(79)
    wait_for(lambda: stage.fast.max_fps == 1.5)
    stage.heat(45)
    wait_for(lambda: stage.fast.max_fps is None, 30)
    stage.service.wait(2)
    assert stage.slow.max_fps is None
    assert stage.companion.state.reason == ""
    assert "cool again: detecting at 100 %" in caplog.messages[-1]


def test_throttling_by_a_weak_power_supply_is_no_heat(stage) -> None:
    stage.start()
    stage.system.throttled(0x50005)
    stage.service.wait(50)
    assert stage.companion.state.share == 1.0
    stage.system.throttled(0x40004)
    wait_for(lambda: stage.companion.state.share < 1)
    assert stage.companion.state.reason == "the firmware throttles"


def test_a_camera_that_comes_later_is_slowed_down_once_its_rate_is_known(stage) -> None:
    stage.start()
    stage.heat(79)
    wait_for(lambda: stage.fast.max_fps == 1.5)
    late = camera("late", 0.0)
    stage.companion.add_camera(late)
    stage.service.wait(20)
    assert late.max_fps is None
    late.now = camera("late", 12.0).now
    wait_for(lambda: late.max_fps is not None)
    assert late.max_fps < 12


def test_stopping_gives_cameras_their_rates_back_and_removed_ones_are_left_alone(stage) -> None:
    stage.start()
    stage.heat(79)
    wait_for(lambda: stage.fast.max_fps == 1.5)
    stage.companion.remove_camera(stage.slow)
    stage.companion.stop()
    stage.companion.stop()
    assert (stage.fast.max_fps, stage.slow.max_fps) == (None, 1.5)
    assert stage.companion.trouble() == ""


def test_without_a_sensor_it_does_nothing_and_says_so_once_to_whoever_debugs(stage, caplog) -> None:
    (stage.system.root / "sys/class/thermal/thermal_zone0/temp").unlink()
    (stage.system.root / "sys/class/hwmon/hwmon0/temp1_input").unlink()
    stage.start()
    stage.service.wait(30)
    assert stage.fast.max_fps is None
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_switched_off_it_does_not_even_look(tmp_path) -> None:
    stage = Stage(tmp_path / "root", ThermalSettings(enabled=False))
    stage.companion.start(stage.service)
    assert "edge-thermal" not in [thread.name for thread in all_threads()]
    stage.companion.stop()


def test_a_defect_inside_is_told_to_the_watchdog(stage, caplog) -> None:
    stage.start()
    stage.fast.now = None
    wait_for(lambda: stage.companion.trouble() != "")
    assert "AttributeError" in stage.companion.trouble()
