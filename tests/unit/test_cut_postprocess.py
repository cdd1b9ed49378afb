"""An SSD without its PostProcess operator finds what it found with it."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from support.small_ssd import ANCHORS, COLUMNS, small_anchors, small_ssd, write_postprocess_manifest

from edge_detect.app.cli import main
from edge_detect.core import ModelError
from edge_detect.models import load_model, read_manifest
from edge_detect.models.constants import read_constant
from edge_detect.tools.convert.cut_postprocess import cut_postprocess, raw_manifest
from edge_detect.tools.convert.flatbuffer import Graph


def cut(path, *options):
    """Run the command on a file; returns the path of the new model."""
    out = path.with_name("raw.tflite")
    words = ["models", "convert", "cut-postprocess", str(path), "--out", str(path.parent)]
    assert main([*words, "--name", "raw", *options]) == 0
    return out


def pictures(count=20):
    """Pictures in which one score of each anchor is clearly above the others."""
    random = np.random.default_rng(5)
    for _ in range(count):
        rows = random.integers(0, 256, (ANCHORS, 4 + COLUMNS), np.uint8)
        rows[:, 4:] //= 4
        best = random.integers(1, COLUMNS, ANCHORS)
        rows[np.arange(ANCHORS), 4 + best] = 140 + random.permutation(ANCHORS) * 7
        yield rows.reshape(8, 8, 3)


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(
    ("dtype", "anchors"),
    [("uint8", "uint8"), ("int8", "float32"), ("float32", "float32"), ("float32", "float16")],
)
def test_raw_heads_give_what_the_operator_gave(tmp_path, dtype, anchors, background):
    path = tmp_path / "whole.tflite"
    path.write_bytes(small_ssd(dtype, anchors=anchors, background=background))
    write_postprocess_manifest(path, COLUMNS - background)
    raw = cut(path)
    spec = read_manifest(raw.with_suffix(".toml"))
    assert (spec.head, spec.ssd.scores) == ("raw", "sigmoid")
    assert spec.ssd.background == ("first" if background else "none")
    assert spec.nms.iou_threshold == 1.0
    with load_model(path, iou_threshold=1.0) as before, load_model(raw) as after:
        assert before.labels == after.labels
        for picture in pictures():
            wanted, found = (each(picture, color="rgb") for each in (before, after))
            assert len(wanted) == len(found) > 8
            np.testing.assert_allclose(found.scores, wanted.scores, atol=1 / 256)
            order = [np.lexsort(each.boxes.T) for each in (wanted, found)]
            np.testing.assert_allclose(found.boxes[order[1]], wanted.boxes[order[0]], atol=1e-4)
            assert found.class_ids[order[1]].tolist() == wanted.class_ids[order[0]].tolist()


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_heads_stay_quantized_and_what_dequantized_them_is_gone(dtype):
    graph = Graph(cut_postprocess(small_ssd(dtype)).content)
    number = getattr(schema.TensorType, dtype.upper())
    outputs = [graph.tensors[index] for index in graph.subgraph.outputs]
    assert [(each.name, each.type) for each in outputs] == [(b"boxes", number), (b"scores", number)]
    assert [graph.kind(each) for each in graph.operators] == ["RESHAPE", "SLICE", "SLICE"]


def test_probabilities_that_are_no_sigmoid_stay_probabilities():
    head = cut_postprocess(small_ssd(sigmoid=False))
    assert head.scores == "probability"


def test_the_same_file_gives_the_same_bytes():
    assert cut_postprocess(small_ssd()).content == cut_postprocess(small_ssd()).content


def test_labels_of_a_file_without_a_manifest_come_from_the_command(tmp_path, capsys):
    path = tmp_path / "Whole SSD_postprocess.tflite"
    path.write_bytes(small_ssd())
    labels = tmp_path / "labels.txt"
    labels.write_text("???\ncat\ndog\n", encoding="utf-8")
    words = ["models", "convert", "cut-postprocess", str(path), "--out", str(tmp_path)]
    assert main([*words, "--labels", str(labels)]) == 0
    spec = read_manifest(tmp_path / "whole-ssd-raw.toml")
    assert spec.labels == ["cat", "dog", *["n/a"] * 5]
    assert spec.origin.licence == "unstated"
    assert "whole-ssd-raw.tflite  8x8, 2 classes\n" in capsys.readouterr().out
    labels.unlink()
    assert main(words) == 78
    assert "whole-ssd-raw.tflite exists" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    assert "guessed: no class names" in capsys.readouterr().err
    assert read_manifest(tmp_path / "whole-ssd-raw.toml").labels[6] == "class 6"


def test_more_labels_than_classes_are_refused():
    head = cut_postprocess(small_ssd())
    with pytest.raises(ModelError, match="8 labels for 7 classes"):
        raw_manifest(head, None, [str(number) for number in range(8)])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: small_ssd(num_classes=5), "and 5 classes do not fit"),
        (lambda: small_ssd(y_scale=None), "does not say its y_scale"),
        (lambda: cut_postprocess(small_ssd()).content, "has no TFLite_Detection_PostProcess"),
        (lambda: small_ssd()[:-9], "cannot be rewritten"),
    ],
)
def test_what_cannot_be_cut_says_why_and_names_the_file(tmp_path, capsys, content, says):
    path = tmp_path / "whole.tflite"
    path.write_bytes(content())
    words = ["models", "convert", "cut-postprocess", str(path), "--out", str(tmp_path / "out")]
    assert main(words) != 0
    error = capsys.readouterr().err
    assert says in error
    assert "whole.tflite" in error
    assert not (tmp_path / "out").exists()


def test_a_file_is_never_written_over_by_what_is_cut_from_it(tmp_path, capsys):
    path = tmp_path / "whole.tflite"
    path.write_bytes(small_ssd())
    words = ["models", "convert", "cut-postprocess", str(path), "--out", str(tmp_path)]
    assert main([*words, "--name", "whole"]) == 78
    assert "give the new one another --name" in capsys.readouterr().err
    assert path.read_bytes() == small_ssd()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
def test_constants_are_read_as_real_numbers(tmp_path, dtype):
    path = tmp_path / "whole.tflite"
    path.write_bytes(small_ssd("float32", anchors=dtype))
    name = "half anchors" if dtype == "float16" else "anchors"
    np.testing.assert_array_equal(read_constant(path, name), small_anchors())


def test_a_tensor_that_is_no_constant_is_not_found(tmp_path):
    path = tmp_path / "whole.tflite"
    path.write_bytes(small_ssd())
    for name in ("boxes part", "missing"):
        with pytest.raises(ModelError, match=f"no constant tensor '{name}'"):
            read_constant(path, name)


def test_a_damaged_file_has_no_constants_and_is_no_crash(tmp_path):
    whole, path = small_ssd(), tmp_path / "damaged.tflite"
    random = np.random.default_rng(5)
    for _ in range(300):
        content = bytearray(whole)
        at = int(random.integers(0, len(content) - 4))
        content[at : at + 4] = random.bytes(4)
        path.write_bytes(content)
        try:
            read_constant(path, "anchors")
        except ModelError:
            continue


def test_a_constant_that_holds_no_anchors_is_refused(tmp_path):
    path = tmp_path / "whole.tflite"
    path.write_bytes(small_ssd())
    raw = cut(path)
    manifest = raw.with_suffix(".toml")
    text = manifest.read_text(encoding="utf-8").replace(
        'tensor = "anchors"', 'tensor = "boxes size"'
    )
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"'boxes size' of shape \(3,\) holds no anchors"):
        load_model(raw)
