"""One colour per class, the same in every run."""

import colorsys

__all__ = ["Color", "class_colors", "ink_on"]

# Blue, green, red.
Color = tuple[int, int, int]

# Steps of the golden section spread hues so that classes with neighbouring ids, which often
# appear together (car, motorcycle, bus), lie far apart, however many there are.
_GOLDEN_SECTION = 0.618034
_FIRST_HUE = 0.33
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def class_colors(count: int) -> tuple[Color, ...]:
    """Colours by class id; the colour of an id does not depend on how many there are.

    Args:
        count: How many classes; at least one colour is given.
    """
    return tuple(_color(class_id) for class_id in range(max(1, count)))


def ink_on(ground: Color) -> Color:
    """Black or white, whichever stands out more against a ground."""
    # Relative luminance and the point of equal contrast (0.179): WCAG 2.1, "contrast ratio".
    linear = [_linear(value / 255) for value in ground]
    luminance = 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]
    return _BLACK if luminance > 0.179 else _WHITE


def _color(class_id: int) -> Color:
    hue = (_FIRST_HUE + class_id * _GOLDEN_SECTION) % 1
    # Three levels of lightness tell apart the classes whose hues come close again.
    lightness = (0.55, 0.42, 0.68)[class_id % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.95))
    return blue, green, red


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
