"""Models that decode their own boxes: what is found is what slow arithmetic finds."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import decoded_models as models
from support import references
from support.decoded_models import Outputs, quantization

from edge_detect.core import Letterbox, Size
from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import Thresholds

LETTERBOX = Letterbox.fit(Size(200, 100), Size(64, 64), keep_aspect=True)
# Where class numbers make the steps of boxes coarse, edges may lie on those of the frame.
PLAIN = references.plain(64)
RANGES = {"probability": (0.0, 1.0), "sigmoid": (-6.0, 4.0), "softmax": (-6.0, 4.0)}
counts = st.sampled_from([1, 5, 63, 64, 65, 130])


def arrange(values, layout):
    """(n, values) as an output of a layout."""
    return (values.T if layout == "columns" else values)[None]


def put(outputs, name, values, dtype, layout, limits):
    """Add an output; returns its (n, values) real values."""
    scale, zero_point = quantization(dtype, *limits)
    real = outputs.add(name, arrange(values, layout), dtype, scale, zero_point)[0]
    return real.T if layout == "columns" else real


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("dtype", models.TYPES)
@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    count=counts,
    labels=st.integers(1, 7),
    objectness=st.booleans(),
    pixels=st.booleans(),
    box=st.sampled_from(["cxcywh", "xyxy", "yxyx", "xywh"]),
    threshold=models.thresholds(),
    multi_label=st.booleans(),
)
def test_boxes_and_scores_in_one_output(
    dtype, layout, data, count, labels, objectness, pixels, box, threshold, multi_label
):  # fmt: skip
    # One scale for pixels and scores leaves nothing of the scores.
    unit = "pixels" if pixels and dtype == "float32" else "relative"
    spec = models.manifest(
        labels, outputs={"joined": "out"}, layout=layout, box=box, unit=unit,
        objectness=objectness,
    )  # fmt: skip
    parts = [
        data.draw(models.box_values(count, box, unit)),
        data.draw(models.score_values(count, labels + objectness, "probability")),
    ]
    outputs = Outputs()
    real = put(outputs, "out", np.hstack(parts), dtype, layout, (0.0, 1.1))
    found = make_decoder(spec, outputs.infos).decode(
        outputs.tensors, LETTERBOX, Thresholds(threshold, 1.0, 10_000, multi_label)
    )

    boxes = references.to_frame(models.corners(real[:, :4], box, unit), LETTERBOX)
    ranks = real[:, 4 + objectness :]
    scores = models.chances(ranks, "probability")
    if objectness:
        scores *= models.chances(real[:, 4:5], "probability")
    models.check(found, models.candidates(boxes, ranks, scores, threshold, multi_label=multi_label))


@pytest.mark.parametrize("kind", ["probability", "sigmoid", "softmax"])
@pytest.mark.parametrize("dtypes", [(t, t) for t in models.TYPES] + [("int8", "int16")])
@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    count=counts,
    labels=st.integers(1, 7),
    layout=st.sampled_from(["columns", "rows"]),
    unit=st.sampled_from(["pixels", "relative"]),
    first=st.integers(0, 1),
    last=st.integers(0, 1),
    objectness=st.booleans(),
    threshold=models.thresholds(),
    multi_label=st.booleans(),
)
def test_boxes_and_scores_in_outputs_of_their_own(
    dtypes, kind, data, count, labels, layout, unit, first, last, objectness, threshold,
    multi_label,
):  # fmt: skip
    objectness = objectness and kind != "softmax"
    names = {name: name for name in ("boxes", "scores", *["objectness"] * objectness)}
    spec = models.manifest(
        labels, outputs=names, layout=layout, unit=unit, scores=kind, first=first, last=last,
        label_offset=-first, objectness=objectness,
    )  # fmt: skip
    outputs = Outputs()
    drawn = data.draw(models.box_values(count, "cxcywh", unit))
    values = put(outputs, "boxes", drawn, dtypes[0], layout, (0, 1.1 * drawn.max()))
    drawn = data.draw(models.score_values(count, first + labels + last, kind))
    real = put(outputs, "scores", drawn, dtypes[1], layout, RANGES[kind])
    presence = 1.0
    if objectness:
        drawn = data.draw(models.score_values(count, 1, kind))
        presence = put(outputs, "objectness", drawn, dtypes[1], layout, RANGES[kind])
        presence = models.chances(presence, kind)
    found = make_decoder(spec, outputs.infos).decode(
        outputs.tensors, LETTERBOX, Thresholds(threshold, 1.0, 10_000, multi_label)
    )

    boxes = references.to_frame(models.corners(values, "cxcywh", unit), LETTERBOX)
    objects = slice(first, first + labels)
    scores = models.chances(real, kind)[:, objects] * presence
    wanted = models.candidates(boxes, real[:, objects], scores, threshold, multi_label=multi_label)
    if kind == "softmax":
        # exp() may differ in the last bit between libraries.
        wanted = [item for item in wanted if abs(item[0] - threshold) > 1e-6]
        found = found[np.abs(found.scores - threshold) > 1e-6]
        models.check_unordered(found, wanted)
        return
    models.check(found, wanted)


@pytest.mark.parametrize("dtype", [*models.TYPES, "float16"])
@pytest.mark.parametrize("joined", [True, False])
@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    count=counts,
    layout=st.sampled_from(["columns", "rows"]),
    box=st.sampled_from(["cxcywh", "xyxy", "yxyx", "xywh"]),
    offset=st.integers(-1, 1),
    valid=st.integers(0, 200),
    threshold=models.thresholds(),
)
def test_boxes_with_one_score_and_one_class_number(
    dtype, joined, data, count, layout, box, offset, valid, threshold
):
    names = ["joined"] if joined else ["boxes", "scores", "classes", "count"]
    labels = 5
    spec = models.manifest(
        labels, outputs={name: name for name in names}, layout=layout, box=box, unit="relative",
        classes="index", label_offset=offset, nms={"method": "none"},
    )  # fmt: skip
    boxes = data.draw(models.box_values(count, box, "relative"))
    scores = data.draw(models.score_values(count, 1, "probability"))
    numbers = np.arange(count)[:, None] % labels - offset
    outputs = Outputs()
    if joined:
        rows = put(
            outputs, "joined", np.hstack([boxes, scores, numbers]), dtype, layout, (-1.5, 6.0)
        )
        values, chance = rows[:, :4], rows[:, 4]
    else:
        values = put(outputs, "boxes", boxes, dtype, layout, (0.0, 1.1))
        chance = outputs.add("scores", scores.T, dtype, *quantization(dtype, 0, 1))[0]
        outputs.add("classes", numbers.T.astype(float), "float32")
        outputs.add("count", np.array([valid]), "float32")
    found = make_decoder(spec, outputs.infos).decode(
        outputs.tensors, PLAIN, Thresholds(threshold, 1.0, 10_000)
    )

    in_frame = references.to_frame(models.corners(values, box, "relative"), PLAIN)
    chance = models.chances(chance[:, None], "probability")[:, 0]
    rows = range(count if joined else min(valid, count))
    wanted = [(float(chance[i]), i % labels, in_frame[i]) for i in rows]
    models.check(
        found,
        [
            item
            for item in wanted
            if item[0] >= np.float32(threshold)
            and item[2][2] > item[2][0]
            and item[2][3] > item[2][1]
        ],
    )


@pytest.mark.parametrize("numbered", [True, False])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.data(),
    count=counts,
    shift=st.sampled_from([-1.0, -0.3, 0.0]),
    reach=st.sampled_from([0.02, 1.0, 2.2, 10.0]),
)
def test_boxes_within_the_first_pixels_are_counted_in_the_padding_too(
    caplog, numbered, data, count, shift, reach
):
    """The picture lies between 16 pixels of padding above and below."""
    caplog.clear()
    boxes = np.float32(data.draw(models.box_values(count, "xyxy", "relative")) * reach + shift)
    scores = data.draw(models.score_values(count, 1, "probability"))
    names = ["boxes", "scores", *["classes"] * numbered]
    spec = models.manifest(
        1, outputs={name: name for name in names}, box="xyxy", unit="pixels",
        classes="index" if numbered else "scores",
    )  # fmt: skip
    outputs = Outputs()
    outputs.add("boxes", boxes[None].astype(float), "float32")
    outputs.add("scores", scores[None, :, 0] if numbered else scores[None], "float32")
    if numbered:
        outputs.add("classes", np.zeros((1, count)), "float32")
    make_decoder(spec, outputs.infos).decode(
        outputs.tensors, LETTERBOX, Thresholds(0.5, 1.0, 10_000)
    )

    tiny = models.tiny_boxes(boxes[scores[:, 0] >= 0.5])
    said = [each.message for each in caplog.records if "the first 2 pixels" in each.message]
    assert len(said) == (tiny > 0)
    assert all(f"all {tiny} boxes end" in each for each in said)
