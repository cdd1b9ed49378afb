"""What one inference tells, and what photos tell."""

import json
from argparse import Namespace

import cv2
import numpy as np
import pytest
from support.made_models import Op, postprocess, tensor, write_made

from edge_detect.app.add_model import add
from edge_detect.app.cli import main
from edge_detect.app.inspect_model import inspect
from edge_detect.app.models import list_all, show
from edge_detect.core import ConfigError, Detections, ModelError, Size, user_models_path
from edge_detect.models import find_model, load_model
from edge_detect.models.infer.probe import settle
from edge_detect.models.infer.trial import detection_score, try_choices
from edge_detect.models.opening import open_entry
from edge_detect.models.options import LoadOptions, find_with_options

IMAGE = tensor("image", (1, 64, 64, 3))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(tmp_path / "own"))


def yolov8(box, score=0.9):
    """(1, 6, 84): one box of class 1, centre and size as given."""
    values = np.zeros((1, 6, 84))
    values[0, :4] = np.reshape(box, (4, 1)) * 0.9
    values[0, :4, 7] = box
    values[0, 5, 7] = score
    return values


@pytest.fixture
def make(tmp_path):
    def write(values, name="best (1).tflite", labels="cat\ndog\n"):
        path = tmp_path / name
        path.with_suffix(".txt").write_text(labels)
        return write_made(path, [IMAGE], [tensor("output", values.shape, values=values)])

    return write


@pytest.mark.parametrize(
    ("box", "unit"), [((32, 32, 16, 16), "pixels"), ((0.5, 0.5, 0.25, 0.25), "relative")]
)
def test_one_inference_tells_pixels_from_parts_of_the_input(make, box, unit):
    with load_model(make(yolov8(box)), accelerator="cpu") as detector:
        assert detector.spec.decoded.unit == unit
        found = detector(np.zeros((64, 64, 3), np.uint8))
        assert found.names == ["dog"]
        assert found.boxes[0] == pytest.approx([24, 24, 40, 40], abs=0.01)
        assert detector.inferred.find("decoded.unit").source == "probe"
        assert "boxes in" not in detector.inferred.summary()
        assert detector.title == "best (1).tflite"


def test_one_inference_tells_logits_from_probabilities(make):
    values = yolov8((32, 32, 16, 16), score=4.0)
    values[0, 4:, 8:] = -4
    entry = settle(find_model(make(values)))
    assert entry.spec.decoded.scores == "sigmoid"
    assert entry.inferred.questions == ()


def test_what_an_inference_does_not_tell_stays_a_guess(make):
    entry = settle(find_model(make(np.zeros((1, 6, 84)))))
    assert entry.spec.decoded.unit == "pixels"
    assert not entry.inferred.find("decoded.unit").certain


def test_what_the_user_says_is_not_asked(make):
    path = make(yolov8((32, 32, 16, 16)))
    entry, _ = find_with_options(f"{path}?unit=relative&scores=sigmoid", LoadOptions())
    assert entry.inferred.questions == ()
    assert settle(entry).spec.decoded.unit == "relative"


def test_a_postprocess_model_needs_nothing_but_its_file(tmp_path):
    scores = np.zeros((20, 91))
    scores[9, 18] = 0.9
    path = write_made(tmp_path / "ssd.tflite", **postprocess(scores=scores))
    with load_model(path, accelerator="cpu") as detector:
        found = detector(np.zeros((300, 300, 3), np.uint8))
    assert found.names == ["dog"]
    assert found.scores[0] == pytest.approx(0.9)


def test_a_model_of_any_size_gets_the_size_that_is_asked_for(tmp_path):
    image = tensor("image", (1, 1, 1, 3), signature=(1, -1, -1, 3))
    # Rows of pixels become the candidates of a YOLOv8 with two classes: 1 x 64 x 63 values.
    shape = tensor("shape", (3,), "int32", values=[1, 6, -1])
    output = tensor("output", (1, 6, 1), signature=(1, 6, -1))
    path = write_made(
        tmp_path / "open.tflite",
        [image],
        [output],
        constants=[shape],
        operators=[Op(22, ["image", "shape"], ["output"])],
    )
    with pytest.raises(ModelError, match="takes pictures of any size"):
        find_model(path)
    with pytest.raises(ModelError, match="1x6x2048"):
        find_with_options(f"{path}?size=64x64", LoadOptions())
    entry, _ = find_with_options(f"{path}?size=64x64&family=yolov8", LoadOptions())
    assert entry.spec.input.size == (64, 64)


def detections(boxes, scores, ids):
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(ids, np.int32),
        ("cat", "dog", "n/a"),
    )


def test_the_score_of_a_trial_counts_what_is_found_again_in_the_mirror():
    found = detections([[0, 0, 10, 10], [50, 0, 60, 10]], [0.8, 0.6], [0, 1])
    mirrored = detections([[90, 0, 100, 10], [40, 0, 50, 10]], [0.8, 0.6], [0, 1])
    assert detection_score(found, mirrored, Size(100, 20)) == pytest.approx(1.4)
    other = detections([[90, 0, 100, 10]], [0.8], [1])
    assert detection_score(found, other, Size(100, 20)) == 0
    unnamed = detections([[0, 0, 10, 10]], [0.8], [2])
    again = detections([[90, 0, 100, 10]], [0.8], [2])
    assert detection_score(unnamed, again, Size(100, 20)) == 0
    assert detection_score(found, detections([], [], []), Size(100, 20)) == 0
    flat = detections([[5, 5, 5, 5]], [0.8], [0])
    assert detection_score(flat, flat, Size(10, 10)) == 0


def blue_finder(tmp_path):
    """A YOLOv8 of one box in the middle, whose score is the last channel of the first pixel."""
    values = yolov8((0.5, 0.5, 0.5, 0.5), score=0)
    first = tensor("first", (1, 1, 1, 1))
    mask = np.zeros((1, 6, 84))
    mask[0, 5, 7] = 1
    return write_made(
        tmp_path / "blue.tflite",
        [IMAGE],
        [tensor("output", (1, 6, 84))],
        constants=[
            tensor("boxes", (1, 6, 84), values=values),
            tensor("mask", (1, 6, 84), values=mask),
            tensor("begin", (4,), "int32", values=[0, 0, 0, 2]),
            tensor("size", (4,), "int32", values=[1, 1, 1, 1]),
            first,
            tensor("one", (1, 1, 1)),
            tensor("shape", (3,), "int32", values=[1, 1, 1]),
            tensor("scaled", (1, 6, 84)),
        ],
        operators=[
            Op(65, ["image", "begin", "size"], ["first"]),
            Op(22, ["first", "shape"], ["one"]),
            Op(18, ["mask", "one"], ["scaled"], 21, {}),
            Op(0, ["boxes", "scaled"], ["output"], 11, {}),
        ],
    )


@pytest.fixture
def blue_photo(tmp_path):
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[..., 0] = 250
    path = tmp_path / "blue.png"
    cv2.imwrite(str(path), photo)
    return path


def test_photos_tell_the_order_of_the_channels(tmp_path, blue_photo):
    """A photo that is all blue scores with the channels in one order alone."""
    path = blue_finder(tmp_path)
    entry = settle(find_with_options(f"{path}?mean=0&std=255&resize=stretch", LoadOptions())[0])
    trial = try_choices(
        entry, [cv2.imread(str(blue_photo))], lambda each: open_entry(each, LoadOptions())
    )
    best, other = trial.attempts
    assert (best.values["input.color"], other.values["input.color"]) == ("rgb", "bgr")
    assert best.score == pytest.approx(250 / 255, abs=0.01)
    assert other.score == 0
    assert not trial.changed
    red = np.ascontiguousarray(cv2.imread(str(blue_photo))[..., ::-1])
    trial = try_choices(entry, [red], lambda each: open_entry(each, LoadOptions()))
    assert (trial.changed, trial.inference.spec.input.color) == (True, "bgr")
    assert trial.inference.find("input.color").why == "photos: 0.98 against 0"


def arguments(file, *photos, **given):
    options = {"write": False, "force": False, "json": False, "name": None, **given}
    return Namespace(file=str(file), photos=[str(photo) for photo in photos], **options)


def test_inspect_shows_what_was_read_from_where(make, capsys):
    path = make(yolov8((32, 32, 16, 16)))
    assert inspect(arguments(path)) == 0
    shown = capsys.readouterr().out
    assert "image  1x64x64x3 float32" in shown
    assert "operators  1 RESHAPE" in shown
    assert "YOLOv8 (from its shapes), 2 labels from best (1).txt; guessed: rgb, 0 to 1" in shown
    rows = {line.split()[0]: line for line in shown.splitlines() if line}
    assert "rule, guess" in rows["input.color"]
    assert "probe" in rows["decoded.unit"]


@pytest.mark.parametrize(
    ("shape", "fact"), [((1, 1001), "a classifier"), ((1, 8, 8, 21), "anchors are not in the file")]
)
def test_inspect_shows_the_tensors_of_what_it_cannot_tell(make, capsys, shape, fact):
    path = make(np.zeros(shape))
    with pytest.raises(ModelError, match=fact) as error:
        inspect(arguments(path))
    shown = capsys.readouterr().out
    assert f"file       {path}  " in shown
    assert f"output     output  {'x'.join(map(str, shape))} float32" in shown
    assert "operators  1 RESHAPE" in shown
    assert shape[-1] != 21 or "'best (1).tflite?anchors=W,H,W,H,…'" in error.value.hint
    with pytest.raises(ModelError, match=fact):
        inspect(arguments(path, json=True))
    assert capsys.readouterr().out == ""


def test_inspect_of_a_damaged_file_shows_nothing(make, capsys):
    path = make(np.zeros((1, 6, 84)))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match="cannot be loaded"):
        inspect(arguments(path))
    assert capsys.readouterr().out == ""


def test_inspect_of_a_model_that_was_not_pulled_says_how_to_fetch_it(capsys):
    assert main(["models", "inspect", "efficientdet_lite0_320_ptq"]) == 65
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "the file of model 'efficientdet_lite0_320_ptq' is not here" in shown.err
    assert "edge-detect models pull efficientdet_lite0_320_ptq" in shown.err


def test_inspect_without_arguments_misses_the_file_alone(capsys):
    with pytest.raises(SystemExit):
        main(["models", "inspect"])
    assert "are required: FILE\n" in capsys.readouterr().err


def test_inspect_with_photos_ranks_what_is_uncertain(tmp_path, blue_photo, capsys):
    path = blue_finder(tmp_path)
    inspect(arguments(path, blue_photo))
    shown = capsys.readouterr().out
    assert "tried 16 combinations on 1 photo;" in shown
    assert "(chosen by rule)" in shown
    assert inspect(arguments(path, blue_photo, json=True)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["family"], told["kind"]) == ("decoded", "YOLOv8")
    scores = [each["score"] for each in told["trial"]]
    assert scores == sorted(scores, reverse=True)
    assert told["outputs"][0]["shape"] == [1, 6, 84]


def test_inspect_writes_a_manifest_that_says_what_was_found(make, capsys):
    path = make(yolov8((0.5, 0.5, 0.25, 0.25)))
    before = settle(find_model(path)).spec
    assert inspect(arguments(path, write=True)) == 0
    assert f"written: {path.with_suffix('.toml')}" in capsys.readouterr().out
    after = find_model(path)
    assert after.inferred is None
    assert after.spec == before
    assert "# guess: the usual one of YOLOv8\ncolor" in path.with_suffix(".toml").read_text()
    with pytest.raises(ModelError, match="is complete"):
        inspect(arguments(path, write=True))


def test_inspect_does_not_replace_a_manifest_unasked(make):
    path = make(yolov8((0.5, 0.5, 0.25, 0.25)))
    manifest = path.with_suffix(".toml")
    manifest.write_text('[input]\ncolor = "bgr"\n')
    with pytest.raises(ModelError, match="exists") as error:
        inspect(arguments(path, write=True))
    assert "--force" in error.value.hint
    inspect(arguments(path, write=True, force=True))
    assert find_model(path).spec.input.color == "bgr"
    assert 'box = "cxcywh"' in manifest.read_text()


def test_add_puts_a_model_where_its_name_finds_it(make, capsys):
    path = make(yolov8((0.5, 0.5, 0.25, 0.25)))
    assert add(arguments(path)) == 0
    target = user_models_path() / "best-1.tflite"
    printed = capsys.readouterr()
    assert printed.out.strip() == str(target)
    assert printed.err.splitlines()[-1] == "use it with: --model best-1"
    assert sorted(each.name for each in user_models_path().iterdir()) == [
        "best-1.tflite",
        "best-1.toml",
    ]
    for name in ("best-1", "best (1)"):
        assert find_model(name).spec.labels == ["cat", "dog"]
    show(Namespace(name="best-1"))
    assert 'unit = "relative"' in capsys.readouterr().out


def test_add_takes_what_a_query_says(make):
    add(arguments(f"{make(yolov8((1, 1, 1, 1)))}?color=bgr&score_threshold=0.1", name="mine"))
    spec = find_model("mine").spec
    assert (spec.input.color, spec.nms.score_threshold) == ("bgr", 0.1)


def test_add_does_not_replace_a_model_unasked(make):
    path = make(yolov8((1, 1, 1, 1)))
    add(arguments(path))
    with pytest.raises(ModelError, match="there is a model 'best-1' already") as error:
        add(arguments(path))
    assert "--force" in error.value.hint
    add(arguments(path, force=True))
    with pytest.raises(ModelError, match="comes with the package"):
        add(arguments(path, name="yolov3-tiny-coco", force=True))
    with pytest.raises(ConfigError, match="cannot be the name") as error:
        add(arguments(path, name="Best One"))
    assert "best-one" in error.value.hint


def test_add_refuses_what_does_not_load_and_leaves_nothing(tmp_path):
    odd = Op("made-up-op", ["image"], ["output"])
    path = write_made(
        tmp_path / "odd.tflite", [IMAGE], [tensor("output", (1, 6, 84))], operators=[odd]
    )
    with pytest.raises(ModelError, match="custom operator 'made-up-op'"):
        add(arguments(path))
    assert not user_models_path().exists()


def test_add_brings_the_twin_for_an_edge_tpu_along(tmp_path, capsys):
    path = write_made(tmp_path / "My SSD.tflite", **postprocess())
    model = postprocess()
    model["operators"].insert(0, Op("edgetpu-custom-op", ["image"], ["aside"]))
    model["constants"].append(tensor("aside", (1, 4), values=0))
    write_made(tmp_path / "My SSD_edgetpu.tflite", **model)
    add(arguments(path))
    assert find_model("my-ssd").spec.edgetpu == "my-ssd_edgetpu"
    assert find_model("my-ssd_edgetpu").spec.cpu_twin == "my-ssd"
    assert "SSD with NMS in the graph" in capsys.readouterr().err


def test_show_prints_what_a_file_without_a_manifest_told(make, capsys):
    path = make(yolov8((32, 32, 16, 16)))
    show(Namespace(name=str(path)))
    shown = capsys.readouterr().out
    assert 'family = "decoded"' in shown
    assert "inferred  YOLOv8" in shown
    # From a trial run, as `inspect` has it.
    assert "guessed: rgb, 0 to 1\n" in shown
    assert f"more: edge-detect models inspect '{path}'" in shown


def test_a_model_without_a_licence_is_listed_as_such(make, capsys):
    add(arguments(make(yolov8((32, 32, 16, 16))), name="mine"))
    capsys.readouterr()
    list_all(Namespace(json=False))
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("mine ")).endswith("yes   unstated")
