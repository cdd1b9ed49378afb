"""Stands for the module by which picamera2 shows previews on a screen, which nobody does here."""

from types import SimpleNamespace

_FORMATS = ("RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "YVU420", "NV12")
PixelFormat = SimpleNamespace(**dict.fromkeys(_FORMATS))
