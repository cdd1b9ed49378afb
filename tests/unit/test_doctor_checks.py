"""The doctor's checks on made-up computers: each trouble has its line, and what to do."""

import os
import time
from pathlib import Path
from threading import Event

import pytest
from fakes.sysfs import FakeSystem
from support.doctor_places import levels, one, raspberry_pi
from support.waiting import HANG_S, promptly

from edge_detect.core import DependencyError
from edge_detect.tools.doctor.finding import Check, Finding, Level, ok
from edge_detect.tools.doctor.health import look_at_heat_and_power, look_at_memory
from edge_detect.tools.doctor.packages import look_at_leftovers
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.runner import examine
from edge_detect.tools.doctor.service import (
    look_at_groups,
    look_at_rules,
    look_at_units,
)
from edge_detect.tools.doctor.storage import look_at_clock, look_at_disks, look_at_root
from edge_detect.tools.doctor.system import look_at_board, look_at_interpreter, look_at_system


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return raspberry_pi(tmp_path)[0]


@pytest.fixture
def place(system, tmp_path) -> Place:
    """A Raspberry Pi without any programs of its own."""
    return Place(root=system.root, environment={"PATH": str(tmp_path / "bin")})


def test_a_healthy_raspberry_pi_gets_no_warning(place) -> None:
    for look in (look_at_system, look_at_board, look_at_heat_and_power, look_at_memory):
        assert levels(look(place)) == {Level.OK}
    assert "bookworm" in one(look_at_system(place), "system").value
    assert "Raspberry Pi 4 Model B Rev 1.4" in one(look_at_board(place), "board").value
    assert one(look_at_heat_and_power(place), "clock").value == "1500 of 1800 MHz"
    assert one(look_at_heat_and_power(place), "temperature").value == "49 °C"


def test_low_voltage_now_fails_and_earlier_warns(system, place) -> None:
    system.throttled(0x50005)
    now = one(look_at_heat_and_power(place), "power")
    assert now.level is Level.FAIL
    assert now.value == "at this moment: under voltage, throttled"
    assert "power supply" in now.advice
    system.throttled(0x10000)
    earlier = one(look_at_heat_and_power(place), "power")
    assert (earlier.level, earlier.value) == (Level.WARN, "since boot: under voltage")


def test_heat_warns_and_names_a_cooler(system, place) -> None:
    system.thermal_zone(0, "cpu-thermal", 82.4)
    system.throttled(0x80008)
    temperature = one(look_at_heat_and_power(place), "temperature")
    assert (temperature.level, temperature.value) == (Level.WARN, "82 °C")
    assert "heat sink" in one(look_at_heat_and_power(place), "power").advice


def test_the_firmwares_command_is_asked_where_the_kernel_does_not_tell(system, place) -> None:
    (system.root / "sys/devices/platform/soc/soc:firmware/get_throttled").unlink()
    (system.root / "sys/class/hwmon/hwmon1/name").unlink()
    unknown = one(look_at_heat_and_power(place), "power")
    assert (unknown.level, "usermod" in unknown.advice) == (Level.WARN, True)


def test_memory_for_cameras_that_runs_out_is_told(system, place) -> None:
    system.meminfo(MemTotal=900_000, MemAvailable=90_000, CmaTotal=262_144, CmaFree=9_000)
    findings = list(look_at_memory(place))
    assert one(findings, "memory").level is Level.FAIL
    assert one(findings, "swap").level is Level.WARN
    cma = one(findings, "camera memory (CMA)")
    assert (cma.level, cma.value) == (Level.WARN, "9 MB of 256 MB free")
    assert "cma-512" in cma.advice


def test_an_environment_that_hides_the_systems_packages_is_told(place, tmp_path) -> None:
    prefix = tmp_path / "venv"
    prefix.mkdir()
    config = prefix / "pyvenv.cfg"
    own = Place(root=place.root, prefix=prefix, base_prefix=Path("/usr"))
    config.write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    assert "hides" in one(look_at_interpreter(own), "environment").value
    config.write_text("home = /usr/bin\ninclude-system-site-packages = true\n")
    assert one(look_at_interpreter(own), "environment").level is Level.OK
    other = Place(root=place.root, prefix=prefix, base_prefix=Path("/opt/python3.12"))
    finding = one(look_at_interpreter(other), "environment")
    assert (finding.level, "/opt/python3.12" in finding.value) == (Level.WARN, True)


def distribution(folder: Path, name: str, files: str, summary: str = "") -> None:
    """What pip leaves of a package."""
    info = folder / f"{name}-2.0.0.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0.0\nSummary: {summary}\n"
    (info / "METADATA").write_text(text)
    (info / "RECORD").write_text(f"{files},,\n")
    # Since Python 3.13 only files that exist are listed.
    (folder / files).parent.mkdir(parents=True, exist_ok=True)
    (folder / files).touch()


def test_the_unrelated_pycoral_is_told_from_googles(tmp_path) -> None:
    summary = "Simple CLI for Allen Coral Atlas"
    distribution(tmp_path / "pypi", "pycoral", "pycoral/pycoral.py", summary)
    distribution(tmp_path / "google", "pycoral", "pycoral/adapters/common.py")
    unrelated = one(look_at_leftovers(Place(packages=(str(tmp_path / "pypi"),))), "pycoral")
    assert unrelated.level is Level.WARN
    assert summary in unrelated.value
    assert "pip uninstall pycoral" in unrelated.advice
    googles = one(look_at_leftovers(Place(packages=(str(tmp_path / "google"),))), "pycoral")
    assert googles.level is Level.OK


def test_packages_in_each_others_way_are_told(tmp_path) -> None:
    for name in ("opencv_python", "opencv_python_headless", "tflite"):
        distribution(tmp_path, name, f"{name}/__init__.py")
    found = list(look_at_leftovers(Place(packages=(str(tmp_path),))))
    assert levels(found) == {Level.WARN}
    assert ["tflite" in found[0].value, "opencv-python and" in found[1].value] == [True, True]


def test_udev_rules_are_missed_only_where_an_edge_tpu_needs_them(system, place) -> None:
    assert levels(look_at_rules(place)) == {Level.OK}
    system.usb_device("2-1", ("18d1", "9302"), 5000)
    assert levels(look_at_rules(place)) == {Level.WARN}
    rules = system.write("etc/udev/rules.d/60-edge-detect.rules", "")
    assert one(look_at_rules(place), "udev rules").value.endswith(rules.name)


def test_groups_that_this_user_lacks_are_named(system, place, monkeypatch) -> None:
    mine = os.getegid()
    system.write("etc/group", f"video:x:{mine}:\nplugdev:x:{mine + 77}:\nrender:x:{mine}:")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    finding = one(look_at_groups(place), "rights")
    assert finding.value == "this user is not in plugdev (Edge TPU on USB)"
    assert "usermod -aG plugdev" in finding.advice


def test_a_computer_without_systemd_has_no_service(place) -> None:
    assert levels(look_at_units(place)) == {Level.OK}


def test_a_clock_that_nobody_sets_is_told(system, place) -> None:
    assert levels(look_at_clock(place, lambda: True)) == {Level.OK}
    assert levels(look_at_clock(place, lambda: False)) == {Level.WARN}
    assert levels(look_at_clock(place, lambda: None)) == {Level.WARN}
    system.write("run/systemd/timesync/synchronized", "")
    assert levels(look_at_clock(place, lambda: False)) == {Level.OK}


def test_a_date_before_this_program_was_made_fails(place, monkeypatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    assert levels(look_at_clock(place, lambda: True)) == {Level.FAIL}


@pytest.mark.parametrize(
    ("mount", "level", "told"),
    [
        ("/dev/mmcblk0p2 / ext4 rw,noatime 0 0", Level.OK, "SD card"),
        ("/dev/mmcblk0p2 / ext4 ro,noatime 0 0", Level.WARN, "read-only"),
        ("overlay / overlay rw,lowerdir=/lower 0 0", Level.OK, "overlay"),
        ("/dev/sda2 / ext4 rw 0 0", Level.OK, "/dev/sda2"),
    ],
)
def test_what_the_system_lies_on_is_told(system, place, mount, level, told) -> None:
    system.write("proc/mounts", f"proc /proc proc rw 0 0\n{mount}")
    finding = one(look_at_root(place), "root")
    assert finding.level is level
    assert told in finding.value


def test_each_disk_is_judged_once(place, tmp_path) -> None:
    here = Place(root=place.root, folders=(tmp_path / "not/yet/there", tmp_path))
    finding = one(look_at_disks(here), "disk")
    assert "GB free for" in finding.value


def test_a_directory_that_this_user_may_not_look_into_is_no_defect(place, tmp_path) -> None:
    # As that of a unit with DynamicUser= is for everybody else.
    hidden = tmp_path / "private"
    hidden.mkdir(mode=0)
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65534)
        found = list(look_at_disks(Place(root=place.root, folders=(hidden / "state",))))
    finally:
        os.seteuid(before)
    assert "GB free for" in one(found, "disk").value


def raise_defect(_place: Place) -> list[Finding]:
    raise ZeroDivisionError("made for a test")


def raise_ours(_place: Place) -> list[Finding]:
    raise DependencyError("it is not there", "install it")


def test_no_check_can_hold_or_break_the_others(place) -> None:
    released = Event()

    def hang(_place: Place) -> list[Finding]:
        released.wait(HANG_S)
        return []

    checks = [Check("A", f"hangs {number}", hang, timeout_s=0.2) for number in range(8)]
    checks += [
        Check("B", "defect", raise_defect),
        Check("B", "ours", raise_ours),
        Check("B", "well", lambda _: [ok("well", "fine")]),
    ]
    try:
        with promptly():
            found = list(examine(checks, place))
    finally:
        released.set()
    assert [section for section, _ in found] == ["A"] * 8 + ["B"] * 3
    *hung, defect, ours, well = [finding for _, finding in found]
    assert all("no answer within 0.2 s" in finding.value for finding in hung)
    assert (defect.level, "ZeroDivisionError" in defect.value) == (Level.FAIL, True)
    assert (ours.value, ours.advice) == ("it is not there", "install it")
    assert well.level is Level.OK
