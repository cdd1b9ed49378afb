"""Write one frame of the bundled clip as a PNG: python frame.py FILE."""

import sys

import cv2

from edge_detect.core import bundled_path
from edge_detect.sources import open_source

with open_source(bundled_path("demo") / "street.mp4") as source:
    frame = source.read()
if frame is None or not cv2.imwrite(sys.argv[1], frame.image):
    sys.exit(f"no frame could be written to {sys.argv[1]}")
