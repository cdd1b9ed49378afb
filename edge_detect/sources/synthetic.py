"""A scene of moving shapes whose positions are known: for tests and measurements."""

from dataclasses import dataclass
from typing import TypedDict

import cv2
import numpy as np

from edge_detect.core import (
    NS_PER_S,
    Detection,
    Frame,
    Image,
    Size,
    SourceError,
    monotonic_ns,
)
from edge_detect.core.buffers import ImagePool
from edge_detect.core.burned_clock import burn_clock
from edge_detect.core.url import Url
from edge_detect.sources.pacing import Pacer
from edge_detect.sources.source import Source

__all__ = ["SHAPES", "SyntheticSource", "open_synthetic", "read_synthetic_url"]

SHAPES = ("square", "circle", "triangle")


@dataclass(slots=True, frozen=True)
class _Shape:
    """One object: its top-left corner runs to and fro between the edges of the picture."""

    class_id: int
    side: int
    start: tuple[int, int]
    step: tuple[int, int]
    color: tuple[int, int, int]

    def corner(self, sequence: int, size: Size) -> tuple[int, int]:
        spans = (size.width - self.side, size.height - self.side)
        x, y = (
            _bounce(start + step * sequence, span)
            for start, step, span in zip(self.start, self.step, spans, strict=True)
        )
        return x, y


class _Options(TypedDict):
    size: Size
    fps: float
    objects: int
    seed: int
    frames: int
    clock: bool


class SyntheticSource(Source):
    """Squares, circles and triangles that cross the picture in straight lines.

    The same options give the same pictures, on every machine.

    Args:
        size: Of the picture.
        fps: Rate of the media time line, and of emission when paced.
        objects: How many shapes; later ones lie above earlier ones.
        seed: Of their positions, sizes, speeds and colours.
        frames: Where the source ends; 0 for never.
        paced: Whether a clock sets the pace.
        clock: Whether each picture shows its time of capture, for `core.burned_clock`.
    """

    def __init__(
        self,
        size: Size,
        fps: float,
        objects: int,
        seed: int,
        frames: int,
        *,
        paced: bool,
        clock: bool = False,
    ) -> None:
        self.name = f"synthetic://?size={size}&objects={objects}&seed={seed}"
        self.size: Size = size
        self.fps: float = fps
        self.live = paced
        self._frames = frames
        self._clock = clock
        self._sequence = 0
        self._pacer = Pacer(active=paced)
        self._pool = ImagePool()
        random = np.random.default_rng(seed)
        self._background = _draw_background(size, random)
        self._shapes = [_random_shape(size, random) for _ in range(objects)]

    @property
    def resting(self) -> bool:
        """Whether `read` holds a frame back until its time has come."""
        return self._pacer.waiting

    def read(self) -> Frame | None:
        """Draw the next frame; None after the last one and after `close`."""
        sequence = self._sequence
        if self._pacer.closed or (self._frames and sequence >= self._frames):
            return None
        image = self._pool.take(self.size.height, self.size.width)
        np.copyto(image, self._background)
        for shape in self._shapes:
            _draw_shape(image, shape, *shape.corner(sequence, self.size))
        media_ns = round(sequence * NS_PER_S / self.fps)
        if not self._pacer.wait(media_ns):
            return None
        self._sequence += 1
        now_ns = monotonic_ns()
        captured_ns = burn_clock(image, now_ns) if self._clock else now_ns
        return Frame(image, captured_ns, sequence, self.name, media_ns)

    def ground_truth(self, sequence: int) -> list[Detection]:
        """The objects in one frame, parts hidden behind others included.

        Args:
            sequence: Number of the frame, from 0.

        Returns:
            One entry per object with score 1; the box is exact to the pixel.
        """
        found = []
        for shape in self._shapes:
            x, y = shape.corner(sequence, self.size)
            box = (float(x), float(y), float(x + shape.side), float(y + shape.side))
            found.append(Detection(SHAPES[shape.class_id], shape.class_id, 1.0, box))
        return found

    def close(self) -> None:
        """End the source; a waiting `read` returns None at once."""
        self._pacer.close()


def open_synthetic(url: Url, paced: bool | None) -> SyntheticSource:  # noqa: FBT001
    """Open `synthetic://?size=1280x720&fps=30&objects=5&seed=1&frames=300&realtime=false&clock=false`.

    Raises:
        SourceError: There is text between `//` and `?`.
        ConfigError: An option is misspelt or has an impossible value.
    """
    options = read_synthetic_url(url)
    realtime = url.flag("realtime")
    return SyntheticSource(**options, paced=realtime if paced is None else paced)


def read_synthetic_url(url: Url) -> _Options:
    """What a URL asks for, but the pace.

    Raises:
        SourceError: There is text between `//` and `?`.
        ConfigError: An option is misspelt or has an impossible value.
    """
    url.check_options("size", "fps", "objects", "seed", "frames", "realtime", "clock")
    if url.location:
        raise SourceError(
            f"{url.name!r} names something after 'synthetic://'",
            "options follow a question mark, e.g. synthetic://?size=1280x720",
        )
    url.flag("realtime")
    return {
        "size": url.size("size", Size(1280, 720)),
        "fps": url.number("fps", 30.0),
        "objects": url.integer("objects", 5),
        "seed": url.integer("seed", 1),
        "frames": url.integer("frames", 0),
        "clock": url.flag("clock"),
    }


def _bounce(position: int, span: int) -> int:
    """Fold an endless line into 0 … span, to and fro."""
    if span <= 0:
        return 0
    position %= 2 * span
    return position if position <= span else 2 * span - position


def _random_shape(size: Size, random: np.random.Generator) -> _Shape:
    shortest = min(size)
    side = int(random.integers(max(1, shortest // 10), max(2, shortest // 4)))
    start = (int(random.integers(size.width)), int(random.integers(size.height)))
    speed = max(2, shortest // 60)
    step = (
        int(random.integers(1, speed + 1)) * int(random.choice((-1, 1))),
        int(random.integers(1, speed + 1)) * int(random.choice((-1, 1))),
    )
    blue, green, red = (int(value) for value in random.integers(40, 256, 3))
    return _Shape(int(random.integers(len(SHAPES))), side, start, step, (blue, green, red))


def _draw_background(size: Size, random: np.random.Generator) -> Image:
    """Dark, softly clouded, so that the shapes stand out and the picture is not trivial."""
    clouds = random.integers(0, 40, (9, 16, 3), np.uint8)
    background = np.empty((size.height, size.width, 3), np.uint8)
    cv2.resize(clouds, tuple(size), dst=background, interpolation=cv2.INTER_LINEAR)
    return background


def _draw_shape(image: Image, shape: _Shape, x: int, y: int) -> None:
    side = shape.side
    patch = image[y : y + side, x : x + side]
    if SHAPES[shape.class_id] == "square":
        patch[:] = shape.color
    elif SHAPES[shape.class_id] == "circle":
        # The disc is cut out by its equation: OpenCV's circles have odd diameters only.
        centre = (side - 1) / 2
        rows, columns = np.ogrid[:side, :side]
        patch[(rows - centre) ** 2 + (columns - centre) ** 2 <= (side / 2) ** 2] = shape.color
    else:
        corners = np.array([[0, side - 1], [side - 1, side - 1], [(side - 1) // 2, 0]])
        cv2.fillPoly(patch, [corners.astype(np.int32)], shape.color)
