"""Which of a camera's formats, sizes and rates is taken."""

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from edge_detect.core import Size

__all__ = [
    "DEFAULT_FPS",
    "DEFAULT_SIZE",
    "Choice",
    "Mode",
    "SizeRange",
    "Wanted",
    "choose",
    "describe",
]

DEFAULT_SIZE = Size(1280, 720)
DEFAULT_FPS = 30.0
# A larger picture is preferred only while it moves at least this fast.
_FLUID_FPS = 20.0
# 29.97 is as good as 30.
_RATE_TOLERANCE = 0.01


class SizeRange(NamedTuple):
    """The sizes of a camera that scales: from the smallest to the largest, in steps."""

    smallest: Size
    largest: Size
    step: Size

    def nearest(self, wanted: Size) -> Size:
        """The size in the range that is nearest to the wanted one, in each direction."""
        sides = zip(wanted, *self, strict=True)
        return Size(*(_nearest_side(*side) for side in sides))


class Mode(NamedTuple):
    """One thing that a camera can do.

    Attributes:
        fourcc: Pixel format.
        size: In pixels.
        rates: Frames per second; empty where the driver does not tell.
        any_between: Whether all rates between those listed can be had, too.
    """

    fourcc: str
    size: Size
    rates: tuple[Fraction, ...]
    any_between: bool = False

    def rate(self, fps: float) -> Fraction | None:
        """The listed or possible rate that is as good as `fps`; None if there is none."""
        for rate in self.rates:
            if abs(float(rate) - fps) <= _RATE_TOLERANCE * fps:
                return rate
        if self.any_between and self.rates and min(self.rates) <= fps <= max(self.rates):
            return Fraction(fps).limit_denominator(1001)
        return None

    def usual_rate(self) -> Fraction | None:
        """The greatest rate up to 30, else the least; None where rates are not told."""
        exact = self.rate(DEFAULT_FPS)
        if exact is not None or not self.rates:
            return exact
        slower = [rate for rate in self.rates if rate < DEFAULT_FPS]
        return max(slower) if slower else min(self.rates)


class Wanted(NamedTuple):
    """What the user asks for; None is left to us."""

    size: Size | None = None
    fps: float | None = None
    fourcc: str | None = None


class Choice(NamedTuple):
    """What is set; a rate of None is left to the driver."""

    fourcc: str
    size: Size
    fps: Fraction | None


def choose(modes: Iterable[Mode], wanted: Wanted, readable: tuple[str, ...]) -> Choice | None:
    """The mode that fits best.

    What is asked for must be met. Left to us, it is a picture that moves (20 fps), up to
    1280x720 in size, as near to that and to 30 fps as there is, and uncompressed if the
    camera reaches the same in that: it costs a tenth of the time.

    Args:
        modes: What there is.
        wanted: What is asked for.
        readable: Pixel formats that can be decoded, the best first.

    Returns:
        None if there is nothing that meets what is asked for.
    """
    best: tuple[tuple[float, ...], Choice] | None = None
    for mode in modes:
        if mode.fourcc not in readable or wanted.fourcc not in {None, mode.fourcc}:
            continue
        if wanted.size not in {None, mode.size}:
            continue
        fps = mode.usual_rate() if wanted.fps is None else mode.rate(wanted.fps)
        if fps is None and mode.rates:
            continue
        if fps is None and wanted.fps is not None:
            fps = Fraction(wanted.fps).limit_denominator(1001)
        rank = _rank(mode.size, fps, wanted.fps, readable.index(mode.fourcc))
        if best is None or rank > best[0]:
            best = rank, Choice(mode.fourcc, mode.size, fps)
    return None if best is None else best[1]


def describe(modes: Iterable[Mode]) -> str:
    """All modes in one line: `MJPG 1280x720 30 15 · 640x480 30; YUYV 640x480 30`."""
    formats: dict[str, list[str]] = {}
    for mode in modes:
        rates = [f"{float(rate):.4g}" for rate in sorted(mode.rates, reverse=True)]
        text = ("-" if mode.any_between else " ").join(rates)
        formats.setdefault(mode.fourcc, []).append(f"{mode.size} {text}".rstrip())
    return "; ".join(f"{fourcc} {' · '.join(sizes)}" for fourcc, sizes in formats.items())


def _rank(
    size: Size, fps: Fraction | None, wanted_fps: float | None, place: int
) -> tuple[float, ...]:
    """Sorts modes; the greater, the better."""
    rate = DEFAULT_FPS if fps is None else float(fps)
    target = DEFAULT_FPS if wanted_fps is None else wanted_fps
    fits = size.width <= DEFAULT_SIZE.width and size.height <= DEFAULT_SIZE.height
    area = size.width * size.height
    fluid = rate >= min(_FLUID_FPS, target * (1 - _RATE_TOLERANCE))
    return fluid, fits, area if fits else -area, -abs(rate - target), -place


def _nearest_side(wanted: int, smallest: int, largest: int, step: int) -> int:
    steps = round((min(max(wanted, smallest), largest) - smallest) / max(1, step))
    side = smallest + steps * max(1, step)
    return side if side <= largest else side - max(1, step)
