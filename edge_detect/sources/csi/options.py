"""What a `picamera2://` URL asks for, checked against what the camera offers."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from edge_detect.core import ConfigError, Size
from edge_detect.core.url import Url

__all__ = ["FORMATS", "CsiOptions", "default_lores", "make_controls", "read_options"]

# What the image processor can write and a frame can be made of without a detour.
FORMATS = ("RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "NV12")

# The longest side of the image for inference: what the bundled models take in.
_LORES_SIDE = 416
_LEAST_SIDE = 64

_NUMBERS = {
    "exposure": "ExposureTime",
    "gain": "AnalogueGain",
    "ev": "ExposureValue",
    "lens": "LensPosition",
    "brightness": "Brightness",
    "contrast": "Contrast",
    "saturation": "Saturation",
    "sharpness": "Sharpness",
}
# Option → control, and the enumeration of its values in libcamera.controls.
_MODES = {
    "awb": ("AwbMode", "AwbModeEnum"),
    "af": ("AfMode", "AfModeEnum"),
    "hdr": ("HdrMode", "HdrModeEnum"),
    "denoise": ("NoiseReductionMode", "draft.NoiseReductionModeEnum"),
}
_OTHERS = ("size", "lores", "fps", "format", "hflip", "vflip", "rotation")


@dataclass(slots=True, frozen=True)
class CsiOptions:
    """What is wanted of a camera.

    Attributes:
        size: Of the picture; even numbers.
        lores: Size of the image for inference; None: inference uses the picture.
        fps: Frames per second; None: 30, or what the camera manages at the wanted exposure.
        format: One of FORMATS, by picamera2's names.
        hflip: Mirrored left to right.
        vflip: Upside down; with `hflip`, turned by 180 degrees.
        numbers: Value by option, for the controls that are numbers.
        modes: Name of a mode by option, for the controls that are enumerations.
    """

    size: Size
    lores: Size | None = None
    fps: float | None = None
    format: str = "RGB888"
    hflip: bool = False
    vflip: bool = False
    numbers: dict[str, float] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)


def read_options(url: Url) -> CsiOptions:
    """Read the options of a URL.

    Raises:
        ConfigError: One is misspelt, impossible, or contradicts another.
    """
    url.check_options(*_OTHERS, *_NUMBERS, *_MODES)
    size = _even(url.size("size", Size(1280, 720)))
    if min(size) < _LEAST_SIDE:
        raise ConfigError(f"{url.name!r}: {size} is too small for a camera", "use size=640x480")
    turned = _choice(url, "rotation", ("0", "180")) == "180"
    modes = {key: url.options[key] for key in _MODES if key in url.options}
    numbers = {key: _number(url, key) for key in _NUMBERS if key in url.options}
    if "lens" in numbers and modes.setdefault("af", "manual").lower() != "manual":
        raise ConfigError(
            f"{url.name!r} sets the lens and has the camera focus by itself",
            "leave 'lens' or 'af' out",
        )
    fps = url.number("fps", 30.0) if "fps" in url.options else None
    if fps and numbers.get("exposure", 0) * fps > 1e6:
        raise ConfigError(
            f"{url.name!r}: an exposure of {numbers['exposure']:g} µs is longer than a frame",
            f"leave fps out, or use at most fps={1e6 / numbers['exposure']:.3g}",
        )
    return CsiOptions(
        size=size,
        lores=_read_lores(url, size),
        fps=fps,
        format=_choice(url, "format", FORMATS),
        hflip=url.flag("hflip") != turned,
        vflip=url.flag("vflip") != turned,
        numbers=numbers,
        modes=modes,
    )


def default_lores(size: Size) -> Size | None:
    """The image for inference that suits a picture.

    Args:
        size: Of the picture.

    Returns:
        The same aspect with a longest side near the input of the usual models, in even
        numbers; None where the picture is hardly larger than that.
    """
    scale = _LORES_SIDE / max(size)
    if scale >= 1:
        return None
    return Size(*(max(2, 2 * round(side * scale / 2)) for side in size))


def make_controls(
    options: CsiOptions, offered: dict[str, tuple[Any, Any, Any]], controls: Any
) -> dict[str, Any]:
    """Turn options into libcamera's controls.

    Args:
        options: What is wanted.
        offered: Least, greatest and default value by control: `Picamera2.camera_controls`.
        controls: The module `libcamera.controls`.

    Raises:
        ConfigError: The camera does not offer a control, or not that value of it.
    """
    made: dict[str, Any] = {}
    for option, number in options.numbers.items():
        control = _NUMBERS[option]
        least, greatest = _offered(option, control, offered)
        if not least <= number <= greatest:
            raise ConfigError(
                f"option {option!r} must be from {least:g} to {greatest:g} for this camera,"
                f" got {number:g}"
            )
        made[control] = round(number) if isinstance(least, int) else number
    for option, name in options.modes.items():
        control, path = _MODES[option]
        least, greatest = _offered(option, control, offered)
        made[control] = _mode(option, name, _members(controls, path), least, greatest)
    if {"ExposureTime", "AnalogueGain"} <= made.keys() and "AeEnable" in offered:
        # With one of the two given, the other still follows the light; this ends both.
        made["AeEnable"] = False
    if "AfMode" in offered and "AfMode" not in made:
        # A camera that is left alone must not stay as blurred as it was at the start.
        made["AfMode"] = controls.AfModeEnum.Continuous
    if made.get("AfMode") == controls.AfModeEnum.Auto:
        # This mode focuses once, when told to.
        made["AfTrigger"] = controls.AfTriggerEnum.Start
    return made


def _read_lores(url: Url, size: Size) -> Size | None:
    text = url.options.get("lores", "")
    if text.lower() == "none":
        return None
    if not text:
        return default_lores(size)
    lores = _even(url.size("lores", size))
    if lores.width > size.width or lores.height > size.height or min(lores) < 2:
        raise ConfigError(
            f"{url.name!r}: lores {lores} does not fit into the picture's {size}",
            "make lores smaller, or leave it out",
        )
    return lores


def _even(size: Size) -> Size:
    return Size(size.width & ~1, size.height & ~1)


def _choice(url: Url, key: str, choices: tuple[str, ...]) -> str:
    value = url.options.get(key, choices[0])
    for choice in choices:
        if value.lower() == choice.lower():
            return choice
    raise ConfigError(
        f"{url.name!r}: option {key!r} cannot be {value!r}", f"use one of {', '.join(choices)}"
    )


def _number(url: Url, key: str) -> float:
    try:
        value = float(url.options[key])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(
            f"{url.name!r}: option {key!r} must be a number, got {url.options[key]!r}"
        )
    return value


def _offered(option: str, control: str, offered: dict[str, tuple[Any, Any, Any]]) -> Any:
    """Least and greatest value of a control."""
    if control not in offered:
        known = [key for key, name in _NUMBERS.items() if name in offered]
        known += [key for key, (name, _) in _MODES.items() if name in offered]
        hint = f"it offers {', '.join(sorted(known))}" if known else "it offers no such options"
        raise ConfigError(f"this camera does not offer {option!r} ({control})", hint)
    return offered[control][:2]


def _members(controls: Any, path: str) -> dict[str, Any]:
    """Values of an enumeration of libcamera by names as users write them: `high-quality`."""
    enumeration = controls
    for name in path.split("."):
        enumeration = getattr(enumeration, name)
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower(): value
        for name, value in enumeration.__members__.items()
    }


def _mode(option: str, name: str, members: dict[str, Any], least: Any, greatest: Any) -> Any:
    members = {
        key: value for key, value in members.items() if int(least) <= int(value) <= int(greatest)
    }
    if name.lower() not in members:
        raise ConfigError(
            f"option {option!r} cannot be {name!r} for this camera",
            f"use one of {', '.join(members)}",
        )
    return members[name.lower()]
