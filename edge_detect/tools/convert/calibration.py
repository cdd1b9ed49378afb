"""The pictures that a model is calibrated on, exactly as it will see them at run time."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ConfigError, Image, SourceError
from edge_detect.models.preprocess import InputBuffer
from edge_detect.models.spec import InputSpec
from edge_detect.sources.images import read_image

__all__ = ["calibration_pixels", "check_calibration", "read_pictures"]

_PHOTOS = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_VIDEOS = {".avi", ".mkv", ".mov", ".mp4", ".webm"}
# A two-hour film would fill the memory, and tell no more.
_MOST_FRAMES = 100
_log = logging.getLogger(__name__)


def check_calibration(paths: Iterable[Path]) -> None:
    """Read one picture of each path, so that a wrong one is found before the work begins.

    Raises:
        ConfigError: A path does not exist, holds no picture, or cannot be decoded.
    """
    for path in paths:
        if next(read_pictures([path]), None) is None:
            raise ConfigError(f"{path} holds no pictures", _hint())


def read_pictures(
    paths: Iterable[Path], *, every: int = 25, most: int | None = _MOST_FRAMES
) -> Iterator[Image]:
    """Read photos, folders of photos, and single frames of videos.

    Photos of a folder that cannot be read are left out; a warning states their number.

    Args:
        paths: Files or folders; a folder's photos come in the order of their names.
        every: Of a video, each so many-th frame from its first.
        most: Frames of one video. Those of a longer one lie further apart, as far as the file
            states its length. None for no limit.

    Yields:
        (height, width, 3) uint8, B, G, R.

    Raises:
        ConfigError: A path does not exist, holds no picture, or cannot be decoded.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    for path in paths:
        if _is_folder(path):
            yield from _read_folder(path)
        elif path.suffix.lower() in _VIDEOS:
            yield from _read_video(path, every, most)
        else:
            yield _read_photo(path)


def calibration_pixels(pictures: Iterable[Image], spec: InputSpec) -> list[NDArray[np.uint8]]:
    """Lay pictures into the input of a model, as the detector will.

    Args:
        pictures: (height, width, 3) uint8, B, G, R.
        spec: Size, colours and resizing.

    Returns:
        For each picture (1, height, width, channels) uint8 in the colours of the model.

    Raises:
        ConfigError: There is none.
    """
    buffer = InputBuffer(spec)
    inputs = []
    for picture in pictures:
        buffer.fill(picture)
        inputs.append(buffer.pixels[np.newaxis].copy())
    if not inputs:
        raise ConfigError("no pictures to calibrate on", _hint())
    return inputs


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", _hint()) from error


def _photos_in(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.suffix.lower() in _PHOTOS)
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error.strerror}", _hint()) from error


def _read_folder(folder: Path) -> Iterator[Image]:
    photos = _photos_in(folder)
    if not photos:
        raise ConfigError(f"{folder} holds no photos", _hint())
    bad: list[str] = []
    for photo in photos:
        try:
            picture = read_image(photo)
        except SourceError as error:
            bad.append(error.message)
        else:
            yield picture
    if len(bad) == len(photos):
        raise ConfigError(
            f"none of the {len(bad)} photos in {folder} can be read: {bad[0]}", _hint()
        )
    if bad:
        left_out = f"{len(bad)} of {len(photos)} photos in {folder} are left out"
        _log.warning("%s: %s%s", left_out, bad[0], ", …" if len(bad) > 1 else "")


def _read_photo(path: Path) -> Image:
    try:
        return read_image(path)
    except SourceError as error:
        missing = isinstance(error.__cause__, FileNotFoundError)
        fact = f"{path} does not exist" if missing else error.message
        raise ConfigError(fact, _hint()) from error


def _read_video(path: Path, every: int, most: int | None) -> Iterator[Image]:
    try:
        with av.open(str(path)) as container:
            if most is not None:
                # 0 where the file does not state it.
                every = max(every, -(-container.streams.video[0].frames // most))
            frames = islice(container.decode(video=0), 0, None, every)
            for frame in islice(frames, most):
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, IndexError) as error:
        raise ConfigError(f"{path} cannot be decoded: {error}", _hint()) from error


def _hint() -> str:
    return "give photos, folders of photos, or videos like those that the camera will see"
