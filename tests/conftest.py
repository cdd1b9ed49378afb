"""Media and results that many tests need; everything is made on the spot."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import settings
from support.stand_in import StandIn

from edge_detect.core import Detections, Frame, Image, Result, Timings

# New examples at every run find new defects; a landing must not depend on luck. No example has a
# deadline: the first one may import what the others use, on a machine that is busy.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Read when TensorFlow is first imported, which tests may do before the converter does: its fused
# sum and leaky ReLU has another slope.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


@pytest.fixture(scope="module", autouse=True)
def old_objects_out_of_the_way() -> None:
    """Keep all that was made so far out of every later collection of garbage.

    Sources and tests that have garbage collected would spend a third of a second each time on
    what two thousand tests have imported.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def nothing_tuned(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Threads in tests do not depend on what was measured on this computer."""
    os.environ["EDGE_DETECT_TUNED"] = str(tmp_path_factory.mktemp("tuned") / "tuned.json")


def pytest_configure() -> None:
    """Let programs that tests start be interrupted, also where the tests run in the background.

    A shell has what it puts there ignore SIGINT, and programs inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.parent.name != "integration")


WriteVideo = Callable[..., Path]


def flat(color: tuple[int, int, int], width: int = 64, height: int = 48) -> Image:
    """One picture of one colour: blue, green, red."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = color
    return image


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """A function that writes pictures to a video file and returns its path.

    `times_ms` gives the time of each picture; without it they follow at `fps`.
    """

    def write(
        name: str,
        pictures: Sequence[Image],
        *,
        fps: int = 25,
        times_ms: Sequence[int] | None = None,
        options: dict[str, str] | None = None,
        codec: str = "libx264",
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=fps, options=options or {"crf": "10"})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for index, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts = index * 1000 // fps if times_ms is None else times_ms[index]
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def grey_steps() -> list[Image]:
    """Twenty pictures that grow brighter by ten steps each, so each tells its number."""
    return [flat((10 * index, 10 * index, 10 * index)) for index in range(20)]


def make_result(
    image: Image | None = None, sequence: int = 0, media_ns: int = 0, objects: int = 1
) -> Result:
    """A result with some objects in a small picture."""
    labels = ("person", "car")
    boxes = np.array([[1, 2, 30.25, 40.06]] * objects, np.float32).reshape(-1, 4)
    detections = Detections(
        boxes,
        np.full(objects, 0.87654, np.float32),
        np.arange(objects, dtype=np.int32) % 2,
        labels,
    )
    frame = Frame(flat((0, 0, 0)) if image is None else image, 1_000, sequence, "test", media_ns)
    return Result(frame, detections, Timings(1_000_000, 2_000_000, 3_000_000, 5_001_000))


@pytest.fixture
def result_of() -> Callable[..., Result]:
    """A function that makes a result."""
    return make_result


@pytest.fixture(scope="session")
def stand_in_library(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    """What stands in for libedgetpu.so.1, compiled once."""
    return StandIn(tmp_path_factory.mktemp("edge_tpu"))


@pytest.fixture
def stand_in(stand_in_library: StandIn) -> StandIn:
    """The same, with nothing ordered."""
    stand_in_library.tell()
    return stand_in_library


@pytest.fixture
def our_threads() -> Callable[[], list[str]]:
    """A function that gives the names of the product's threads begun since the test began."""
    before = set(threading.enumerate())

    def names() -> list[str]:
        new = set(threading.enumerate()) - before
        return [each.name for each in new if each.name.startswith("edge-")]

    return names
