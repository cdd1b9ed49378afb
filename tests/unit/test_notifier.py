"""What systemd is told arrives, whatever state systemd is in."""

import socket

import pytest

from edge_detect.service.notifier import Notifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        yield manager


def heard(manager: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(65536).decode())
        except BlockingIOError:
            return messages


def test_a_manager_that_was_too_busy_to_hear_that_all_is_ready_is_told_again(manager):
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    for _ in range(2000):
        notifier.alive()
    notifier.ready("all is well")
    notifier.alive()
    assert "READY=1\nSTATUS=all is well" not in heard(manager)
    notifier.alive()
    notifier.status("all is well")
    notifier.status("all is well")
    assert heard(manager) == ["WATCHDOG=1", "READY=1\nSTATUS=all is well"]


def test_a_status_with_a_file_name_that_is_no_text_is_told_all_the_same(manager):
    Notifier({"NOTIFY_SOCKET": manager.getsockname()}).ready("cannot read \udcff.toml")
    assert heard(manager) == ["READY=1\nSTATUS=cannot read ?.toml"]


def test_an_abstract_address_is_understood():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")
        manager.setblocking(False)
        address = manager.getsockname().decode().replace("\0", "@", 1)
        Notifier({"NOTIFY_SOCKET": address}).alive()
        assert heard(manager) == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", ["/nowhere/notify", "/" + "x" * 200, "vsock:2:1234"])
def test_a_manager_that_is_not_there_is_no_error(address):
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "x"})
    notifier.ready("all is well")
    notifier.alive()
    assert notifier.watchdog_s == 0
