"""Every source keeps the promises of a live source; see tests/support/source_contract.py.

To add one, write a context manager that sets its device up and yields a `Case`, and put it
into the table.
"""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pytest
from support.servers.programs import Program, silent_port
from support.source_contract import CHECKS, Case

PICTURES = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(10)]


class Setup(Protocol):
    """Makes a case; `write_video` and `folder` are for those that read files."""

    def __call__(self, write_video: "WriteVideo", folder: Path) -> AbstractContextManager[Case]: ...


class WriteVideo(Protocol):
    """The fixture of that name."""

    def __call__(self, name: str, pictures: list[np.ndarray], **options: object) -> Path: ...


@contextmanager
def synthetic(write_video: WriteVideo, folder: Path) -> Iterator[Case]:
    url = "synthetic://?size=64x48&realtime=true&fps="
    yield Case(f"{url}100", f"{url}0.05")


@contextmanager
def file_loop(write_video: WriteVideo, folder: Path) -> Iterator[Case]:
    clip = write_video("clip.mp4", PICTURES, fps=50)
    slow = write_video("slow.mkv", PICTURES[:2], times_ms=[0, 60_000])
    away = clip.with_suffix(".away")

    def lose() -> None:
        clip.rename(away)

    def restore() -> None:
        away.rename(clip)

    options = "loop=true&realtime=true"
    yield Case(f"file://{clip}?{options}", f"file://{slow}?{options}", lose, restore)


@contextmanager
def images(write_video: WriteVideo, folder: Path) -> Iterator[Case]:
    for number, picture in enumerate(PICTURES):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    url = f"images://{folder}/*.png?loop=true&realtime=true&fps="
    yield Case(f"{url}100", f"{url}0.05")


@contextmanager
def network(
    script: str, url: str, *arguments: str, write_video: WriteVideo, folder: Path
) -> Iterator[Case]:
    with ExitStack() as stack:
        server = stack.enter_context(contextlib.closing(Program(script, *arguments)))

        def restore() -> None:
            again = Program(script, *arguments, "--port", str(server.port))
            stack.enter_context(contextlib.closing(again))

        quiet_url = f"{url.format(stack.enter_context(silent_port()))}?open_timeout=30"
        yield Case(url.format(server.port), quiet_url, server.kill, restore)


@contextmanager
def picamera2(write_video: WriteVideo, folder: Path) -> Iterator[Case]:
    """A CSI camera, by an imitation of the library that no other machine has."""
    forget_picamera2()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "fakes" / "picamera2"))
        patch.setenv("FAKE_CSI_LOCKS", str(folder))
        sensor = import_module("csi_hardware").board.sensors[0]
        # A turn of the original's event loop, which every close waits for, is 0.2 s.
        patch.setattr(import_module("picamera2.picamera2"), "_TURN_S", 0.01)
        url = "picamera2://0?size=320x240&fps="
        lose, restore = (partial(setattr, sensor, "plugged", each) for each in (False, True))
        try:
            # Two hundred take it half a minute, and are in its own tests.
            yield Case(f"{url}100", f"{url}0.05", lose, restore, cycles=10)
        finally:
            forget_picamera2()


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
def test_a_live_source_keeps_its_promises(check, setup, write_video, tmp_path) -> None:
    with setup(write_video=write_video, folder=tmp_path) as case:
        check(case)
