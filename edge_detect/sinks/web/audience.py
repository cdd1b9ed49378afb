"""Who watches the picture, and JPEGs made for them: none for nobody, one for all."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import cv2
import numpy as np

from edge_detect.core import Image, Picture, Size, monotonic_ns
from edge_detect.sinks.web.pace import Pace

__all__ = ["Audience", "AudienceFullError", "Jpeg", "Rendition", "Viewer"]

# Every one costs an encoding of each picture, on a machine that has better things to do.
_MOST_RENDITIONS = 4
_MOST_PASSING = 8


class AudienceFullError(Exception):
    """There are as many viewers, or kinds of pictures for them, as the machine can serve."""


@dataclass(slots=True, frozen=True)
class Rendition:
    """What kind of JPEG a viewer wants.

    Attributes:
        width: In pixels; larger ones than the picture, and None, mean the picture's own.
        quality: 1 to 100, as libjpeg counts it.
    """

    width: int | None
    quality: int


@dataclass(slots=True, frozen=True)
class Jpeg:
    """One picture, ready to be sent.

    Attributes:
        data: The JPEG file.
        captured_ns: CLOCK_MONOTONIC time of the capture.
        boxes_age_ns: How much older the drawn boxes are than the picture.
        size: In pixels.
    """

    data: bytes
    captured_ns: int
    boxes_age_ns: int
    size: Size


class Viewer:
    """One who watches; lives in the event loop, and only `claim` is called from elsewhere.

    Args:
        rendition: What kind of pictures.
        fps: No more pictures than that a second; None for all.
        clock: Gives the time in nanoseconds.
        passing: Whether one picture is all that is wanted.
    """

    def __init__(
        self, rendition: Rendition, fps: float | None, clock: Callable[[], int], *, passing: bool
    ) -> None:
        self.rendition = rendition
        self.passing = passing
        self._clock = clock
        self._pace = Pace(fps)
        self._waiting = False
        self._ended = False
        self._jpeg: Jpeg | None = None
        self._arrived = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._ended

    def due(self, now_ns: int) -> bool:
        """Whether a picture would be sent at once: one who is still busy is left out."""
        return self._waiting and self._pace.due(now_ns)

    def claim(self) -> None:
        """Be due no more until the next picture is waited for: one is on its way."""
        self._waiting = False

    async def next(self, timeout_s: float) -> Jpeg | None:
        """The next picture that is made; None when none comes in time, and at the end."""
        self._jpeg = None
        self._arrived.clear()
        if self._ended:
            return None
        self._waiting = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return None
        finally:
            self._waiting = False
        if self._jpeg is not None:
            self._pace.take(self._clock())
        return self._jpeg

    def give(self, jpeg: Jpeg) -> None:
        """Hand over a picture; one that was not taken yet is forgotten."""
        self._jpeg = jpeg
        self._arrived.set()

    def end(self) -> None:
        """Have `next` return None from now on."""
        self._ended = True
        self._jpeg = None
        self._arrived.set()


class Audience:
    """All viewers of one page.

    Args:
        most: How many there may be.
        clock: Gives the time in nanoseconds, for their rates.
    """

    def __init__(self, most: int, clock: Callable[[], int] = monotonic_ns) -> None:
        self._most = most
        self._clock = clock
        self._lock = Lock()
        # Replaced and never changed, so that the pipeline's threads can read it as it is.
        self._viewers: tuple[Viewer, ...] = ()

    @property
    def count(self) -> int:
        """How many watch; not those who want a single picture."""
        return sum(not viewer.passing for viewer in self._viewers)

    def join(
        self, rendition: Rendition, fps: float | None = None, *, passing: bool = False
    ) -> Viewer:
        """Let one more watch, until `leave`.

        Args:
            rendition: What kind of pictures.
            fps: No more pictures than that a second; None for all.
            passing: Whether one picture is all that is wanted; there is room for a few of
                those besides the others.

        Raises:
            AudienceFullError: There are too many, or they want too many different pictures.
        """
        with self._lock:
            others = [viewer for viewer in self._viewers if viewer.passing == passing]
            most = _MOST_PASSING if passing else self._most
            if len(others) >= most:
                raise AudienceFullError(f"{most} are watching already, and no more may at a time")
            renditions = {viewer.rendition for viewer in others} | {rendition}
            if len(renditions) > _MOST_RENDITIONS:
                raise AudienceFullError(
                    f"{_MOST_RENDITIONS} different widths and qualities are being watched"
                    " already: leave width= and quality= out"
                )
            viewer = Viewer(rendition, fps, self._clock, passing=passing)
            self._viewers = (*self._viewers, viewer)
            return viewer

    def leave(self, viewer: Viewer) -> None:
        """Send it no more pictures."""
        with self._lock:
            self._viewers = tuple(each for each in self._viewers if each is not viewer)

    def end(self) -> None:
        """Tell all that there will be no more."""
        for viewer in self._viewers:
            viewer.end()

    def is_due(self) -> bool:
        """Whether anyone would take a picture now; asked for every frame, from any thread."""
        now_ns = self._clock()
        return any(viewer.due(now_ns) for viewer in self._viewers)

    def serve(self, picture: Picture, call_soon: Callable[..., Any]) -> bool:
        """Make the JPEGs that are wanted now, each kind once, and hand them out.

        Args:
            picture: The newest.
            call_soon: Runs a function with arguments in the event loop.

        Returns:
            Whether anyone wanted it.
        """
        now_ns = self._clock()
        made: dict[Rendition, Jpeg] = {}
        for viewer in self._viewers:
            if viewer.due(now_ns):
                # A loop that is behind must not find a heap of pictures when it catches up.
                viewer.claim()
                rendition = viewer.rendition
                if rendition not in made:
                    made[rendition] = encode_jpeg(picture, rendition)
                call_soon(viewer.give, made[rendition])
        return bool(made)


def encode_jpeg(picture: Picture, rendition: Rendition) -> Jpeg:
    """Make a JPEG of a picture; OpenCV releases the GIL meanwhile."""
    image: Image | cv2.typing.MatLike = picture.image
    size = picture.size
    if rendition.width is not None and rendition.width < size.width:
        size = Size(rendition.width, max(1, round(size.height * rendition.width / size.width)))
        image = cv2.resize(image, tuple(size), interpolation=cv2.INTER_LINEAR)
    _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, rendition.quality))
    encoded: np.ndarray[Any, Any] = data
    return Jpeg(encoded.tobytes(), picture.frame.captured_ns, picture.boxes_age_ns, size)
