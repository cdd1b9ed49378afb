"""The frames of the bundled clip that have known detections, and how these are kept."""

import json
from pathlib import Path

import av
import numpy as np

from edge_detect.core import bundled_path
from edge_detect.models import catalogue

FOLDER = Path(__file__).parents[1] / "golden"
FRAMES = (0, 40, 120, 170)
# What is recorded goes below what is compared, so that an object near the threshold that
# gains or loses a little in another runtime still finds its counterpart.
COMPARED_SCORE, RECORDED_SCORE = 0.4, 0.2


def read_frames():
    """The chosen frames by number, (height, width, 3) uint8 in B, G, R order."""
    frames = {}
    with av.open(str(bundled_path("demo") / "street.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in FRAMES:
                frames[number] = frame.to_ndarray(format="bgr24")
    return frames


def bundled_models():
    """The names of the models that come with the package, without twins for accelerators."""
    return [entry.name for entry in catalogue.bundled_models()]


def golden_path(model):
    """Where the known detections of a model are kept."""
    return FOLDER / f"{model}.json"


def read_golden(model):
    """The known detections by frame number: class ids, scores, boxes."""
    frames = json.loads(golden_path(model).read_text(encoding="utf-8"))["frames"]
    return {int(number): rows for number, rows in frames.items()}


def overlap(box, boxes):
    """IoU of one box with (n, 4) others."""
    lower = np.maximum(box[:2], boxes[:, :2])
    upper = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(upper - lower, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return shared / (np.prod(box[2:] - box[:2]) + areas - shared)
