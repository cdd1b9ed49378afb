"""More pictures from few: what calibration pictures would look like otherwise.

Calibration pictures are few, and show things as large and as bright as they happened to be.
Ranges are chosen on one set of views, and judged on another.
"""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["judged_views", "watched_views"]

_Pixels = NDArray[np.uint8]
# One view of the picture of a number; others may be part of it.
_View = Callable[[Sequence[_Pixels], int], _Pixels]

_WATCHED = 64
_JUDGED = 32


def watched_views(pictures: Sequence[_Pixels]) -> list[_Pixels]:
    """The pictures, and at most seven views of each, up to 64 in all.

    Args:
        pictures: (height, width, channels) each.
    """
    views: list[_View] = [
        _mirrored,
        partial(_mosaic, others=(1, 2, 3)),
        partial(_crop, part=0.6, place=(0.5, 0.5)),
        partial(_crop, part=0.5, place=(0.0, 0.0)),
        partial(_crop, part=0.5, place=(1.0, 1.0)),
        partial(_toned, gamma=0.5),
        partial(_toned, gamma=1.8),
    ]
    missing = max(0, _WATCHED - len(pictures))
    return [*pictures, *_made(pictures, views, missing)]


def judged_views(pictures: Sequence[_Pixels]) -> list[_Pixels]:
    """Up to 32 other views of the pictures.

    Args:
        pictures: (height, width, channels) each.
    """
    views: list[_View] = [
        partial(_toned, gamma=0.8),
        partial(_mosaic, others=(2, 1, 3)),
        partial(_crop, part=0.75, place=(0.3, 0.6)),
        partial(_crop, part=0.4, place=(0.6, 0.4)),
        partial(_toned, gamma=1.3),
    ]
    mirrored = [_mirrored(pictures, number) for number in range(len(pictures))]
    return _made(mirrored, views, _JUDGED)


def _made(pictures: Sequence[_Pixels], views: Sequence[_View], limit: int) -> list[_Pixels]:
    every = [(view, number) for view in views for number in range(len(pictures))]
    if len(every) > limit:
        # Evenly from all kinds of views, and from all pictures.
        every = [every[index * len(every) // limit] for index in range(limit)]
    return [view(pictures, number) for view, number in every]


def _mirrored(pictures: Sequence[_Pixels], number: int) -> _Pixels:
    return np.ascontiguousarray(pictures[number][:, ::-1])


def _toned(pictures: Sequence[_Pixels], number: int, *, gamma: float) -> _Pixels:
    table = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return np.asarray(table[pictures[number]])


def _crop(
    pictures: Sequence[_Pixels], number: int, *, part: float, place: tuple[float, float]
) -> _Pixels:
    """A part of a picture, as large as the whole."""
    picture = pictures[number]
    height, width = picture.shape[:2]
    tall, wide = max(1, int(height * part)), max(1, int(width * part))
    top, left = int((height - tall) * place[0]), int((width - wide) * place[1])
    return _resized(picture[top : top + tall, left : left + wide], width, height)


def _mosaic(pictures: Sequence[_Pixels], number: int, *, others: Sequence[int]) -> _Pixels:
    """Four pictures a quarter the size, every other one mirrored."""
    height, width, _ = pictures[number].shape
    out = np.zeros_like(pictures[number])
    for place, other in enumerate((0, *others)):
        picture = pictures[(number + other) % len(pictures)]
        row, column = divmod(place, 2)
        top, left = row * (height // 2), column * (width // 2)
        small = _resized(picture[:, :: -1 if place % 2 else 1], width // 2, height // 2)
        out[top : top + height // 2, left : left + width // 2] = small
    return out


def _resized(picture: _Pixels, width: int, height: int) -> _Pixels:
    shrinks = width * height < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=how)
    # OpenCV drops the last dimension where there is one channel.
    return np.asarray(resized.reshape(height, width, picture.shape[2]), np.uint8)
