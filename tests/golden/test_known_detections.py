"""The bundled models find in the bundled clip what they found when they were made."""

import numpy as np
import pytest
from support.clip import (
    COMPARED_SCORE,
    RECORDED_SCORE,
    bundled_models,
    golden_path,
    overlap,
    read_frames,
    read_golden,
)

from edge_detect.models import load_model

pytestmark = pytest.mark.model

# Runtimes round differently inside the network. LiteRT 2.3 and tflite-runtime 2.14 differ on
# these frames by up to 7 steps (SSDLite) and 15 (objectness of YOLO), mostly by 3 and 7.
STEPS = 10
# For graphs that end in real scores, whose steps lie hidden before their last operator.
REAL_TOLERANCE = 0.1
# A step of an SSD's box tensor is 2 to 3 pixels for the smallest objects here, 18 pixels wide. Of
# two anchors with nearly the same score the other one may win: 0.64 for a person 26 pixels wide.
LEAST_OVERLAP = 0.6


@pytest.fixture(scope="module")
def frames():
    return read_frames()


def score_tolerance(detector):
    """A few steps of the quantized tensor from which scores are made.

    A logistic score changes by at most a quarter of its logit; scores that are made from two
    tensors (objectness and class) may move with both.
    """
    spec, outputs = detector.spec, detector.lanes.engine.session.outputs
    if spec.yolo is not None:
        keys = ("objectness", "classes", "joined")
        named = [
            head.outputs[key] for head in spec.yolo.heads for key in keys if key in head.outputs
        ]
        step = max(outputs[name].scale for name in named) / 4
    else:
        step = outputs[spec.ssd.names_of("scores")[0]].scale
        step = step / 4 if spec.head == "raw" else 0
    return STEPS * step if step else REAL_TOLERANCE


def unmatched(rows, others, tolerance):
    """The rows that have no counterpart among the others."""
    alone = []
    for row in rows:
        near = [
            other for other in others if other[0] == row[0] and abs(other[1] - row[1]) <= tolerance
        ]
        boxes = np.array([other[2:] for other in near], np.float64).reshape(-1, 4)
        if not np.any(overlap(np.array(row[2:]), boxes) >= LEAST_OVERLAP):
            alone.append(row)
    return alone


@pytest.mark.parametrize("model", bundled_models())
def test_a_model_finds_what_it_found_before(model, frames):
    golden = read_golden(model)
    assert set(golden) == set(frames)
    with load_model(model, threads=1, score_threshold=RECORDED_SCORE) as detector:
        tolerance = score_tolerance(detector)
        for number, image in frames.items():
            found = [[item.class_id, item.score, *item.box] for item in detector(image)]
            known = golden[number]
            sure_known = [row for row in known if row[1] >= COMPARED_SCORE]
            sure_found = [row for row in found if row[1] >= COMPARED_SCORE]
            assert unmatched(sure_known, found, tolerance) == [], f"frame {number}: lost"
            assert unmatched(sure_found, known, tolerance) == [], f"frame {number}: new"


@pytest.mark.parametrize("model", bundled_models())
def test_something_is_known_about_every_bundled_model(model):
    assert golden_path(model).exists()
    assert sum(len(rows) for rows in read_golden(model).values()) >= 4
