"""Imitates the parts of libcamera's Python bindings (0.4 to 0.6) that applications touch."""

from enum import Enum

from . import controls

__all__ = ["ColorSpace", "Transform", "controls"]


class Transform:
    """How the picture is turned."""

    def __init__(self, rotation=0, hflip=False, vflip=False, transpose=False):  # noqa: FBT002
        assert rotation == 0
        self.hflip = bool(hflip)
        self.vflip = bool(vflip)
        self.transpose = bool(transpose)


class ColorSpace:
    """How YUV pixels are to be understood."""

    class YcbcrEncoding(Enum):
        """The matrix."""

        Null = 0
        Rec601 = 1
        Rec709 = 2
        Rec2020 = 3

    class Range(Enum):
        """The range."""

        Full = 0
        Limited = 1

    def __init__(self, encoding, value_range):
        self.ycbcrEncoding = encoding
        self.range = value_range

    @staticmethod
    def Smpte170m():  # noqa: N802
        """Standard definition."""
        return ColorSpace(ColorSpace.YcbcrEncoding.Rec601, ColorSpace.Range.Limited)

    @staticmethod
    def Rec709():  # noqa: N802
        """High definition."""
        return ColorSpace(ColorSpace.YcbcrEncoding.Rec709, ColorSpace.Range.Limited)
