"""What the overlay draws, pixel by pixel."""

import numpy as np
import pytest

from edge_detect.core import Detections
from edge_detect.render import Overlay
from edge_detect.render.palette import class_colors, ink_on

LABELS = ("person", "car", "traffic light")
SIZES = [(320, 240), (1280, 720), (3840, 2160)]


def found(*boxes, class_ids=None, score=0.87) -> Detections:
    count = len(boxes)
    ids = np.zeros(count, np.int32) if class_ids is None else np.array(class_ids, np.int32)
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(rows, np.full(count, score, np.float32), ids, LABELS)


def ground(size, kind):
    width, height = size
    if kind == "noise":
        return np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.full((height, width, 3), {"black": 0, "white": 255}[kind], np.uint8)


def test_the_outline_lies_exactly_inside_the_box() -> None:
    image = ground((320, 240), "black")
    Overlay(LABELS).draw(image, found((100, 80, 200, 180)))
    color = np.array(class_colors(1)[0])
    for inside in (image[80, 100:200], image[179, 100:200], image[80:180, 100], image[80:180, 199]):
        assert (inside == color).all()
    assert not image[81:179, 101:199].any()
    assert not image[180:].any()
    assert not image[:, :100].any()
    assert not image[80:, 200:].any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["black", "white", "noise"])
def test_a_label_has_strong_contrast_on_any_background(size, kind) -> None:
    image = ground(size, kind)
    width, height = size
    Overlay(LABELS).draw(image, found((width // 2, height // 2, width - 9, height - 9)))
    color = class_colors(1)[0]
    ink = ink_on(color)
    line = image[: height // 2, width // 2 :]
    rows = np.flatnonzero((line[:, 0] == color).all(axis=1))
    label = line[rows[0] : rows[-1] + 1, : 4 * len(rows)]
    is_ground = (label == color).all(axis=2)
    assert is_ground.mean() > 0.3
    distance = np.abs(label.astype(int) - ink).max(axis=2)
    assert len(rows) >= max(11, height / 60)
    assert distance.min() < 60
    assert abs(sum(color) / 3 - ink[0]) > 60


def test_everything_else_is_left_alone() -> None:
    image = ground((320, 240), "noise")
    before = image.copy()
    Overlay(LABELS).draw(image, found((100, 100, 150, 150)))
    changed = (image != before).any(axis=2)
    assert not changed[101:149, 101:149].any()
    assert not changed[150:].any()
    assert not changed[:80].any()
    assert changed[100, 100:150].mean() > 0.9


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 320, 240),
        (0, 0, 5, 5),
        (300, 0, 320, 20),
        (310, 230, 320, 240),
        (50, 50, 50, 50),
        (319.6, 239.6, 320, 240),
    ],
)
def test_labels_stay_within_the_image(box) -> None:
    image = ground((320, 240), "black")
    Overlay(LABELS).draw(image, found(box, class_ids=[2]))
    color = np.array(class_colors(3)[2])
    rows, columns = np.nonzero((image == color).all(axis=2))
    # The whole label is there: one row of its ground runs over its full width.
    widest = max(np.ptp(columns[rows == row]) for row in np.unique(rows))
    assert widest > 60
    assert (columns < 320).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (20, 10), (10, 300)])
def test_tiny_pictures_are_no_trouble(size) -> None:
    image = ground(size, "white")
    Overlay(LABELS).draw(image, found((0, 0, *size)), "status")
    assert image.shape == (size[1], size[0], 3)
    assert (image != 255).any()


@pytest.mark.parametrize("size", SIZES)
def test_the_status_line_is_white_on_black_in_the_lower_left_corner(size) -> None:
    image = ground(size, "white")
    Overlay(LABELS).draw(image, found(), "detected 30.0 fps")
    height = size[1]
    assert (image[-1, :50] == 0).all()
    assert image[-height // 40 :, : size[0] // 6].max() > 200
    assert (image[: height * 9 // 10] == 255).all()


def test_a_status_too_long_for_the_picture_gets_smaller_letters() -> None:
    image = ground((320, 240), "white")
    text = "captured 30.0 fps  detected 29.9 fps  12/14 ms"
    Overlay(LABELS).draw(image, found(), text)
    tall = np.flatnonzero((image[:, 0] == 0).all(axis=1)).size
    short = ground((320, 240), "white")
    Overlay(LABELS).draw(short, found(), "short")
    assert tall <= np.flatnonzero((short[:, 0] == 0).all(axis=1)).size


def test_a_class_keeps_its_colour_whatever_else_there_is() -> None:
    assert class_colors(80)[:3] == class_colors(3)


def test_neighbouring_classes_have_distinct_colours() -> None:
    colors = np.array(class_colors(80), int)
    assert len({tuple(color) for color in colors.tolist()}) == 80
    assert np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 120


def test_drawing_twice_gives_the_same_picture() -> None:
    overlay = Overlay(LABELS)
    pictures = [ground((640, 480), "noise") for _ in range(2)]
    for picture in pictures:
        overlay.draw(picture, found((10, 90, 300, 300), (20, 100, 200, 200), class_ids=[1, 2]), "x")
    assert (pictures[0] == pictures[1]).all()


def test_zones_are_outlined_where_they_are_at_every_picture_size():
    overlay = Overlay(LABELS, {"gate": ((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0))})
    for height, width in ((200, 400), (480, 640)):
        image = np.zeros((height, width, 3), np.uint8)
        overlay.draw(image, None)
        drawn = image.any(axis=2)
        # The sides, below the name that stands at the upper left corner.
        for x in (round(0.25 * (width - 1)), round(0.75 * (width - 1))):
            assert drawn[round(height * 0.75), x]
        assert drawn[-1, width // 2]
        assert not drawn[: height // 2 - 1].any()
        assert not drawn[round(height * 0.75), round(width * 0.5)]
