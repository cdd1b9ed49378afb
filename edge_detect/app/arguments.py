"""Values of the command line's options, checked."""

import argparse
import re
from typing import TYPE_CHECKING

from edge_detect.core.geometry import Size

__all__ = [
    "PIXEL_BOXES",
    "RELATIVE_BOXES",
    "labels",
    "picture_size",
    "positive_float",
    "positive_int",
    "probability",
]

# How `detect --json` writes boxes.
PIXEL_BOXES, RELATIVE_BOXES = "pixels", "normalized-yxyx"

if TYPE_CHECKING:
    # argparse gives what add_subparsers() returns no public name.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def probability(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def positive_int(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def positive_float(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def picture_size(text: str) -> Size:
    """A size such as `1280x720`."""
    match = re.fullmatch(r"(\d{2,5})[xX](\d{2,5})", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 1280x720")
    return Size(int(match[1]), int(match[2]))


def labels(text: str) -> list[str]:
    """Labels with commas between them."""
    found = [label.strip() for label in text.split(",") if label.strip()]
    if not found:
        raise argparse.ArgumentTypeError("names no label")
    return found
