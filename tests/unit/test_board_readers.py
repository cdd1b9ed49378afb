"""The board is read from the kernel's files, whatever stands in them."""

import os
import time
from pathlib import Path
from threading import enumerate as all_threads

import pytest
from fakes.sysfs import FakeSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.waiting import wait_for

from edge_detect.board import Board, BoardMonitor
from edge_detect.board.edge_tpu import find_pci_edge_tpus, find_usb_edge_tpus
from edge_detect.board.memory import read_memory
from edge_detect.board.temperature import read_temperature_c
from edge_detect.board.throttling import ThrottlingReader, parse_flags
from edge_detect.core.board import Throttling

EVERY_FILE = (
    "sys/class/thermal/thermal_zone0/temp",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "proc/self/status",
    "proc/meminfo",
)


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path / "root")


@pytest.fixture
def pi(system) -> FakeSystem:
    system.raspberry_pi_4()
    return system


def test_a_raspberry_pi_is_read_in_full(pi) -> None:
    reading = Board(pi.root, vcgencmd=None).read()
    assert reading.temperature_c == 48.7
    assert (reading.frequency_hz, reading.frequency_limit_hz) == (1_500_000_000, 1_800_000_000)
    assert reading.throttling == Throttling()
    assert reading.resident_bytes == 123_456 * 1024
    assert (reading.threads, reading.open_files) == (11, 25)
    assert reading.cpu_share is None


def test_an_empty_system_tells_nothing_and_breaks_nothing(system) -> None:
    reading = Board(system.root, vcgencmd=None).read()
    told = (reading.temperature_c, reading.frequency_hz, reading.throttling, reading.threads)
    assert told == (None,) * 4
    assert set(read_memory(system.root)) == {None}


def test_the_real_machine_tells_about_this_process() -> None:
    board = Board()
    board.read()
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    reading = board.read()
    assert reading.resident_bytes is not None
    assert reading.resident_bytes > 10_000_000
    assert reading.threads == len(list(Path("/proc/self/task").iterdir()))
    assert reading.cpu_share is not None
    assert 0 < reading.cpu_share < os.cpu_count() + 1
    with Path("/dev/null").open():
        assert board.read().open_files == reading.open_files + 1


def test_the_hottest_processor_sensor_counts_and_other_sensors_do_not(system) -> None:
    system.thermal_zone(0, "battery", 90)
    system.thermal_zone(1, "littlecore-thermal", 51)
    system.thermal_zone(2, "bigcore0-thermal", 63.5)
    system.thermal_zone(3, "iwlwifi_1", 80)
    assert read_temperature_c(system.root) == 63.5


def test_the_firmwares_zone_serves_where_there_is_no_other(system) -> None:
    system.thermal_zone(0, "acpitz", 41)
    assert read_temperature_c(system.root) == 41
    system.thermal_zone(1, "x86_pkg_temp", 39)
    assert read_temperature_c(system.root) == 39


def test_a_processor_without_thermal_zone_is_read_from_its_chip(system) -> None:
    system.hwmon(0, "nvme", {"temp1_input": 70_000})
    system.hwmon(1, "k10temp", {"temp1_input": 55_125, "temp3_input": 52_000})
    assert read_temperature_c(system.root) == 55.125


def test_impossible_temperatures_are_none(system) -> None:
    for wrong in (-274, 200, 10_000):
        system.thermal_zone(0, "cpu-thermal", wrong)
        assert read_temperature_c(system.root) is None


@given(garbage=st.binary(max_size=80), file=st.sampled_from(EVERY_FILE))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_in_a_file_never_raises(pi, garbage, file) -> None:
    before = (pi.root / file).read_bytes()
    pi.write(file, garbage)
    try:
        Board(pi.root, vcgencmd=None).read()
        read_memory(pi.root)
    finally:
        pi.write(file, before)


def test_a_folder_in_the_place_of_a_file_is_not_told(pi) -> None:
    file = pi.root / "sys/class/thermal/thermal_zone0/temp"
    file.unlink()
    file.mkdir()
    (pi.root / "sys/class/hwmon/hwmon0/name").unlink()
    assert Board(pi.root, vcgencmd=None).read().temperature_c is None


def test_every_flag_of_the_firmware_has_its_bit() -> None:
    assert parse_flags(0) == Throttling()
    assert parse_flags(0x50005) == Throttling(
        under_voltage=True,
        throttled=True,
        under_voltage_since_boot=True,
        throttled_since_boot=True,
    )
    assert parse_flags(0xA000A) == Throttling(
        frequency_capped=True,
        soft_temperature_limit=True,
        frequency_capped_since_boot=True,
        soft_temperature_limit_since_boot=True,
    )


@pytest.mark.parametrize("soc", ["soc", "soc@107c000000"])
def test_the_kernels_flags_are_hexadecimal_on_all_boards(system, soc) -> None:
    system.throttled(0x50000, soc)
    flags = ThrottlingReader(system.root, None).read()
    assert flags == Throttling(under_voltage_since_boot=True, throttled_since_boot=True)


def test_a_board_without_command_and_flags_has_none(system) -> None:
    system.hwmon(0, "coretemp", {"in0_lcrit_alarm": 1})
    assert ThrottlingReader(system.root, "no-such-command").read() is None


def test_memory_for_cameras_is_told(pi) -> None:
    memory = read_memory(pi.root)
    assert memory.cma_total_bytes == 524_288 * 1024
    assert memory.cma_free_bytes == 401_000 * 1024


def test_edge_tpus_are_found_with_their_speed_driver_and_device_file(system) -> None:
    system.usb_device("1-1", ("046d", "0825"), 480)
    fresh = system.usb_device("2-1", ("1a6e", "089a"), 5000)
    system.usb_device("1-1.4", ("18d1", "9302"), 480)
    system.pci_edge_tpu()
    slow, fast = find_usb_edge_tpus(system.root)
    assert (slow.speed_mbps, slow.fresh) == (480, False)
    assert (fast.speed_mbps, fast.fresh, fast.node) == (5000, True, fresh)
    [card] = find_pci_edge_tpus(system.root)
    assert (card.driver, card.node) == ("apex", system.root / "dev/apex_0")


def test_an_edge_tpu_without_driver_has_no_device_file(system) -> None:
    system.pci_edge_tpu(driver="")
    [card] = find_pci_edge_tpus(system.root)
    assert (card.driver, card.node) == ("", None)


def test_the_monitor_has_the_newest_reading(pi) -> None:
    monitor = BoardMonitor(Board(pi.root, vcgencmd=None), interval_s=0.01)
    assert monitor.latest.temperature_c is None
    monitor.start()
    try:
        assert "edge-board" in [thread.name for thread in all_threads()]
        wait_for(lambda: monitor.latest.temperature_c == 48.7)
        pi.thermal_zone(0, "cpu-thermal", 61)
        wait_for(lambda: monitor.latest.temperature_c == 61)
        assert monitor.trouble() == ""
    finally:
        monitor.stop()
    monitor.stop()
    assert "edge-board" not in [thread.name for thread in all_threads()]


class BrokenBoard(Board):
    """A board whose reading has a defect for a while."""

    broken = True

    def read(self):
        if self.broken:
            raise ZeroDivisionError("made for a test")
        return super().read()


def test_a_defect_in_reading_is_told_and_does_not_end_the_thread(pi, caplog) -> None:
    board = BrokenBoard(pi.root, vcgencmd=None)
    monitor = BoardMonitor(board, interval_s=0.01)
    monitor.start()
    try:
        wait_for(lambda: "ZeroDivisionError" in monitor.trouble())
        board.broken = False
        wait_for(lambda: monitor.trouble() == "")
        assert monitor.latest.temperature_c == 48.7
    finally:
        monitor.stop()
    assert len(caplog.records) == 1
