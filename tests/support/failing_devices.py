"""Detectors on an Edge TPU that is to fail."""

import numpy as np

from edge_detect.models import load_model
from edge_detect.models.options import AcceleratorLimits

PICTURE = np.random.default_rng(5).integers(0, 255, (8, 8, 3), np.uint8)
CAMERA = "synthetic://?size=64x48&fps=60&realtime=true"
# For an inference, where the device hangs, and where it must not be given up on a busy machine.
HASTY_S, PATIENT_S = 3.0, 60.0
QUICK = AcceleratorLimits(first_wait_s=0.1, longest_wait_s=0.4)


def load(model, stand_in, deadline_s=PATIENT_S, *, limits=QUICK, **options):
    library = str(stand_in.library)
    return load_model(model, library=library, deadline_s=deadline_s, limits=limits, **options)


def on_tpu(detector) -> bool:
    return detector.lanes.devices == ("edgetpu:usb:0",)


def same(one, other) -> bool:
    return np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)


def helper_of(detector) -> int:
    return detector.lanes.engine.session.pid


def buffer_of(detector):
    buffer = detector.new_buffer()
    detector.prepare(PICTURE, buffer)
    return buffer
