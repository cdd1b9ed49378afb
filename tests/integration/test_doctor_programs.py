"""The doctor's checks on made-up computers whose programs are asked, and may hang."""

import socket
from pathlib import Path

import pytest
from fakes.sysfs import FakeSystem
from support.doctor_places import levels, one, program, raspberry_pi
from support.waiting import HANG_S, promptly, wait_for

from edge_detect.tools.doctor.coral import look_at_edge_tpus
from edge_detect.tools.doctor.finding import Level
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.service import look_at_ports, look_at_units


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return raspberry_pi(tmp_path)[0]


@pytest.fixture
def place(system, tmp_path) -> Place:
    """A Raspberry Pi without any programs of its own."""
    return Place(root=system.root, environment={"PATH": str(tmp_path / "bin")})


def test_an_edge_tpu_on_usb_2_without_library_is_told(system, place) -> None:
    system.usb_device("1-1", ("1a6e", "089a"), 480)
    findings = list(look_at_edge_tpus(Place(root=place.root)))
    assert "USB 2" in one(findings, "Edge TPU USB 1-1").value
    library = one(findings, "libedgetpu")
    assert (library.level, "libedgetpu1-std" in library.advice) == (Level.WARN, True)


def test_an_edge_tpu_on_pcie_needs_its_driver(system, place) -> None:
    system.pci_edge_tpu(driver="")
    finding = one(look_at_edge_tpus(Place(root=place.root)), "Edge TPU PCIe 0000:01:00.0")
    assert (finding.level, "gasket-dkms" in finding.advice) == (Level.WARN, True)


SYSTEMCTL = """
    case "$1" in
    list-units) echo "edge-detect.service loaded {active} {sub} Object detection in cameras" ;;
    show) printf 'ActiveState={active}\\nSubState={sub}\\nResult={result}\\nNRestarts={restarts}\\n'
          printf 'ExecMainStatus={status}\\nStatusText=2 cameras, 24.9 fps\\n'
          printf 'SupplementaryGroups=video plugdev\\n' ;;
    esac"""


@pytest.mark.parametrize(
    ("unit", "level", "told"),
    [
        ({"active": "active", "sub": "running"}, Level.OK, "2 cameras, 24.9 fps"),
        ({"active": "active", "sub": "running", "restarts": 40}, Level.WARN, "40 restarts"),
        ({"active": "activating", "sub": "auto-restart"}, Level.WARN, "auto-restart"),
        ({"active": "failed", "sub": "failed", "result": "exit-code"}, Level.FAIL, "exit-code"),
    ],
)
def test_a_unit_tells_how_it_is_doing(system, place, unit, level, told) -> None:
    system.write("etc/group", "video:x:44:\nplugdev:x:46:")
    values = {"result": "success", "restarts": 0, "status": 0} | unit
    program(place, "systemctl", SYSTEMCTL.format(**values))
    finding = one(look_at_units(place), "service")
    assert finding.level is level
    assert told in finding.value


def test_a_unit_that_failed_by_its_configuration_or_group_says_which(system, place) -> None:
    system.write("etc/group", "video:x:44:")
    values = {"active": "failed", "sub": "failed", "result": "exit-code", "restarts": 0}
    program(place, "systemctl", SYSTEMCTL.format(status=78, **values))
    failed, group = look_at_units(place)
    assert failed.advice == "edge-detect config check"
    assert "wants the group plugdev" in group.value


def test_a_systemd_that_hangs_is_told_from_a_service_that_is_not_installed(place) -> None:
    program(place, "systemctl", f"exec /bin/sleep {HANG_S}")
    hasty = Place(root=place.root, environment=place.environment, patience=0.02)
    with promptly():
        finding = one(look_at_units(hasty), "service")
    assert (finding.level, "does not answer" in finding.value) == (Level.WARN, True)


def test_a_port_in_use_is_told_unless_the_service_uses_it(place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        here = Place(root=place.root, environment=place.environment, ports={port: "RTSP"})
        taken = one(look_at_ports(here), "port")
        assert (taken.level, str(port) in taken.advice) == (Level.WARN, True)
        values = {"active": "active", "sub": "running", "result": "success", "restarts": 0}
        program(place, "systemctl", SYSTEMCTL.format(status=0, **values))
        assert levels(look_at_ports(here)) == {Level.OK}


def test_a_program_that_hangs_is_killed_with_all_that_it_started(place, tmp_path) -> None:
    program(place, "hangs", f"/bin/sleep 300 & echo $! > {tmp_path}/child; wait")
    with promptly():
        assert place.run(["hangs"], 0.5).status is None
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not is_running(child))


def is_running(pid: int) -> bool:
    """Whether a process is there; where nobody collects it, it stays as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
