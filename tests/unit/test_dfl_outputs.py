"""Outputs with distances as distributions: what does not fit is refused."""

import numpy as np
import pytest
from pydantic import ValidationError
from support import references

from edge_detect.core import ModelError
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.dfl import DflLevel, DflSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

NORMAL = Thresholds(0.5, 0.5, 100)
BOX = references.plain(64)


def decode(tensors, labels=3, quantized=(), thresholds=NORMAL, **section):
    section = DflSpec(**({"levels": [DflLevel(stride=32)], "bins": 4} | section))
    spec = references.manifest("dfl", "raw", labels, 64, dfl=section)
    infos = {
        name: TensorInfo(name, 0, array.shape, array.dtype, *quantized)
        for name, array in tensors.items()
    }
    return references.decode(make_decoder(spec, infos), tensors, BOX, thresholds)


def cell(distances, classes=(0.0, 0.9, 0.0)):
    """Two by two cells of stride 32, the last of which has distances and scores."""
    tensor = np.zeros((1, 2, 2, 19), np.float32)
    for side, distance in enumerate(distances):
        tensor[0, 1, 1, 4 * side + distance] = 100
    tensor[0, 1, 1, 16:] = classes
    return {"joined": tensor}


def test_a_certain_distance_is_its_number_of_strides():
    found = decode(cell((1, 0, 0, 1)), outputs={"joined": "joined"}, scores="probability")
    np.testing.assert_allclose(found.boxes, [[16, 48, 48, 64]])


def test_a_box_around_the_centre_of_its_cell():
    found = decode(cell((1, 1, 2, 3)), outputs={"joined": "joined"}, scores="probability")
    np.testing.assert_allclose(found.boxes, [[16, 16, 64, 64]])
    assert found.names == ["label 1"]


def test_distances_that_are_nan_are_logged(caplog):
    tensors = cell((1, 1, 2, 3))
    tensors["joined"][0, 1, 1, 2] = np.nan
    assert len(decode(tensors, outputs={"joined": "joined"}, scores="probability")) == 0
    assert "1 boxes are NaN or infinite" in caplog.text


@pytest.mark.parametrize(
    ("shape", "section", "match"),
    [
        ((1, 2, 2, 96), {}, r"96 values per cell; the manifest needs 19 \(4 bins, 3 labels\)"),
        ((1, 4, 4, 19), {}, "does not hold 4 cells"),
        ((1, 19, 4), {}, "does not hold 4 cells"),
        ((1, 20, 4), {"layout": "columns"}, "has 20 values per cell"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_numbers(shape, section, match):
    tensors = {"joined": np.zeros(shape, np.float32)}
    with pytest.raises(ModelError, match=match):
        decode(tensors, outputs={"joined": "joined"}, **section)


def test_probabilities_taken_for_logits_are_refused():
    with pytest.raises(ModelError, match="these are probabilities") as caught:
        decode(
            {"joined": np.zeros((1, 4, 19), np.int8)},
            outputs={"joined": "joined"},
            quantized=(0.004, -128),
        )
    assert 'dfl.scores = "probability"' in caught.value.hint


@pytest.mark.parametrize(
    "section",
    [
        {"levels": [DflLevel(stride=8)]},
        {"levels": [DflLevel(stride=8)], "outputs": {"joined": "a", "boxes": "b"}},
        {"levels": [DflLevel(stride=8, outputs={"joined": "a"})], "outputs": {"joined": "a"}},
        {"levels": [DflLevel(stride=8, outputs={"joined": "a"}), DflLevel(stride=16)]},
    ],
)
def test_outputs_stand_in_one_place_and_are_whole(section):
    with pytest.raises(ValidationError, match="outputs"):
        DflSpec(**section)


def test_candidates_of_several_levels_may_exceed_the_room_for_them():
    tensors = {
        "joined0": np.full((1, 64, 19 + 37), 0.75, np.float32),
        "joined1": np.full((1, 16, 19 + 37), 0.75, np.float32),
    }
    levels = [
        DflLevel(stride=stride, outputs={"joined": f"joined{number}"})
        for number, stride in enumerate((8, 16))
    ]
    thresholds = Thresholds(0.5, 1.0, 10_000, multi_label=True)
    found = decode(tensors, 40, levels=levels, scores="probability", thresholds=thresholds)
    assert len(found) == 80 * 40
