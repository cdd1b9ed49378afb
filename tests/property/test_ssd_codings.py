"""Raw heads of SSDs give the boxes, scores and key points of their slow counterpart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import references, ssd_references

from edge_detect.core import Letterbox, Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import TensorInfo, Thresholds

TYPES = ("int8", "uint8", "float32")
LETTERBOX = Letterbox.fit(Size(200, 100), Size(64, 64), keep_aspect=True)


@st.composite
def cases(draw):
    """A manifest with any options, and the widths of its heads."""
    objects = draw(st.integers(1, 4) | st.sampled_from([15, 16, 40, 90]))
    background = draw(st.sampled_from(["none", "first", "last"]))
    apart = draw(st.booleans())
    points = draw(st.integers(0, 3))
    heads = draw(st.sampled_from([(18,), (12, 6), (3, 9, 6)]))
    outputs = {
        key: [f"{key}{number}" for number in range(len(heads))] for key in ("boxes", "scores")
    }
    if apart and points:
        outputs["keypoints"] = [f"keypoints{number}" for number in range(len(heads))]
    if len(heads) == 1 and draw(st.booleans()):
        outputs = {key: names[0] for key, names in outputs.items()}
    spec = references.ssd_manifest(
        labels=objects,
        outputs=outputs,
        box=draw(st.sampled_from(["yxhw", "xywh"])),
        coding=draw(st.sampled_from(["centre", "linear", "corners", "distances"])),
        box_scales=draw(st.sampled_from([(10, 10, 5, 5), (1, 2, 3, 4)])),
        scores=draw(st.sampled_from(["sigmoid", "softmax", "probability"])),
        background=background,
        label_offset=-int(background == "first"),
        keypoints=draw(st.sampled_from([None, max(points - 1, 0)])),
    )
    widths = {
        "boxes": 4 + 2 * points * (not apart),
        "scores": objects + (background != "none"),
        "keypoints": 2 * points,
    }
    return spec, heads, {key: widths[key] for key in spec.ssd.outputs}


def tensor(random, name, shape, dtype, *, low=-3.0, high=3.0):
    """Random elements, their description, and the real values behind them."""
    if dtype == "float32":
        values = random.uniform(low, high, shape).astype(np.float32)
        return values, TensorInfo(name, 0, shape, values.dtype), values.astype(np.float64)
    scale = float(random.uniform(0.9, 1.1)) * (high - low) / 255
    zero = int(random.integers(-5, 5)) - round(low / scale) - (128 if dtype == "int8" else 0)
    elements = random.integers(0, 256, shape) - (128 if dtype == "int8" else 0)
    values = elements.astype(dtype)
    info = TensorInfo(name, 0, shape, values.dtype, scale, zero)
    return values, info, references.real(values, scale, zero)


def make_heads(random, spec, heads, widths, dtype):
    """Outputs, their descriptions, and the real values of each head."""
    outputs, infos, real = {}, {}, []
    for number, count in enumerate(heads):
        values = {}
        for key, width in widths.items():
            low, high = (-3.0, 3.0)
            if key == "scores":
                low, high = (0.0, 0.9) if spec.ssd.scores == "probability" else (-9.0, 3.0)
            name = spec.ssd.names_of(key)[number]
            drawn = tensor(random, name, (1, count * width), dtype, low=low, high=high)
            outputs[name], infos[name] = drawn[:2]
            values[key] = drawn[2].reshape(count, width)
        real.append(values)
    return outputs, infos, real


def assert_found(found, candidates, threshold):
    """Every sure candidate was found, and nothing else.

    Those without area in the frame, or with a score that equals the threshold to five digits,
    may be there or not.
    """
    if not candidates:
        assert len(found) == 0
        return
    boxes = references.to_frame([one.box for one in candidates], LETTERBOX)
    points = np.array([one.points for one in candidates]).reshape(len(candidates), -1, 2)
    points = (points - LETTERBOX[2:4]) / LETTERBOX[:2]
    scores = np.array([one.score for one in candidates])
    class_ids = np.array([one.class_id for one in candidates])
    area = np.prod((boxes[:, 2:] - boxes[:, :2]).clip(0), axis=1)
    same = np.abs(found.boxes[:, None] - boxes[None]).max(2) < 5e-3
    same &= np.abs(found.scores[:, None] - scores[None]) < 1e-5
    same &= found.class_ids[:, None] == class_ids[None]
    if points.shape[1]:
        apart = np.abs(found.keypoints[:, None] - points[None]).max((2, 3))
        same &= apart < 5e-3 + 1e-5 * np.abs(points).max()
    else:
        assert found.keypoints is None
    assert same.any(1).all()
    assert same.any(0)[(area > 1e-2) & (scores > threshold * (1 + 1e-5))].all()
    assert len(found) <= (area > 0).sum()
    assert np.all(np.diff(found.scores) <= 0)


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=100, deadline=None)
@given(
    case=cases(),
    seed=st.integers(0, 2**32),
    threshold=st.sampled_from([0.0, 0.02, 0.1, 0.4, 0.6, 0.95]),
    multi_label=st.booleans(),
)
def test_every_option_of_a_raw_head_is_decoded_as_its_slow_counterpart(
    dtype, case, seed, threshold, multi_label
):
    spec, heads, widths = case
    outputs, infos, real = make_heads(np.random.default_rng(seed), spec, heads, widths, dtype)
    thresholds = Thresholds(threshold, 1.0, 10_000, multi_label)
    found = make_decoder(spec, infos).decode(outputs, LETTERBOX, thresholds)
    anchors = anchor_boxes(spec.ssd.anchors, spec.input.frame_size)
    lowered = Thresholds(threshold * (1 - 1e-5), 1.0, 10_000, multi_label)
    assert_found(found, ssd_references.decode(spec.ssd, real, anchors, lowered), threshold)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), background=st.sampled_from(["first", "last"]))
def test_a_sure_background_hides_no_object(seed, background):
    random = np.random.default_rng(seed)
    columns = int(random.integers(2, 100))
    spec = references.ssd_manifest(
        labels=columns - 1,
        scores="probability",
        background=background,
        label_offset=-int(background == "first"),
    )
    scores = random.integers(0, 100, (1, 18, columns)).astype(np.uint8)
    objects = scores[0, :, 1:] if background == "first" else scores[0, :, :-1]
    scores[0, :, 0 if background == "first" else -1] = 255
    hits = {(int(random.integers(18)), int(random.integers(columns - 1))) for _ in range(3)}
    for anchor, column in hits:
        objects[anchor, column] = 200
    infos = {
        "boxes": TensorInfo("boxes", 0, (1, 18, 4), np.dtype(np.uint8), 0.1, 128),
        "scores": TensorInfo("scores", 0, scores.shape, scores.dtype, 1 / 256, 0),
    }
    outputs = {"boxes": np.full((1, 18, 4), 128, np.uint8), "scores": scores}
    found = make_decoder(spec, infos).decode(
        outputs, references.plain(64), Thresholds(0.5, 1.0, 1000, multi_label=True)
    )
    assert sorted(found.class_ids.tolist()) == sorted(column for _, column in hits)
