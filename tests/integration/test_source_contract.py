"""Every source keeps the promises of a live source; see tests/support/source_contract.py.

To add one, write a context manager that sets its device up and yields a `Case`, and put it
into the table.
"""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pytest
from support.ports import free_port
from support.servers.programs import Program, silent_port
from support.source_contract import CHECKS, Case
from support.waiting import HANG_S

from edge_detect.core.url import parse_url
from edge_detect.sources.csi.source import CsiLimits, CsiSource, read_picamera2_url

PICTURES = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(10)]


class Setup(Protocol):
    """Makes a case; `write_video` and `folder` are for those that read files."""

    def __call__(
        self, write_video: "WriteVideo", folder: Path, servers: "Servers"
    ) -> AbstractContextManager[Case]: ...


class WriteVideo(Protocol):
    """The fixture of that name."""

    def __call__(self, name: str, pictures: list[np.ndarray], **options: object) -> Path: ...


class Servers:
    """The programs that the tests of this module share, each with its arguments."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], Program] = {}

    def get(self, *command: str) -> Program:
        """A server that runs."""
        if command not in self._running:
            # Not one that the system hands out: it is to be free when the server comes back.
            self._running[command] = Program(*command, "--port", str(free_port()))
        return self._running[command]

    def start_again(self, *command: str) -> None:
        """Replace a server that was killed by one at the same port."""
        killed = self._running.pop(command)
        killed.close()
        self._running[command] = Program(*command, "--port", str(killed.port))

    def close(self) -> None:
        """End all."""
        for program in self._running.values():
            program.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with contextlib.closing(Servers()) as running:
        yield running


@contextmanager
def synthetic(write_video: WriteVideo, folder: Path, servers: Servers) -> Iterator[Case]:
    url = "synthetic://?size=64x48&realtime=true&fps="
    yield Case(f"{url}100", f"{url}{1 / HANG_S}")


@contextmanager
def file_loop(write_video: WriteVideo, folder: Path, servers: Servers) -> Iterator[Case]:
    clip = write_video("clip.mp4", PICTURES, fps=50)
    slow = write_video("slow.mkv", PICTURES[:2], times_ms=[0, round(1000 * HANG_S)])
    away = clip.with_suffix(".away")

    def lose() -> None:
        clip.rename(away)

    def restore() -> None:
        away.rename(clip)

    options = "loop=true&realtime=true"
    yield Case(f"file://{clip}?{options}", f"file://{slow}?{options}", lose, restore)


@contextmanager
def images(write_video: WriteVideo, folder: Path, servers: Servers) -> Iterator[Case]:
    for number, picture in enumerate(PICTURES):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    url = f"images://{folder}/*.png?loop=true&realtime=true&fps="
    yield Case(f"{url}100", f"{url}{1 / HANG_S}")


@contextmanager
def network(
    script: str, url: str, *arguments: str, write_video: WriteVideo, folder: Path, servers: Servers
) -> Iterator[Case]:
    server = servers.get(script, *arguments)
    with silent_port() as silent:
        quiet_url = f"{url.format(silent)}?open_timeout={HANG_S:g}"
        restore = partial(servers.start_again, script, *arguments)
        yield Case(url.format(server.port), quiet_url, server.kill, restore, cycles=15)


@contextmanager
def picamera2(write_video: WriteVideo, folder: Path, servers: Servers) -> Iterator[Case]:
    """A CSI camera, by an imitation of the library that no other machine has."""
    forget_picamera2()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "fakes" / "picamera2"))
        patch.setenv("FAKE_CSI_LOCKS", str(folder))
        board = import_module("csi_hardware").board
        board.turn_s = 0.01
        sensor = board.sensors[0]
        url = "picamera2://0?size=320x240&fps="
        lose, restore = (partial(setattr, sensor, "plugged", each) for each in (False, True))
        try:
            yield Case(f"{url}100", f"{url}{1 / HANG_S}", lose, restore, 10, open_csi_camera)
        finally:
            forget_picamera2()


def open_csi_camera(url: str) -> CsiSource:
    """A camera whose loss is noticed soon."""
    return CsiSource(*read_picamera2_url(parse_url(url)), CsiLimits(silence_s=0.5))


def forget_picamera2() -> None:
    """Let the next import look for it again."""
    packages = ("csi_hardware", "libcamera", "picamera2")
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


RTSP_URL, HTTP_URL = "rtsp://127.0.0.1:{}/live", "http://127.0.0.1:{}/mjpeg"
SOURCES: dict[str, Setup] = {
    "synthetic": synthetic,
    "file": file_loop,
    "images": images,
    "picamera2": picamera2,
    "rtsp": partial(network, "rtsp_server.py", RTSP_URL, "--codec", "mjpeg", "--shared"),
    "http": partial(network, "http_server.py", HTTP_URL),
}


@pytest.mark.parametrize("setup", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_live_source_keeps_its_promises(check, setup, write_video, tmp_path, servers) -> None:
    with setup(write_video=write_video, folder=tmp_path, servers=servers) as case:
        check(case)
