"""What surrounds the daemon in a soak run: cameras, a broker and a viewer that come and go."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from soak_watch import Watch
from support.servers.broker import Broker
from support.servers.programs import Program

__all__ = ["Fault", "World"]

_RECOVERY_S = 90.0


@dataclass(slots=True, frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: In the summary.
        strike: Makes it go wrong.
        cure: Makes it good again.
        recovered: Whether the daemon works with it again; waits for that.
    """

    name: str
    strike: Callable[[], None]
    cure: Callable[[], None]
    recovered: Callable[[Watch], bool]


class World:
    """Two cameras, a broker, and a viewer.

    Args:
        folder: For the broker's settings and the daemon's recordings.
        fps: Of each camera.
        stream: RTSP address at which the daemon is to serve the first camera.
    """

    def __init__(self, folder: Path, fps: int, stream: str) -> None:
        self._stream = stream
        self._rtsp_arguments = ("--fps", str(fps), "--size", "320x240")
        self.rtsp = Program("rtsp_server.py", *self._rtsp_arguments)
        self.http = Program("http_server.py")
        self.broker = Broker(folder)
        self._viewer: subprocess.Popen[bytes] | None = None
        self._rtsp_port, self._http_port = str(self.rtsp.port), str(self.http.port)
        self.sources = {
            "yard": f"rtsp://127.0.0.1:{self._rtsp_port}/live",
            "door": f"http://127.0.0.1:{self._http_port}/mjpeg?fps={fps}&size=320x240",
        }

    def faults(self) -> list[Fault]:
        """All that can go wrong here."""
        return [
            Fault("RTSP camera killed", self.rtsp.kill, self._restart_rtsp, self._flows("yard")),
            Fault("RTSP camera frozen", self._freeze_rtsp, self._thaw_rtsp, self._flows("yard")),
            Fault("HTTP camera killed", self.http.kill, self._restart_http, self._flows("door")),
            Fault("HTTP camera frozen", self._freeze_http, self._thaw_http, self._flows("door")),
            Fault("broker killed", self.broker.kill, self.broker.start, self._is_told),
            Fault("broker frozen", self.broker.freeze, self.broker.thaw, self._is_told),
            Fault("viewer killed", self._watch_stream, self._kill_viewer, self._can_be_watched),
            Fault("viewer frozen", self._freeze_viewer, self._kill_viewer, self._can_be_watched),
        ]

    def close(self) -> None:
        """End everything."""
        self._kill_viewer()
        self.rtsp.close()
        self.http.close()
        self.broker.kill()

    def _restart_rtsp(self) -> None:
        self.rtsp.close()
        self.rtsp = Program("rtsp_server.py", "--port", self._rtsp_port, *self._rtsp_arguments)

    def _restart_http(self) -> None:
        self.http.close()
        self.http = Program("http_server.py", "--port", self._http_port)

    def _freeze_rtsp(self) -> None:
        self.rtsp.freeze()

    def _thaw_rtsp(self) -> None:
        self.rtsp.thaw()

    def _freeze_http(self) -> None:
        self.http.freeze()

    def _thaw_http(self) -> None:
        self.http.thaw()

    def _flows(self, camera: str) -> Callable[[Watch], bool]:
        def flows(watch: Watch) -> bool:
            up = watch.wait_until(lambda figures: figures.up.get(camera, False), _RECOVERY_S)
            if up is None:
                return False
            before = up.captured[camera]
            return (
                watch.wait_until(lambda now: now.captured.get(camera, 0) > before + 30, 30)
                is not None
            )

        return flows

    def _is_told(self, _watch: Watch) -> bool:
        """Whether the broker hears from the daemon: its retained birth message is there."""
        listener = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.broker.port)]
        listener += ["-t", "edge-detect/+/status", "-C", "1", "-W", "15"]
        deadline = time.monotonic() + _RECOVERY_S
        while time.monotonic() < deadline:
            heard = subprocess.run(listener, capture_output=True, timeout=30, check=False)
            if heard.stdout.strip() == b"online":
                return True
            time.sleep(0.5)
        return False

    def _watch_stream(self) -> None:
        self._kill_viewer()
        client = ["ffmpeg", "-v", "quiet", "-rtsp_transport", "tcp", "-i", self._stream]
        self._viewer = subprocess.Popen([*client, "-f", "null", "-"], stdin=subprocess.DEVNULL)

    def _freeze_viewer(self) -> None:
        self._watch_stream()
        time.sleep(random.uniform(1, 3))
        if self._viewer is not None:
            self._viewer.send_signal(signal.SIGSTOP)

    def _kill_viewer(self) -> None:
        if self._viewer is not None:
            self._viewer.kill()
            self._viewer.wait(10)
            self._viewer = None

    def _can_be_watched(self, _watch: Watch) -> bool:
        """Whether a new viewer sees pictures."""
        client = ["ffmpeg", "-v", "quiet", "-rtsp_transport", "tcp", "-i", self._stream]
        client += ["-frames:v", "20", "-f", "null", "-"]
        deadline = time.monotonic() + _RECOVERY_S
        while time.monotonic() < deadline:
            try:
                if (
                    subprocess.run(client, capture_output=True, timeout=30, check=False).returncode
                    == 0
                ):
                    return True
            except subprocess.TimeoutExpired:
                continue
            time.sleep(0.5)
        return False
