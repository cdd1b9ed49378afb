"""Real-time object detection for small computers with a camera."""

__version__ = "0.1.0"
