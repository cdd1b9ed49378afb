"""What the service needs of its system: rights, unit, ports."""

import errno
import os
import socket
from collections.abc import Iterator

from edge_detect.board.edge_tpu import find_usb_edge_tpus
from edge_detect.board.files import read_text
from edge_detect.tools.doctor.finding import Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place

__all__ = ["look_at_groups", "look_at_ports", "look_at_rules", "look_at_units"]

_COMMAND_S = 5.0
_MANY_RESTARTS = 10
_PURPOSES = {"video": "cameras", "render": "GPU", "plugdev": "Edge TPU on USB"}
_RULES = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
_RULES_FILE = "60-edge-detect.rules"
_JOURNAL = "journalctl -u {unit} -n 50"


def look_at_groups(place: Place) -> Iterator[Finding]:
    """Whether this user may use cameras and the like."""
    if os.geteuid() == 0:
        yield ok("rights", "root, who may use everything")
        return
    known = {name: number for name, number in _groups(place).items() if name in _PURPOSES}
    mine = {os.getegid(), *os.getgroups()}
    missing = [name for name, number in known.items() if number not in mine]
    if missing:
        purposes = ", ".join(f"{name} ({_PURPOSES[name]})" for name in missing)
        yield warn(
            "rights",
            f"this user is not in {purposes}",
            f"sudo usermod -aG {','.join(missing)} $USER, then log in again",
        )
    else:
        yield ok("rights", f"member of {', '.join(known) or 'no group that matters'}")


def look_at_rules(place: Place) -> Iterator[Finding]:
    """Whether devices come up with the groups that the service is in."""
    for folder in _RULES:
        if place.path(f"{folder}/{_RULES_FILE}").is_file():
            yield ok("udev rules", f"{folder}/{_RULES_FILE}")
            return
    if find_usb_edge_tpus(place.root):
        yield warn(
            "udev rules",
            "none for the Edge TPU on USB: only root may use it",
            "sudo deploy/install.sh sets them",
        )
    else:
        yield ok("udev rules", "not installed, the system's own apply")


def look_at_units(place: Place) -> Iterator[Finding]:
    """How the service is doing, if it is installed."""
    units = _units(place)
    if units is None:
        yield warn("service", "systemctl does not answer", "`journalctl -b -p err` may tell why")
        return
    if not units:
        yield ok("service", "not installed or not loaded")
    for unit in units:
        found = _properties(place, unit)
        yield _judge_unit(unit, found)
        wanted = found.get("SupplementaryGroups", "").split()
        for group in sorted({*wanted} - _groups(place).keys()):
            yield fail(
                "service",
                f"{unit} wants the group {group}, which there is not: it cannot start",
                f"sudo groupadd --system {group}",
            )


def look_at_ports(place: Place) -> Iterator[Finding]:
    """Whether the ports to be served are free, or served by ourselves."""
    units = _units(place) or ()
    active = any(_properties(place, unit).get("ActiveState") == "active" for unit in units)
    taken = [port for port in place.ports if _is_taken(port)]
    free = [f"{port} ({place.ports[port]})" for port in place.ports if port not in taken]
    if active and taken:
        yield ok("ports", f"{', '.join(map(str, taken))} in use, as the service is running")
        taken = []
    for port in taken:
        yield warn(
            "port",
            f"{port} ({place.ports[port]}) is in use by another program",
            f"sudo ss -ltnp 'sport = :{port}' names it; or choose another port",
        )
    if free:
        yield ok("ports", f"free: {', '.join(free)}")
    if not place.ports:
        yield ok("ports", "none are to be served")


def _groups(place: Place) -> dict[str, int]:
    """The groups of this computer, with their numbers."""
    known = {}
    for line in (read_text(place.path("/etc/group")) or "").splitlines():
        name, _, number, *_ = [*line.split(":"), "", "", ""]
        if number.isdecimal():
            known[name] = int(number)
    return known


def _units(place: Place) -> list[str] | None:
    """Names of our units that systemd has loaded; None if it does not answer."""
    if not place.has("systemctl"):
        return []
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "edge-detect*.service"]
    answer = place.run(command, _COMMAND_S)
    if answer.status is None:
        return None
    lines = [line.split() for line in answer.out.splitlines()] if answer.status == 0 else []
    return [fields[0] for fields in lines if len(fields) > 1 and fields[1] == "loaded"]


def _properties(place: Place, unit: str) -> dict[str, str]:
    names = "ActiveState,SubState,Result,NRestarts,StatusText,ExecMainStatus,SupplementaryGroups"
    answer = place.run(["systemctl", "show", unit, f"--property={names}"], _COMMAND_S)
    pairs = [line.partition("=") for line in answer.out.splitlines()]
    return {name: value for name, _, value in pairs}


def _judge_unit(unit: str, found: dict[str, str]) -> Finding:
    state, sub = found.get("ActiveState", "unknown"), found.get("SubState", "")
    restarts = found.get("NRestarts", "0")
    many = restarts.isdecimal() and int(restarts) >= _MANY_RESTARTS
    advice = _JOURNAL.format(unit=unit)
    if state == "failed":
        if found.get("ExecMainStatus") == str(os.EX_CONFIG):
            advice = "edge-detect config check"
        return fail("service", f"{unit} failed ({found.get('Result', '')})", advice)
    text = f"{unit} is {state} ({sub}), {restarts} restart{'' if restarts == '1' else 's'}"
    if many or sub == "auto-restart":
        return warn("service", text, advice)
    return ok("service", f"{text}; {found['StatusText']}" if found.get("StatusText") else text)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
