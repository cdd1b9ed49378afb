"""Models that decode their own boxes: what is found is what slow arithmetic finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import decoded_models as models
from support import references
from support.decoded_models import Outputs, quantization

from edge_detect.core import Letterbox, Size
from edge_detect.models.decoders import make_decoder
from edge_detect.models.tensors import Thresholds

LETTERBOX = Letterbox.fit(Size(200, 100), Size(64, 64), keep_aspect=True)
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
    box=st.sampled_from(["cxcywh", "xyxy", "yxyx", "xywh"]),
    threshold=models.thresholds(),
    multi_label=st.booleans(),
)
def test_joined_outputs_with_relative_boxes(
    dtype, layout, data, count, labels, objectness, box, threshold, multi_label
):
    spec = models.manifest(
        labels, outputs={"joined": "out"}, layout=layout, box=box, unit="relative",
        objectness=objectness,
    )  # fmt: skip
    parts = [
        data.draw(models.box_values(count, box, "relative")),
        data.draw(models.score_values(count, labels + objectness, "probability")),
    ]
    outputs = Outputs()
    real = put(outputs, "out", np.hstack(parts), dtype, layout, (0.0, 1.1))
    found = make_decoder(spec, outputs.infos).decode(
        outputs.tensors, LETTERBOX, Thresholds(threshold, 1.0, 10_000, multi_label)
    )

    boxes = references.to_frame(models.corners(real[:, :4], box, "relative"), LETTERBOX)
    ranks = real[:, 4 + objectness :]
    scores = models.chances(ranks, "probability")
    if objectness:
        scores *= models.chances(real[:, 4:5], "probability")
    models.check(found, models.candidates(boxes, ranks, scores, threshold, multi_label=multi_label))
