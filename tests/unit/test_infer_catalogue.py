"""Files of one's own in the catalogue: without a manifest, or with one that is not complete."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.made_models import Op, postprocess, tensor, write_made

import edge_detect
from edge_detect.core import ConfigError, ModelError, bundled_path
from edge_detect.models import find_model, list_models, load_model, model_names, read_manifest
from edge_detect.models.infer.overrides import parse_overrides
from edge_detect.models.infer.probe import settle
from edge_detect.models.options import LoadOptions, find_with_options
from edge_detect.service.config.checks import find_problems
from edge_detect.service.config.settings import CameraSettings, Settings

IMAGE = tensor("image", (1, 64, 64, 3))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(folder))
    return folder


def make(path, values=0, shape=(1, 6, 84)):
    return write_made(path, [IMAGE], [tensor("output", shape, values=values)])


def write_manifest(path, text):
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    return path


def test_any_file_name_will_do(tmp_path):
    entry = find_model(make(tmp_path / "Best (1).tflite"))
    assert (entry.name, entry.title) == ("best-1", "Best (1).tflite")
    assert re.fullmatch("model-[0-9a-f]{8}", find_model(make(tmp_path / "ü.lite")).name)


def test_a_file_in_the_own_folder_is_found_by_its_name(own_folder):
    make(own_folder / "mine.tflite")
    assert "mine" in model_names()
    assert find_model("mine").path == own_folder / "mine.tflite"
    assert "mine" in [entry.name for entry in list_models()]


def test_a_file_in_the_own_folder_that_is_no_detector_does_not_hide_the_others(own_folder, caplog):
    make(own_folder / "other.tflite", shape=(1, 1001))
    names = [entry.name for entry in list_models()]
    assert "other" not in names
    assert "yolov3-tiny-coco" in names
    assert "is a classifier" in caplog.text


def test_a_manifest_needs_only_what_the_file_does_not_say(tmp_path):
    text = 'labels = ["cat", "dog"]\n[input]\ncolor = "bgr"\n[nms]\nscore_threshold = 0.6\n'
    entry = find_model(write_manifest(make(tmp_path / "best (1).tflite"), text))
    spec = entry.spec
    assert (spec.name, spec.family, spec.labels) == ("best-1", "decoded", ["cat", "dog"])
    assert (spec.input.color, spec.input.size) == ("bgr", (64, 64))
    assert (spec.nms.score_threshold, spec.nms.iou_threshold) == (0.6, 0.6)
    assert entry.inferred.find("input.color").source == "manifest"
    assert "2 labels from its manifest" in entry.inferred.summary()


def test_the_size_of_a_manifest_is_not_what_was_asked(tmp_path):
    path = write_manifest(make(tmp_path / "x.tflite"), "[input]\nsize = [64, 64]\n")
    assert find_model(path).inferred.find("input.size").source == "manifest"
    entry = find_model(path, parse_overrides({"size": "64x64"}))
    assert entry.inferred.find("input.size").source == "query"


def test_labels_of_a_manifest_help_to_find_out_the_rest(tmp_path):
    path = make(tmp_path / "x.tflite", shape=(1, 84, 6))
    assert not find_model(path).spec.decoded.objectness
    assert find_model(write_manifest(path, 'labels = ["cat"]')).spec.decoded.objectness


def test_a_wrong_key_in_an_incomplete_manifest_is_named(tmp_path):
    path = write_manifest(make(tmp_path / "x.tflite"), '[input]\ncolour = "bgr"\n')
    with pytest.raises(ModelError, match=r"x\.toml: .*input\.colour: Extra inputs"):
        find_model(path)


def test_an_incomplete_manifest_without_its_file_names_the_missing_keys(own_folder):
    (own_folder / "gone.toml").write_text('labels = ["cat"]', encoding="utf-8")
    with pytest.raises(ModelError, match="family: Field required"):
        find_model("gone")


def test_an_incomplete_manifest_whose_file_does_not_tell_either_says_both(tmp_path):
    path = make(tmp_path / "x.tflite", shape=(1, 1001))
    write_manifest(path, 'labels = ["cat"]')
    with pytest.raises(ModelError, match=r"Field required.*the file does not tell: .*classifier"):
        find_model(path)


def test_a_manifest_that_names_a_family_and_its_section_goes_before_the_shapes(tmp_path):
    text = (
        'family = "fomo"\nlabels = ["a"]\n[fomo]\noutputs = { grid = "output" }\n'
        '[input]\nresize = "stretch"\n'
    )
    path = write_manifest(make(tmp_path / "x.tflite", shape=(1, 84, 6)), text)
    entry = find_model(path)
    assert (entry.spec.family, entry.spec.decoded) == ("fomo", None)
    assert entry.inferred.summary().startswith("fomo (from its manifest), 1 label from its")


def test_a_manifest_of_another_family_leaves_no_question_about_the_first(tmp_path):
    """The file alone is a YOLOv8, whose unit and scores one inference would tell."""
    values = np.zeros((1, 84, 6))
    values[0, 0, 5] = 0.9
    text = (
        'family = "ssd"\nhead = "postprocess"\nlabels = ["cat"]\n[ssd.outputs]\n'
        'boxes = "output"\nclasses = "output"\nscores = "output"\n'
    )
    path = write_manifest(make(tmp_path / "x.tflite", values, (1, 84, 6)), text)
    entry = find_model(path)
    assert entry.inferred.questions == ()
    assert settle(entry) is entry
    keys = {each.key for each in entry.inferred.findings}
    assert "ssd.outputs.boxes" in keys
    assert not [key for key in keys if key.startswith("decoded.")]


def test_a_complete_manifest_is_not_compared_with_guesses(own_folder):
    """The small models of other tests are of no family that could be told."""
    from support.echo_models import write_model

    assert find_model(write_model(own_folder)).inferred is None


def test_a_query_goes_before_a_manifest(tmp_path):
    text = 'labels = ["cat", "dog"]\n[input]\ncolor = "bgr"\n'
    path = write_manifest(make(tmp_path / "x.tflite"), text)
    entry, options = find_with_options(f"{path}?color=rgb&threads=1", LoadOptions())
    assert (entry.spec.input.color, options.threads) == ("rgb", 1)


def test_a_query_changes_a_complete_manifest_too(tmp_path, own_folder):
    from support.echo_models import write_model

    path = write_model(own_folder)
    (own_folder / "other.txt").write_text("cat\n")
    entry, _ = find_with_options(f"{path}?color=bgr&labels=other.txt", LoadOptions())
    assert (entry.spec.input.color, entry.spec.labels) == ("bgr", ["cat"])
    with pytest.raises(ConfigError, match="family cannot be given for a model with a manifest"):
        find_with_options(f"{path}?family=ssd", LoadOptions())


def test_a_file_with_a_question_mark_in_its_name_is_a_file(tmp_path):
    path = make(tmp_path / "x?color=bgr.tflite")
    entry, _ = find_with_options(str(path), LoadOptions())
    assert (entry.path, entry.spec.input.color) == (path, "rgb")


def test_an_unknown_key_of_a_query_lists_those_that_there_are(tmp_path):
    path = make(tmp_path / "x.tflite")
    with pytest.raises(ConfigError, match=r"x\.tflite' has the unknown option 'colour'") as error:
        find_with_options(f"{path}?colour=bgr", LoadOptions())
    assert error.value.message.startswith(f"'{path}' has")
    assert "color" in error.value.hint


def test_a_file_compiled_for_an_edge_tpu_beside_a_model_is_its_twin(tmp_path):
    path = write_made(tmp_path / "x.tflite", **postprocess())
    assert find_model(path).spec.edgetpu == ""
    model = postprocess()
    model["operators"].insert(0, Op("edgetpu-custom-op", ["image"], ["aside"]))
    model["constants"].append(tensor("aside", (1, 4), values=0))
    twin = find_model(write_made(tmp_path / "x_edgetpu.tflite", **model))
    assert twin.spec.cpu_twin == "x"
    entry = find_model(path)
    assert entry.spec.edgetpu == "x_edgetpu"
    assert (entry.spec.labels, entry.spec.input) == (twin.spec.labels, twin.spec.input)


def test_a_file_for_an_edge_tpu_alone_is_refused_on_a_cpu_by_name(tmp_path):
    model = postprocess()
    model["operators"].insert(0, Op("edgetpu-custom-op", ["image"], ["aside"]))
    model["constants"].append(tensor("aside", (1, 4), values=0))
    for name, twin in (("x_edgetpu", "x"), ("y", "y-cpu"), ("_edgetpu", "_edgetpu-cpu")):
        path = write_made(tmp_path / f"{name}.tflite", **model)
        with pytest.raises(ModelError, match="is compiled for an Edge TPU") as error:
            load_model(path, accelerator="cpu")
        assert error.value.hint.endswith(f"as {twin}.tflite")


def problems_of(model):
    camera = CameraSettings(source="rtsp://camera/live", model=model, classes=("dog",))
    return [problem.fact for problem in find_problems(Settings(cameras={"door": camera}), ())]


def test_a_configuration_may_name_a_file_alone(tmp_path):
    path = make(tmp_path / "best (1).tflite")
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    assert problems_of(f"{path}?labels=two.txt") == []
    assert problems_of(str(path)) == ["the model does not know the class 'dog'"]
    assert problems_of(f"{path}?labels=gone.txt")[0].startswith("there is no file of labels")


def test_a_copy_of_a_bundled_model_is_understood_without_its_manifest(tmp_path):
    path = tmp_path / "copy.tflite"
    for name in ("ssd-mobilenet-v2-coco-postprocess", "ssd-mobilenet-v2-coco"):
        entry = find_model(name)
        shutil.copyfile(entry.path, path)
        path.with_suffix(".txt").write_text("\n".join(entry.spec.labels))
        told = find_model(path).spec
        assert told.ssd.model_dump() == entry.spec.ssd.model_dump()
        assert told.input == entry.spec.input
        assert told.nms == entry.spec.nms
        assert told.labels == entry.spec.labels


def test_manifests_that_come_with_the_package_say_everything():
    manifests = sorted(bundled_path("models_tflite").glob("*.toml"))
    assert manifests
    for manifest in manifests:
        assert read_manifest(manifest).name == manifest.stem
        assert find_model(manifest).inferred is None


def test_pages_that_messages_name_are_there():
    package = Path(edge_detect.__file__).parent
    named = {
        page
        for file in package.rglob("*.py")
        for page in re.findall(r"docs/[a-z_]+\.md", file.read_text(encoding="utf-8"))
    }
    assert named
    assert [page for page in sorted(named) if not (package.parent / page).is_file()] == []
