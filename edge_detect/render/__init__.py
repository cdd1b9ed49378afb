"""Drawing detections into pictures."""

from edge_detect.render.overlay import Overlay

__all__ = ["Overlay"]
