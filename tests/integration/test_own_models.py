"""Model files as people have them: from the command line, the configuration and the network."""

import json
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import cv2
import numpy as np
import pytest
from support.made_models import postprocess, write_made

from edge_detect.app.cli import main
from edge_detect.core.resources import bundled_path
from edge_detect.models import find_model, read_manifest
from edge_detect.models.checksum import sha256_of


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(tmp_path / "own"))


@pytest.fixture
def model(tmp_path):
    """A post-processing SSD that finds a dog in every picture."""
    folder = tmp_path / "site"
    folder.mkdir()
    scores = np.zeros((20, 4))
    scores[9, 2] = 0.9
    files = {"labelmap.txt": "???\ncat\ndog\nfish\n"}
    path = folder / "My dogs (2).tflite"
    return write_made(path, **postprocess(classes=3, scores=scores), files=files)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((60, 80, 3), 99, np.uint8))
    return path


@pytest.fixture
def site(model):
    class Quiet(SimpleHTTPRequestHandler):
        def end_headers(self):
            """State a name where the address has none."""
            if "/download" in self.requestline:
                self.send_header("Content-Disposition", 'attachment; filename="Yard?v8.tflite"')
            super().end_headers()

        def translate_path(self, path):
            """The model, whatever the name of the download."""
            return str(model) if path.startswith("/download") else super().translate_path(path)

        def log_message(self, *_):
            """The test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=model.parent))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_detect_takes_a_file_alone_and_names_what_it_is_in_one_line(model, photo, capsys):
    assert main(["detect", str(photo), "--model", str(model), "--accelerator", "cpu"]) == 0
    shown = capsys.readouterr()
    assert "dog 0.90" in shown.out
    (line,) = shown.err.splitlines()
    assert line.startswith("model    My dogs (2).tflite  300x300, SSD with NMS in the graph (from")
    assert line.endswith("3 labels from its metadata; guessed: rgb")


def test_detect_takes_what_is_known_better_behind_the_path(model, photo, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("one\ntwo\nthree\n")
    said = f"{model}?labels={tmp_path / 'mine.txt'}&score_threshold=0.95"
    assert main(["detect", str(photo), "--json", "--model", said, "--accelerator", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["detections"] == []
    said = said.partition("&")[0]
    assert main(["detect", str(photo), "--json", "--model", said, "--accelerator", "cpu"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["detections"]
    assert found["label"] == "two"


def test_run_takes_a_file_alone(model, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    arguments = ["run", "synthetic://?frames=3", "--model", str(model), "--sink", str(out)]
    assert main([*arguments, "--accelerator", "cpu"]) == 0
    assert "My dogs (2).tflite  300x300" in capsys.readouterr().err
    assert json.loads(out.read_text().splitlines()[0])


def test_a_model_is_added_from_an_address_under_a_name(site, photo, capsys):
    assert main(["models", "add", f"{site}/My%20dogs%20(2).tflite"]) == 0
    assert capsys.readouterr().out.strip().endswith("own/my-dogs-2.tflite")
    entry = find_model("my-dogs-2")
    assert entry.spec.labels[2] == "dog"
    assert entry.spec.origin.notes == [f"added from {site}/My%20dogs%20(2).tflite"]
    assert main(["detect", str(photo), "--model", "my-dogs-2", "--accelerator", "cpu"]) == 0
    assert "dog 0.90" in capsys.readouterr().out
    assert main(["models", "verify", "my-dogs-2"]) == 0


def test_labels_behind_an_address_may_lie_in_a_folder(site, tmp_path, monkeypatch, capsys):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mine.txt").write_text("one\ntwo\nthree\n")
    monkeypatch.chdir(tmp_path)
    said = f"{site}/My%20dogs%20(2).tflite?labels=lists/mine.txt"
    assert main(["models", "add", said, "--name", "mine"]) == 0
    capsys.readouterr()
    assert find_model("mine").spec.labels == ["one", "two", "three"]
    assert find_model("mine").spec.origin.notes == [f"added from {said}"]


def test_what_the_address_gives_must_be_a_model(site, capsys):
    assert main(["models", "add", f"{site}/"]) == 65
    assert "is a web page, not a model" in capsys.readouterr().err
    assert main(["models", "add", f"{site}/gone.tflite"]) == 69
    assert "answers 404" in capsys.readouterr().err


def test_a_download_is_called_what_the_server_states(site, capsys):
    assert main(["models", "add", f"{site}/download/latest?id=5"]) == 0
    assert capsys.readouterr().out.strip().endswith("own/yard-v8.tflite")
    assert find_model("yard-v8").spec.origin.notes == [f"added from {site}/download/latest?id=5"]


def test_a_damaged_download_is_named_by_its_address(site, model, capsys):
    model.write_bytes(model.read_bytes()[:400])
    assert main(["models", "add", f"{site}/My%20dogs%20(2).tflite"]) == 65
    shown = capsys.readouterr().err
    assert f"{site}/My%20dogs%20(2).tflite" in shown
    assert tempfile.gettempdir() not in shown


def test_an_address_without_http_is_refused_as_one(capsys):
    assert main(["models", "add", "ftp://127.0.0.1/best.tflite"]) == 69
    shown = capsys.readouterr().err
    assert "ftp scheme" in shown
    assert "https:// or http://" in shown


def test_models_whose_names_have_no_letter_to_keep_are_added_side_by_side(tmp_path, capsys):
    for name, classes in (("猫 (1)?.tflite", 3), ("猫.tflite", 4)):
        path = write_made(tmp_path / name, **postprocess(classes=classes))
        assert main(["models", "add", str(path)]) == 0
        added = f"model-{sha256_of(path)[:8]}"
        assert capsys.readouterr().out.strip().endswith(f"own/{added}.tflite")
        assert len(find_model(added).spec.labels) >= classes


@pytest.mark.parametrize("file", ["best.tflite", "http://127.0.0.1:9/best.tflite"])
def test_an_empty_name_is_refused_before_anything_else(file, capsys):
    assert main(["models", "add", file, "--name", ""]) == 78
    assert "'' cannot be the name of a model" in capsys.readouterr().err


def test_photos_of_inspect_are_read_even_where_nothing_is_uncertain(model, photo, tmp_path, capsys):
    assert main(["models", "inspect", str(model), "--write"]) == 0
    assert main(["models", "inspect", str(model), str(photo)]) == 0
    assert "nothing to try: the manifest is complete" in capsys.readouterr().err
    assert main(["models", "inspect", str(model), str(tmp_path / "none.png")]) == 66
    assert "none.png" in capsys.readouterr().err
    assert main(["models", "inspect", str(model), str(model)]) == 66
    assert "is not an image" in capsys.readouterr().err


def test_inspect_replaces_a_complete_manifest_by_what_the_file_tells(model, photo, capsys):
    """What no file tells is kept: labels, and where the model is from."""
    manifest = model.with_suffix(".toml")
    assert main(["models", "inspect", f"{model}?color=bgr", "--write"]) == 0
    text = manifest.read_text().replace('"cat"', '"lion"') + '\n[origin]\nlicence = "MIT"\n'
    manifest.write_text(text.replace("score_threshold = 0.4", "score_threshold = 0.9"))
    assert main(["models", "inspect", str(model), "--write"]) == 65
    assert "replace it by what the file tells with --force" in capsys.readouterr().err
    assert main(["models", "inspect", str(model), str(photo), "--write", "--force"]) == 0
    assert "tried" in capsys.readouterr().out
    spec = read_manifest(manifest)
    assert spec.input.color == "rgb"
    assert spec.nms.score_threshold == 0.4
    assert spec.labels[1:] == ["lion", "dog", "fish"]
    assert spec.origin.licence == "MIT"


def test_inspect_replaces_no_manifest_that_comes_with_the_package(capsys):
    manifest = bundled_path("models_tflite") / "ssdlite-mobilenet-v2-coco.toml"
    before = manifest.read_bytes()
    said = ["models", "inspect", "ssdlite-mobilenet-v2-coco", "--write", "--force"]
    assert main(said) == 65
    assert "comes with the package" in capsys.readouterr().err
    assert manifest.read_bytes() == before


def test_inspect_of_what_is_no_model_says_what_it_is(tmp_path, capsys):
    path = tmp_path / "best.pt"
    path.write_bytes(b"\x80\x02")
    assert main(["models", "inspect", str(path)]) == 65
    shown = capsys.readouterr().err
    assert "is a PyTorch model" in shown
    assert "yolo export model=best.pt format=tflite" in shown
