"""The enumerations of libcamera.controls, with libcamera's names and numbers."""

from enum import IntEnum


class AfModeEnum(IntEnum):
    """Focus."""

    Manual = 0
    Auto = 1
    Continuous = 2


class AfTriggerEnum(IntEnum):
    """Start of one search for the focus."""

    Start = 0
    Cancel = 1


class AwbModeEnum(IntEnum):
    """White balance."""

    Auto = 0
    Incandescent = 1
    Tungsten = 2
    Fluorescent = 3
    Indoor = 4
    Daylight = 5
    Cloudy = 6
    Custom = 7


class HdrModeEnum(IntEnum):
    """High dynamic range."""

    Off = 0
    MultiExposureUnmerged = 1
    MultiExposure = 2
    SingleExposure = 3
    Night = 4


class draft:  # noqa: N801
    """Controls that may change."""

    class NoiseReductionModeEnum(IntEnum):
        """Noise reduction."""

        Off = 0
        Fast = 1
        HighQuality = 2
        Minimal = 3
        ZSL = 4
