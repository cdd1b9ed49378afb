"""The daemon as a process of its own, with systemd's end of the line held by the test."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from support.waiting import promptly, wait_for

__all__ = ["MODEL", "DaemonProcess", "count_of", "running_daemon"]

MODEL = "ssdlite-mobilenet-v2-pedestrian"


class DaemonProcess:
    """`edge-detect run --config`, told that systemd started it.

    Args:
        folder: For its state, its log and the socket that it reports to.
        config: The text of its configuration.
        environment: Further variables.
    """

    def __init__(
        self, folder: Path, config: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.config = folder / "config.toml"
        self.config.write_text(config)
        self._log = folder / "log"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = folder / "notify"
        self._socket.bind(str(address))
        # Looked at all the time, as by systemd: the kernel keeps ten messages, in some settings.
        self._socket.settimeout(0.1)
        self.messages: list[dict[str, str]] = []
        self._over = Event()
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()
        variables = {
            **os.environ,
            "STATE_DIRECTORY": str(folder / "state"),
            "NOTIFY_SOCKET": str(address),
            "WATCHDOG_USEC": "400000",
            **(environment or {}),
        }
        program = Path(sys.executable).parent / "edge-detect"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, "run", "--config", self.config], stderr=log, env=variables
            )

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def heard(self, key: str) -> list[str]:
        """What it has told systemd under a key so far, in order."""
        return [message[key] for message in list(self.messages) if key in message]

    def wait_until_ready(self, times: int = 1) -> None:
        """Wait for READY=1, at the start or after a reload."""
        wait_for(lambda: len(self.heard("READY")) >= times or self.ended, 60)
        assert not self.ended, self.log

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        return self.process.poll() is not None

    def reload(self, config: str | None = None) -> None:
        """Have it read its file anew, after a change."""
        if config is not None:
            self.config.write_text(config)
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it as systemd does; it has all the time that a busy machine needs."""
        with promptly():
            self.process.terminate()
            self.process.wait(60)

    def close(self) -> None:
        """End it, whatever its state."""
        self.process.kill()
        self.process.wait(10)
        self._over.set()
        self._listener.join(10)
        self._socket.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                datagram = self._socket.recv(65536)
            except TimeoutError:
                continue
            lines = datagram.decode().splitlines()
            self.messages.append(dict(line.split("=", 1) for line in lines))


def count_of(port: int, series: str) -> int:
    """The sum of all series that begin so, as the metrics say; 0 where there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    wanted = f"edge_detect_{series}"
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(wanted))


@contextmanager
def running_daemon(
    folder: Path, config: str, environment: Mapping[str, str] | None = None
) -> Iterator[DaemonProcess]:
    """A daemon for the time of a `with` statement."""
    daemon = DaemonProcess(folder, config, environment)
    try:
        yield daemon
    except BaseException:
        # Shown with the failure of the test.
        sys.stderr.write(daemon.log)
        raise
    finally:
        daemon.close()
