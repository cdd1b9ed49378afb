"""The commands that convert a file: what they refuse, and what they write beside the model."""

import argparse
import tomllib

import cv2
import pytest

from edge_detect.app import convert_float
from edge_detect.app.cli import main
from edge_detect.core import ConfigError, ModelError
from edge_detect.models.checksum import sha256_of
from edge_detect.models.infer.overrides import parse_overrides
from edge_detect.models.spec import read_manifest
from edge_detect.tools.convert.float_file import read_float_file
from edge_detect.tools.convert.save import save_model
from tests.support import float_networks as networks
from tests.support import onnx_networks as onnx

ORIGIN = """
[origin]
licence = "MIT"
attribution = "somebody"
url = "https://example.org/detr.tflite"
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a photo, in which the commands run; its models are float transformers."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite(str(tmp_path / "photo.png"), networks.squares(64))
    (tmp_path / "detr.tflite").write_bytes(networks.transformer())
    return tmp_path


def convert(kind, file, *options):
    return main(["models", "convert", kind, str(file), "--calibration", "photo.png", *options])


@pytest.fixture
def described(here):
    """The model with a manifest that names its origin."""
    spec = read_float_file(here / "detr.tflite", parse_overrides({})).spec
    kept = spec.model_dump(mode="json", exclude_none=True, exclude={"name", "file", "origin"})
    save_model(here / "detr.tflite", networks.transformer(), kept)
    with (here / "detr.toml").open("a", encoding="utf-8") as file:
        file.write(ORIGIN)
    return here / "detr.tflite"


def test_licence_and_origin_of_a_manifest_are_kept(described, here):
    """Its URL is left out: it is that of another file."""
    assert convert("tflite", described, "--name", "mine") == 0
    origin = read_manifest(here / "mine.toml").origin
    assert (origin.licence, origin.attribution, origin.url) == ("MIT", "somebody", "")
    assert list(origin.files) == ["detr.tflite"]
    assert origin.command.startswith("edge-detect")
    assert convert("tflite", "detr.toml", "--name", "mine", "--licence", "CC0", "--force") == 0
    origin = read_manifest(here / "mine.toml").origin
    assert origin.licence == "CC0"
    assert list(origin.files) == ["detr.tflite"]


def test_an_empty_name_of_a_conversion_is_refused(here, capsys):
    assert convert("tflite", "detr.tflite", "--name", "") == 78
    assert "'' cannot be the name of a model" in capsys.readouterr().err
    (here / "detr.tflite").rename(here / "猫.tflite")
    assert convert("tflite", "猫.tflite") == 0
    (made,) = here.glob("model-*-float.toml")
    assert made.stem == f"model-{sha256_of(here / '猫.tflite')[:8]}-float"


def test_labels_behind_the_file_are_found_beside_it(here, capsys):
    """From another folder, as `--model` finds them; the manifest lists them."""
    (here / "nets").mkdir()
    (here / "detr.tflite").rename(here / "nets" / "detr.tflite")
    (here / "nets" / "colours.txt").write_text("red\ngreen\n", encoding="utf-8")
    assert convert("tflite", "nets/detr.tflite?labels=colours.txt") == 0
    manifest = tomllib.loads((here / "detr-float.toml").read_text(encoding="utf-8"))
    assert manifest["labels"] == ["red", "green"]
    assert list(manifest["origin"]["files"]) == ["detr.tflite", "colours.txt"]
    assert manifest["origin"]["licence"] == "unstated"
    assert "kept in float32" in capsys.readouterr().out
    assert convert("tflite", "nets/detr.tflite?labels=none.txt", "--force") == 65
    assert "no file of labels 'none.txt'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "name"),
    [("detr.tflite", "detr"), ("detr.toml", "detr"), ("yolo-float.tflite", "yolo")],
)
def test_the_file_itself_is_never_replaced(described, here, capsys, file, name):
    """Not by the model, not by its float twin, and not with --force."""
    if not (here / file).exists():
        described.rename(here / file)
        (here / "detr.toml").unlink()
    before = (here / file).read_bytes()
    for options in ((), ("--force",)):
        assert convert("tflite", file, "--name", name, "--float", *options) == 78
        assert "is the file to be converted" in capsys.readouterr().err
    assert (here / file).read_bytes() == before


def test_another_model_of_the_same_name_is_replaced_with_force_only(here, capsys):
    """Two files called best.tflite do not overwrite each other's models."""
    assert convert("tflite", "detr.tflite") == 0
    (here / "other").mkdir()
    (here / "other" / "detr.tflite").write_bytes(networks.transformer(queries=40))
    before = (here / "detr-float.tflite").read_bytes()
    capsys.readouterr()
    assert convert("tflite", "other/detr.tflite") == 78
    assert "detr-float.tflite exists" in capsys.readouterr().err
    assert (here / "detr-float.tflite").read_bytes() == before
    assert convert("tflite", "other/detr.tflite", "--force") == 0
    assert (here / "detr-float.tflite").read_bytes() != before


@pytest.mark.parametrize("kind", ["tflite", "onnx", "savedmodel"])
@pytest.mark.parametrize(
    ("options", "code", "fact"),
    [
        (("--name", "My Model"), 78, "such as my-model"),
        (("--out", "photo.png/x"), 74, "photo.png is not a folder"),
        (("--calibration", "none.jpg"), 78, "none.jpg does not exist"),
    ],
)
def test_what_would_fail_at_the_end_is_refused_first(capsys, kind, options, code, fact):
    """Before the model is even read."""
    assert convert(kind, "missing.onnx", *options) == code
    assert fact in capsys.readouterr().err


def test_darknet_is_refused_before_its_files_are_read(here, capsys):
    """The other kinds check the same."""
    (here / "my-yolo.toml").touch()
    files = ("--cfg", "no.cfg", "--weights", "no.weights", "--names", "no.names")
    command = ["models", "convert", "darknet", *files, "--calibration", "photo.png"]
    for name, fact in (("My Yolo", "such as my-yolo"), ("my-yolo", "my-yolo.toml exists")):
        assert main([*command, "--name", name]) == 78
        assert fact in capsys.readouterr().err


def test_a_value_that_is_given_twice_is_refused(capsys):
    assert convert("tflite", "detr.tflite?size=64x64", "--size", "64x64") == 78
    assert "give it either behind the file or as an option" in capsys.readouterr().err


def test_of_the_files_beside_a_model_only_those_with_labels_are_linked(here):
    """A folder of training data has a text file for each of its pictures."""
    (here / "net.onnx").write_bytes(onnx.yolov8())
    for name in ("labels.txt", "net.names", *(f"{number}.txt" for number in range(50))):
        (here / name).touch()
    work = here / "work"
    work.mkdir()
    convert_float._link_neighbours(here / "net.onnx", work / "net.tflite")
    assert sorted(path.name for path in work.iterdir()) == ["labels.txt", "net.names"]


def test_labels_of_a_directory_are_found_in_it_and_beside_it(here):
    """SavedModels and TensorFlow.js models are directories."""
    (here / "net").mkdir()
    (here / "net" / "inside.txt").touch()
    (here / "beside.txt").touch()
    for name in ("inside.txt", "beside.txt"):
        found = convert_float._find_labels(here / "net", name)
        assert found.endswith(f"/{name}")
    with pytest.raises(ModelError, match="no file of labels"):
        convert_float._find_labels(here / "net", "none.txt")


@pytest.mark.parametrize(
    ("query", "size", "fact"),
    [("?color=bgr", None, "color cannot be set"), ("?size=64x64", None, "size cannot be set")],
)
def test_what_an_ssd_for_tensorflow_js_does_not_use_is_refused(here, query, size, fact):
    """Its graph states the input; only labels are missing."""
    (here / "labels.txt").touch()
    arguments = argparse.Namespace(
        file=f"net{query}", names=here / "labels.txt", size=size, name=None
    )
    path, overrides = convert_float._split(arguments)
    with pytest.raises(ConfigError, match=fact):
        convert_float._tfjs_ssd(arguments, path, overrides)
