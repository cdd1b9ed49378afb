"""Imitates picamera2 0.3.38 for the calls of a program that captures video.

Signatures, order of calls, errors and their texts, what waits for what, and which thread does
it are those of the original; the hardware is `csi_hardware`.
"""

from .picamera2 import Picamera2
from .request import CompletedRequest, MappedArray

__all__ = ["CompletedRequest", "MappedArray", "Picamera2"]
