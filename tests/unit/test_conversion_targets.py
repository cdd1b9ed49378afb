"""What a conversion writes: only under valid names, never over what is converted."""

import argparse
import sys
from pathlib import Path

import pytest

from edge_detect.app.conversion import (
    check_targets,
    command_words,
    make_folder,
    origin_of,
    temporary_files,
)
from edge_detect.core import ConfigError, ModelError, SinkError
from edge_detect.models.spec import Origin, read_manifest
from edge_detect.tools.convert.save import save_model
from edge_detect.tools.convert.write_manifest import replace_files
from tests.support import float_networks as networks

MANIFEST = {
    "family": "decoded",
    "labels": ["red", "green"],
    "input": {"size": [64, 64], "resize": "stretch"},
    "decoded": {"outputs": {"boxes": "pred_boxes", "scores": "pred_logits"}},
    "nms": {"score_threshold": 0.4, "iou_threshold": 0.5},
}


@pytest.fixture
def check(tmp_path):
    def check_name(name, *sources, force=False, twin=False, out=None):
        arguments = argparse.Namespace(out=out or tmp_path, force=force, float=twin)
        return check_targets(arguments, name, sources)

    return check_name


@pytest.mark.parametrize("name", ["My Model", "sub/x", "../x", "", ".hidden", "ä", "x\n"])
def test_an_invalid_name_is_refused_with_one_that_is_valid(check, tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be the name of a model") as caught:
        check(name, force=True)
    assert "such as" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_files_of_a_name_are_the_model_and_its_float_twin(check, tmp_path):
    targets = check("yolo-v1.2", twin=True)
    assert targets.model == tmp_path / "yolo-v1.2.tflite"
    assert targets.float_twin == tmp_path / "yolo-v1.2-float.tflite"
    assert check("yolo").float_twin is None


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("source", ["yolo.tflite", "yolo.toml", "yolo-float.tflite"])
def test_what_is_converted_is_never_replaced(check, tmp_path, force, source):
    (tmp_path / source).touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=f"{source} is the file to be converted"):
        check("yolo", tmp_path / "folder" / ".." / source, force=force, twin=True)


@pytest.mark.parametrize("there", ["yolo.tflite", "yolo.toml", "yolo-float.toml"])
def test_what_exists_is_replaced_with_force_only(check, tmp_path, there):
    (tmp_path / there).touch()
    with pytest.raises(ConfigError, match=f"{there} exists") as caught:
        check("yolo", twin=True)
    assert "--force" in caught.value.hint
    check("yolo", twin=True, force=True)


def test_a_folder_that_cannot_be_one_is_refused_before_it_is_made(check, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="file is not a folder") as caught:
        check("yolo", out=tmp_path / "file" / "sub")
    assert "--out" in caught.value.hint
    check("yolo", out=tmp_path / "new" / "sub")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_one_error():
    with pytest.raises(SinkError, match="cannot create /proc/new"):
        make_folder(Path("/proc/new"))


def test_an_error_with_temporary_files_names_the_place(tmp_path):
    with pytest.raises(SinkError, match="missing/file: No such file") as caught, temporary_files():
        (tmp_path / "missing" / "file").write_bytes(b"")
    assert "TMPDIR" in caught.value.hint
    with pytest.raises(BrokenPipeError), temporary_files():
        raise BrokenPipeError


def test_a_manifest_that_is_not_valid_leaves_no_file(tmp_path):
    with pytest.raises(ModelError, match=r"net\.toml: labels"):
        save_model(tmp_path / "net.tflite", networks.transformer(), {**MANIFEST, "labels": []})
    assert not list(tmp_path.glob("*net*"))


def test_files_that_cannot_be_written_are_one_error_and_leave_no_parts(tmp_path):
    (tmp_path / "net.toml").mkdir()
    with pytest.raises(SinkError, match=r"cannot write .*net\.tflite") as caught:
        save_model(tmp_path / "net.tflite", networks.transformer(), MANIFEST)
    assert "free space" in caught.value.hint
    with pytest.raises(SinkError, match="No such file"):
        save_model(tmp_path / "none" / "net.tflite", networks.transformer(), MANIFEST)
    assert not list(tmp_path.glob(".*.part"))


def test_model_and_manifest_are_written_whole(tmp_path):
    (tmp_path / "net.part").touch()
    spec = save_model(tmp_path / "net.tflite", networks.transformer(), MANIFEST)
    assert read_manifest(tmp_path / "net.toml") == spec
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == ["net.part", "net.tflite", "net.toml"]


def test_no_file_is_replaced_when_one_cannot_be_written(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="No such file"):
        replace_files({tmp_path / "a": b"new", tmp_path / "none" / "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("given", "known", "licence"),
    [("MIT", "GPL", "MIT"), (None, "GPL", "GPL"), (None, "", "unstated")],
)
def test_the_licence_that_is_known_is_kept(tmp_path, given, known, licence):
    file = tmp_path / "net.onnx"
    file.write_bytes(b"")
    origin = Origin(licence=known, url="https://example.org/a.tflite", attribution="somebody")
    found = origin_of(given, [file], origin)
    assert found["licence"] == licence
    assert found["attribution"] == "somebody"
    assert list(found["files"]) == ["net.onnx"]
    assert "url" not in found


def test_the_command_can_be_repeated_and_shows_no_folders(monkeypatch):
    words = ["models", "convert", "/a/my net.onnx?color=bgr&labels=/b/c.txt", "--out=/d/e", "-x"]
    monkeypatch.setattr(sys, "argv", ["edge-detect", *words])
    command = "edge-detect models convert 'my net.onnx?color=bgr&labels=c.txt' --out=e -x"
    assert command_words() == command
