"""A real MQTT broker on a free port of the loopback, which can be killed, frozen and restarted."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Broker", "Certificates", "make_certificates", "mqtt_broker"]


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a broker's certificate by it for 127.0.0.1, and its key."""

    authority: Path
    certificate: Path
    key: Path


class Broker:
    """mosquitto, with its settings in a folder.

    Args:
        folder: For its settings; nothing that it is told survives a restart.
        login: User and password that it wants; None lets everybody in.
        tls: Speak TLS with these certificates.
        require_certificate: Let only clients in that have a certificate by the authority.
        further: Lines for its settings.
    """

    def __init__(
        self,
        folder: Path,
        login: tuple[str, str] | None = None,
        tls: Certificates | None = None,
        *,
        require_certificate: bool = False,
        further: tuple[str, ...] = (),
    ) -> None:
        self.port = _free_port()
        # Without `user root`, one started by root could not read the files of the test.
        lines = ["user root", "persistence false", f"listener {self.port} 127.0.0.1"]
        lines += ["log_dest stderr", "connection_messages true", *further]
        if login is None:
            lines += ["allow_anonymous true"]
        else:
            passwords = folder / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, *login], check=True)
            lines += ["allow_anonymous false", f"password_file {passwords}"]
        if tls is not None:
            lines += [f"cafile {tls.authority}", f"certfile {tls.certificate}"]
            lines += [
                f"keyfile {tls.key}",
                f"require_certificate {str(require_certificate).lower()}",
            ]
        self._settings = folder / "mosquitto.conf"
        self._settings.write_text("\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def log(self) -> str:
        """What it has said since the first start."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["mosquitto", "-c", str(self._settings)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mosquitto did not start: {self.log}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out; its port comes free."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def freeze(self) -> None:
        """Stop it; its connections stay open, and new ones are taken by the kernel."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def mqtt_broker(
    folder: Path,
    login: tuple[str, str] | None = None,
    tls: Certificates | None = None,
    *,
    require_certificate: bool = False,
    further: tuple[str, ...] = (),
) -> Iterator[Broker]:
    """A broker for the time of a `with` statement."""
    broker = Broker(folder, login, tls, require_certificate=require_certificate, further=further)
    try:
        yield broker
    finally:
        broker.kill()


def make_certificates(folder: Path, name: str) -> Certificates:
    """Make an authority of that name, and have it sign a certificate for 127.0.0.1."""
    folder.mkdir(exist_ok=True)
    authority, authority_key = folder / "ca.pem", folder / "ca.key"
    certificate, key, request = folder / "server.pem", folder / "server.key", folder / "server.csr"
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name_it = ["-subj", f"/CN={name}", "-days", "30"]
    _openssl("req", "-x509", *new_key, "-keyout", authority_key, "-out", authority, *name_it)
    _openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1")
    sign = ["-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-extfile", extensions]
    _openssl("x509", "-req", "-in", request, *sign, "-out", certificate, "-days", "30")
    return Certificates(authority, certificate, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
