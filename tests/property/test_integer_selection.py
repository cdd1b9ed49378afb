"""Comparing integers selects exactly what comparing dequantized scores would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import references

from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import TensorInfo, Thresholds

TYPES = ("int8", "uint8", "float32")

scales = st.one_of(
    st.floats(0.004, 0.3),
    st.sampled_from([1e-30, 1e-6, 1 / 256, 5.0, 1e30]),
)


@st.composite
def thresholds(draw):
    """Any threshold, the ends, and scores that elements really have."""
    return draw(
        st.one_of(
            st.floats(0, 1),
            st.sampled_from([0.0, 1.0, 0.5, 0.25, 0.001, 1e-12, 1e-60]),
            st.integers(-40, 40).map(
                lambda n: float(references.score(np.float64(n / 8), "sigmoid"))
            ),
        )
    )


@st.composite
def elements(draw, name, shape, dtype):
    """A tensor and its description."""
    scale, zero_point = draw(scales), draw(st.integers(0, 255))
    values = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, 256, shape)
    if dtype == "float32":
        info = TensorInfo(name, 0, shape, np.dtype(np.float32))
        return ((values - 128) / 12).astype(np.float32), info
    low = 128 if dtype == "int8" else 0
    info = TensorInfo(name, 0, shape, np.dtype(dtype), scale, zero_point - low)
    return (values - low).astype(dtype), info


def constant_boxes(name, shape, dtype, value=0.0):
    """Box offsets that are all the same."""
    quantized = {"scale": 0.125, "zero_point": 5} if dtype != "float32" else {}
    info = TensorInfo(name, 0, shape, np.dtype(dtype), **quantized)
    return np.full(shape, value / (info.scale or 1) + info.zero_point).astype(dtype), info


def check(found, candidates):
    """Compare detections with (score, class id, box) in order of anchor and class."""
    candidates = sorted(candidates, key=lambda item: -item[0])
    assert found.scores.tolist() == [score for score, _, _ in candidates]
    assert found.class_ids.tolist() == [class_id for _, class_id, _ in candidates]
    wanted = np.array([box for _, _, box in candidates]).reshape(-1, 4)
    np.testing.assert_allclose(found.boxes, wanted, atol=1e-3)


def select(scores, ranks, threshold, *, multi_label):
    """Columns of one anchor's scores that become candidates."""
    if not multi_label:
        best = int(np.argmax(ranks))
        return [best] if scores[best] >= np.float32(threshold) else []
    return [column for column in range(len(scores)) if scores[column] >= np.float32(threshold)]


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    threshold=thresholds(),
    kind=st.sampled_from(["sigmoid", "probability", "softmax"]),
    background=st.booleans(),
    multi_label=st.booleans(),
)
def test_ssd_candidates_are_those_of_dequantized_scores(
    dtype, data, threshold, kind, background, multi_label
):
    first = int(background)
    columns = data.draw(st.integers(1, 7)) + first
    tensor, scores_info = data.draw(elements("scores", (1, 18, columns), dtype))
    boxes, boxes_info = constant_boxes("boxes", (1, 18, 4), dtype)
    spec = references.ssd_manifest(
        columns - first, scores=kind, background=background, label_offset=-first
    )
    decoder = make_decoder(spec, {"boxes": boxes_info, "scores": scores_info})
    found = decoder.decode(
        {"boxes": boxes, "scores": tensor},
        references.plain(64),
        Thresholds(threshold, 1.0, 1000, multi_label),
    )

    values = references.real(tensor[0], scores_info.scale, scores_info.zero_point)
    y, x, h, w = anchor_boxes(spec.ssd.anchors, spec.input.frame_size).astype(np.float64).T
    corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
    in_frame = references.to_frame(corners, references.plain(64))
    # exp() may differ in the last bit between libraries, so shares that equal the threshold
    # to six digits may fall on either side.
    lowered = threshold * (1 - 1e-6) if kind == "softmax" else threshold
    candidates = []
    for row, box in zip(values, in_frame, strict=True):
        if kind == "softmax":
            shares = np.exp(row - row.max())
            scores = (shares / shares.sum()).astype(np.float32)
        else:
            scores = references.score(row, kind)
        chosen = select(scores[first:], row[first:], lowered, multi_label=multi_label)
        candidates += [(float(scores[first + column]), column, box) for column in chosen]
    if kind != "softmax":
        check(found, candidates)
        return
    shares = sorted((score for score, _, _ in candidates), reverse=True)
    assert sum(share > threshold * (1 + 1e-6) for share in shares) <= len(found) <= len(shares)
    np.testing.assert_allclose(found.scores, shares[: len(found)], rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), threshold=thresholds(), new_coords=st.booleans(), multi_label=st.booleans())
def test_yolo_candidates_are_those_of_dequantized_scores(
    dtype, joined, data, threshold, new_coords, multi_label
):
    labels = data.draw(st.integers(1, 6))
    spec = references.yolo_manifest(labels, joined=joined, new_coords=new_coords)
    tensors, infos = {}, {}
    for number, cells in enumerate((4, 16)):
        side = int(cells**0.5)
        widths = (
            {"joined": 2 * (5 + labels)} if joined else {"objectness": 2, "classes": 2 * labels}
        )
        for name, width in widths.items():
            values, info = data.draw(elements(f"{name}{number}", (1, side, side, width), dtype))
            if joined and not new_coords:
                values.reshape(-1, 5 + labels)[:, :4] = info.zero_point
            tensors[info.name], infos[info.name] = values, info
        if not joined:
            middle = 0.5 if new_coords else 0.0
            drawn = constant_boxes(f"boxes{number}", (1, side, side, 8), dtype, middle)
            tensors[f"boxes{number}"], infos[f"boxes{number}"] = drawn
    found = make_decoder(spec, infos).decode(
        tensors, references.plain(64), Thresholds(threshold, 1.0, 10_000, multi_label)
    )

    kind = "probability" if new_coords else "sigmoid"
    candidates = []
    for number, cells in enumerate((4, 16)):
        if joined:
            info = infos[f"joined{number}"]
            rows = tensors[f"joined{number}"].reshape(cells * 2, 5 + labels)
            values = references.real(rows, info.scale, info.zero_point)
            objectness, classes = values[:, 4], values[:, 5:]
        else:
            info = infos[f"objectness{number}"]
            objectness = references.real(
                tensors[info.name].reshape(-1), info.scale, info.zero_point
            )
            info = infos[f"classes{number}"]
            rows = tensors[info.name].reshape(-1, labels)
            classes = references.real(rows, info.scale, info.zero_point)
        presences, chances = references.score(objectness, kind), references.score(classes, kind)
        for presence, chance, ranks in zip(presences, chances, classes, strict=True):
            scores = presence * chance
            assert scores.dtype == np.float32
            chosen = select(scores, ranks, threshold, multi_label=multi_label)
            candidates += [(float(scores[class_id]), class_id) for class_id in chosen]
    if joined and new_coords:
        # The boxes are random too, and those that are empty or outside the frame are dropped.
        wanted = list(candidates)
        for item in zip(found.scores.tolist(), found.class_ids.tolist(), strict=True):
            wanted.remove(item)
        return
    candidates.sort(key=lambda item: -item[0])
    assert found.scores.tolist() == [score for score, _ in candidates]
    assert found.class_ids.tolist() == [class_id for _, class_id in candidates]
