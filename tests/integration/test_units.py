"""The units, rules and scripts that a system is given, as its own tools judge them."""

import re
import subprocess
from pathlib import Path

import pytest

from edge_detect.core import ConfigError

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).resolve().parents[2]
UNITS = [ROOT / "systemd" / name for name in ("edge-detect.service", "edge-detect@.service")]
RULES = ROOT / "deploy/udev/60-edge-detect.rules"


def settings(unit):
    """Each `Key=value` of a unit, without its comments."""
    return [line for line in unit.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)]


def values(unit, key):
    return [line.partition("=")[2] for line in settings(unit) if line.startswith(f"{key}=")]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_has_nothing_to_say_about_a_unit(unit, tmp_path):
    # What the unit starts is not installed here.
    text = unit.read_text().replace("/opt/edge-detect/bin/edge-detect", "/bin/true")
    copy = tmp_path / unit.name
    copy.write_text(text)
    name = tmp_path / unit.name.replace("@", "@yard")
    if name != copy:
        name.symlink_to(copy)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_is_exposed_to_two_of_ten_at_most(unit):
    command = ["systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=20", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
    assert "Overall exposure level" in done.stdout


def test_the_unit_for_one_camera_differs_in_its_file_and_directories_alone():
    one, all_cameras = settings(UNITS[1]), settings(UNITS[0])
    alike = [
        line.replace("edge-detect@%i", "edge-detect").replace("%i.toml", "config.toml")
        for line in one
    ]
    assert [line.replace(" (%i)", "") for line in alike] == all_cameras
    assert sum("%i" in line for line in one) == 6


def test_a_wrong_configuration_is_the_one_end_that_is_not_tried_again():
    for unit in UNITS:
        assert values(unit, "RestartPreventExitStatus") == [str(ConfigError.exit_code)]
        assert values(unit, "Restart") == ["on-failure"]
        assert values(unit, "StartLimitIntervalSec") == ["0"]


def test_rules_give_devices_to_groups_that_the_service_is_in():
    (groups,) = values(UNITS[0], "SupplementaryGroups")
    given = set(re.findall(r'GROUP="(\w+)"', RULES.read_text()))
    assert given == set(groups.split())


def test_rules_know_a_coral_before_and_after_its_firmware_is_loaded():
    ids = set(re.findall(r'idVendor}=="(\w+)", ATTR{idProduct}=="(\w+)"', RULES.read_text()))
    assert ids == {("1a6e", "089a"), ("18d1", "9302")}


def shell_scripts():
    folders = ("scripts", "deploy", "tests", ".ci", "demo", "docs", "benchmarks")
    files = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(
        path
        for path in files
        if path.suffix == ".sh"
        or re.match(rb"#!/(usr/)?bin/(env )?(ba|da)?sh\b", path.open("rb").readline())
    )


def test_shellcheck_has_nothing_to_say_about_any_script():
    scripts = shell_scripts()
    assert ROOT / "deploy/install.sh" in scripts
    # SC2016: what stands in single quotes is for apt, or for another shell.
    done = subprocess.run(
        ["shellcheck", "--external-sources", "--exclude=SC2016", *scripts],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
