"""Float detectors of each family become INT8 models that find the same."""

import cv2
import pytest

from edge_detect.app.cli import main
from edge_detect.models.infer.overrides import parse_overrides
from edge_detect.models.opening import load_model
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float_file import read_float_file
from edge_detect.tools.convert.from_float import convert_float_file
from tests.support import float_networks as networks

pytestmark = [pytest.mark.convert, pytest.mark.timeout(240)]
ORIGIN = {"licence": "CC0-1.0"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(8):
        cv2.imwrite(str(folder / f"{seed}.png"), networks.squares(128, seed))
    return folder


@pytest.fixture
def convert(tmp_path, pictures):
    def convert_content(content, *, float_out=None, **said):
        path = tmp_path / "net.tflite"
        path.write_bytes(content)
        (tmp_path / "net.names").write_text("\n".join(networks.LABELS), encoding="utf-8")
        source = read_float_file(path, parse_overrides(said))
        out = tmp_path / "net-int8.tflite"
        made = convert_float_file(source, [pictures], out, origin=ORIGIN, float_out=float_out)
        return made, out

    return convert_content


def input_type(path):
    graph = Graph(path.read_bytes())
    return graph.tensors[graph.subgraph.inputs[0]].type, graph.schema.TensorType


@pytest.mark.parametrize(
    ("content", "family", "decoding"),
    [
        (networks.yolov8(), "dfl", "by the detector: distances"),
        (networks.yolov8(relative=False, transposed=True), "dfl", "by the detector: distances"),
        (networks.with_float16_weights(networks.yolov8()), "dfl", "by the detector: distances"),
        (networks.yolov8(raw=True), "dfl", "by the detector"),
        (networks.yolov8(padded=True), "dfl", "by the detector: distances"),
        (networks.yolox(), "yolo", "by the detector: offsets, objectness"),
        (networks.yolov5(), "yolo", "by the detector: offsets to 3 anchors"),
        (networks.yolov8(stretch=1.2), "decoded", "in float, in the graph"),
    ],
    ids=["yolov8", "rows in pixels", "float16", "raw", "padded", "yolox", "yolov5", "own decoding"],
)
def test_int8_finds_what_float_finds(convert, content, family, decoding):
    """INT8 with raw heads, or with a decoding of its own in float, detects as float does."""
    made, out = convert(content)
    assert made.spec.family == family
    assert made.decoding.startswith(decoding)
    assert made.agreement.n_reference >= 20
    assert made.agreement.recall >= 0.95
    assert made.agreement.precision >= 0.95
    assert made.agreement.mean_iou >= 0.95
    kind, types = input_type(out)
    assert kind == types.INT8
    assert made.spec.figures["int8_to_float"]["detections_float"] == made.agreement.n_reference
    with load_model(out) as detector:
        found = detector(networks.squares(128, 1))
        assert set(found.names) == set(networks.LABELS)


def test_channels_may_be_scaled_each_in_its_own_way(convert):
    """Mean and deviation per channel go into the steps of the input."""
    made, _ = convert(networks.yolov8(), mean="10,0,5", std="255,250,260")
    assert made.spec.input.encoding == "normalized"
    assert made.agreement.recall >= 0.9
    assert made.agreement.mean_iou >= 0.95


def test_a_transformer_stays_in_float(convert):
    """Boxes from queries that look at each other do not survive INT8."""
    made, out = convert(networks.transformer())
    assert made.agreement is None
    assert "kept in float32" in made.decoding
    kind, types = input_type(out)
    assert kind == types.FLOAT32
    assert made.spec.family == "decoded"


def test_the_float_twin_detects_as_the_original(convert, tmp_path):
    """`--float` writes the file by which the loss was measured."""
    twin = tmp_path / "net-float.tflite"
    convert(networks.yolov8(), float_out=twin)
    with load_model(tmp_path / "net.tflite") as original, load_model(twin) as written:
        picture = networks.squares(128, 3)
        assert written(picture).names == original(picture).names


def test_a_file_that_takes_any_size_gets_one(convert):
    """The size is set in the file, and all shapes that follow from it."""
    graph = Graph(networks.yolov8(raw=True))
    image = graph.tensors[graph.subgraph.inputs[0]]
    image.shape, image.shapeSignature = [1, 1, 1, 3], [1, -1, -1, 3]
    made, out = convert(graph.to_bytes(), size="64x64")
    assert made.spec.input.size == (64, 64)
    written = Graph(out.read_bytes())
    assert written.shape(int(written.subgraph.inputs[0])) == (1, 64, 64, 3)
    assert made.agreement.recall >= 0.95


def test_the_command_reports_what_it_made(tmp_path, pictures, capsys, monkeypatch):
    """One command: what the model is, where boxes are decoded, how good INT8 is, where it lies."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.tflite").write_bytes(networks.yolov8())
    (tmp_path / "labels.txt").write_text("red\ngreen\n", encoding="utf-8")
    command = ["models", "convert", "tflite", "best.tflite", "--calibration", str(pictures)]
    assert main([*command, "--licence", "CC0-1.0", "--float"]) == 0
    printed = capsys.readouterr()
    assert "best.tflite: YOLOv8 (from its shapes), 2 labels from labels.txt" in printed.err
    lines = printed.out.splitlines()
    assert lines[0].startswith("boxes are decoded by the detector")
    assert lines[1].startswith("INT8 against float on 8 pictures")
    assert "best-int8.tflite  64x64, 2 classes" in lines
    manifest = (tmp_path / "best-int8.toml").read_text(encoding="utf-8")
    assert 'licence = "CC0-1.0"' in manifest
    assert "[figures.int8_to_float]" in manifest
    assert (tmp_path / "best-int8-float.toml").exists()


def test_the_file_itself_is_not_replaced(tmp_path, pictures, capsys):
    """The new model needs a name of its own."""
    path = tmp_path / "best.tflite"
    path.write_bytes(networks.yolov8())
    command = ["models", "convert", "tflite", str(path), "--calibration", str(pictures)]
    assert main([*command, "--name", "best", "--out", str(tmp_path)]) == 78
    assert "give the new one another --name" in capsys.readouterr().err
