"""Damaged model files: a clear error or a result, and nothing else."""

import contextlib
import json

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.made_models import (
    associated_file,
    flexbuffer_map,
    made_model,
    model_metadata,
    postprocess,
    tensor,
    tensor_metadata,
    with_files,
)

from edge_detect.core import ModelError
from edge_detect.models import find_model
from edge_detect.models.file.archive import read_archive
from edge_detect.models.file.labels import parse_labels
from edge_detect.models.file.metadata import read_metadata
from edge_detect.models.file.operators import read_options
from edge_detect.models.file.vendors import read_edge_impulse, read_ultralytics

METADATA = model_metadata(
    [tensor_metadata("image", normalization=([127.5], [127.5]), color=1)],
    [tensor_metadata("boxes", files=[associated_file("labels.txt")], box=(1, 0, (0, 1, 2, 3)))],
    groups=[("detections", ["boxes", "scores"])],
)
MODELS = [
    with_files(
        made_model(**postprocess(classes=3), metadata={"TFLITE_METADATA": METADATA}),
        {"labels.txt": "cat\ndog\nfish\n"},
    ),
    with_files(
        made_model(
            [tensor("image", (1, 64, 64, 3), "int8", 0.018, -14)],
            [tensor("output", (1, 6, 84), "int8", 0.01, 3, values=np.zeros((1, 6, 84)))],
            signature=("serving_default", {"x": "image"}, {"y": "output"}),
        ),
        {"metadata.json": '{"task": "detect", "names": {"0": "cat", "1": "dog"}}'},
    ),
]
changes = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.one_of(st.integers(0, 255), st.sampled_from([0, 255]))),
    min_size=1,
    max_size=8,
)


def mutate(content, made):
    """Bytes replaced at places that wrap around."""
    changed = bytearray(content)
    for place, value in made:
        changed[place % len(changed)] = value
    return bytes(changed)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.sampled_from(MODELS), made=changes, keep=st.floats(0.0, 1.0), cut=st.booleans())
def test_a_mutated_file_gives_a_model_or_a_model_error(tmp_path, which, made, keep, cut):
    content = mutate(which, made)
    path = tmp_path / "model.tflite"
    path.write_bytes(content[: int(keep * len(content))] if cut else content)
    with contextlib.suppress(ModelError):
        assert find_model(path).inferred.summary()


@settings(max_examples=100)
@given(made=changes)
def test_mutated_metadata_is_read_or_a_value_error(made):
    with contextlib.suppress(ValueError):
        read_metadata(mutate(METADATA, made))


@settings(max_examples=60)
@given(made=changes)
def test_mutated_options_are_read_or_a_value_error(made):
    options = flexbuffer_map({"num_classes": 90, "y_scale": 10.0, "use_regular_nms": 0})
    with contextlib.suppress(ValueError):
        read_options(mutate(options, made))


@settings(max_examples=100)
@given(made=changes)
def test_a_mutated_zip_is_read_or_named(made):
    content = MODELS[0]
    begin = content.index(b"PK\x03\x04")
    found = read_archive(content[:begin] + mutate(content[begin:], made))
    assert all(isinstance(data, bytes) for data in found.files.values())


@settings(max_examples=100)
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_any_content_is_a_list_of_labels_or_none(content):
    for name in ("a.txt", "a.json", "a.yaml", "a.pbtxt"):
        assert all(isinstance(label, str) for label in parse_labels(content, name))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = ["names", "task", "imgsz", "stride", "end2end", "args", "channels", "kpt_shape"]
KEYS += ["classNames", "mode", "imageInputScaling", "objectDetectionLastLayer", "description"]


@settings(max_examples=60)
@given(said=st.dictionaries(st.sampled_from(KEYS), json_values, max_size=6))
def test_any_values_in_the_metadata_of_vendors_are_understood_or_ignored(said):
    files = {"metadata.json": json.dumps(said).encode(), "temp_meta.txt": repr(said).encode()}
    found = read_ultralytics(files)
    assert found is None or found.labels
    impulse = read_edge_impulse(files)
    assert impulse is None or impulse.labels
