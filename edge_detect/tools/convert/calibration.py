"""The pictures that a model is calibrated on, exactly as it will see them at run time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ConfigError, Image
from edge_detect.models.preprocess import InputBuffer
from edge_detect.models.spec import InputSpec

__all__ = ["calibration_pixels", "read_pictures"]

_PHOTOS = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_VIDEOS = {".avi", ".mkv", ".mov", ".mp4", ".webm"}


def read_pictures(paths: Iterable[Path], *, every: int = 25) -> Iterator[Image]:
    """Read photos, folders of photos, and single frames of videos.

    Args:
        paths: Files or folders; a folder's photos come in the order of their names.
        every: Of a video, each so many-th frame from its first.

    Yields:
        (height, width, 3) uint8, B, G, R.

    Raises:
        ConfigError: A path does not exist, holds no picture, or cannot be decoded.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    for path in paths:
        if path.is_dir():
            photos = sorted(one for one in path.iterdir() if one.suffix.lower() in _PHOTOS)
            if not photos:
                raise ConfigError(f"{path} holds no photos", _hint())
            yield from map(_read_photo, photos)
        elif path.suffix.lower() in _VIDEOS:
            yield from _read_video(path, every)
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


def _read_photo(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        fact = "is not a picture that can be read" if path.exists() else "does not exist"
        raise ConfigError(f"{path} {fact}", _hint())
    return np.asarray(image, np.uint8)


def _read_video(path: Path, every: int) -> Iterator[Image]:
    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, IndexError) as error:
        raise ConfigError(f"{path} cannot be decoded: {error}", _hint()) from error


def _hint() -> str:
    return "give photos, folders of photos, or videos like those that the camera will see"
