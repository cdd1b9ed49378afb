"""Outputs of detectors that are not bundled, made up for a scene with twenty objects.

Five cells around the centre of each object find it, with scores from 0.27 to 0.9; all other
cells hold noise of a few hundredths, as trained networks put out.
"""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support import references

from edge_detect.models.sections.decoded import DecodedSpec
from edge_detect.models.sections.dfl import DflLevel, DflSpec
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

__all__ = ["PEER_CASE", "THRESHOLDS", "Case", "make_cases", "peer_decoder"]

Floats = NDArray[np.float64]

CLASSES = 80
OBJECTS = 20
THRESHOLDS = Thresholds(0.25, 0.7, 300)
# The one that the peer can read.
PEER_CASE = "YOLOv8 84 x 8400 int8"


@dataclass(slots=True, frozen=True)
class Case:
    """One model's outputs.

    Attributes:
        name: What it is.
        spec: Its manifest.
        infos: What the file says about the outputs.
        outputs: The tensors.
    """

    name: str
    spec: ModelSpec
    infos: dict[str, TensorInfo]
    outputs: dict[str, NDArray[Any]]


@dataclass(slots=True, frozen=True)
class Scene:
    """What an ideal network finds, for each cell of its grids.

    Attributes:
        cells: (n, 3) centre x and y in input pixels, and stride.
        boxes: (n, 4) centre x and y, width, height in input pixels.
        scores: (n, classes) probabilities.
    """

    cells: Floats
    boxes: Floats
    scores: Floats


def make_scene(size: int, strides: tuple[int, ...], anchors: int = 1) -> Scene:
    """Twenty objects, the same for every call with the same arguments."""
    random = np.random.default_rng(11)
    grids = []
    for stride in strides:
        y, x = np.mgrid[: math.ceil(size / stride), : math.ceil(size / stride)].reshape(2, -1)
        cells = np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(x.size, stride)], 1)
        grids.append(np.repeat(cells, anchors, 0))
    cells = np.concatenate(grids)
    count = len(cells)
    boxes = np.hstack([cells[:, :2], cells[:, 2:] * random.uniform(1, 4, (count, 2))])
    scores = random.uniform(0, 0.03, (count, CLASSES))
    for _ in range(OBJECTS):
        class_id, stride = random.integers(CLASSES), random.choice(strides)
        centre, extent = random.uniform(0.1, 0.9, 2) * size, random.uniform(1.5, 5, 2) * stride
        apart = np.abs(cells[:, :2] - centre).sum(1) + 1e6 * (cells[:, 2] != stride)
        for number in np.argsort(apart)[:5]:
            boxes[number] = [
                *(centre + random.normal(0, 1, 2)),
                *(extent * random.uniform(1, 1.05)),
            ]
            scores[number, class_id] = random.uniform(0.27, 0.9)
    return Scene(cells, boxes, scores)


def make_cases() -> list[Case]:
    """All families."""
    return [
        *(_columns("YOLOv8 84 x 8400", dtype) for dtype in ("int8", "float32")),
        _rows("YOLOv5 25200 x 85", "uint8", 640, (8, 16, 32), 3),
        _rows("YOLOX 3549 x 85", "float32", 416, (8, 16, 32), 1),
        _end_to_end(),
        _detr(),
        *(_raw_yolov8(dtype) for dtype in ("int8", "float32")),
        _nanodet(),
    ]


class _Tensors:
    def __init__(self) -> None:
        self.infos: dict[str, TensorInfo] = {}
        self.outputs: dict[str, NDArray[Any]] = {}

    def add(self, name: str, values: Floats, dtype: str) -> None:
        """Store real values, quantized over their range."""
        scale, zero_point = 0.0, 0
        if dtype != "float32":
            limits = np.iinfo(dtype)
            low = min(float(values.min()), 0.0)
            scale = float(np.float32((values.max() - low) / 255))
            zero_point = limits.min + round(-low / scale)
            values = np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)
        self.outputs[name] = np.ascontiguousarray(values, dtype)
        self.infos[name] = TensorInfo(name, 0, values.shape, np.dtype(dtype), scale, zero_point)


def _case(name: str, tensors: _Tensors, size: int, **section: DecodedSpec | DflSpec) -> Case:
    family = next(iter(section))
    nms = {"iou_threshold": THRESHOLDS.iou, "score_threshold": THRESHOLDS.score}
    if isinstance(spec := section.get("decoded"), DecodedSpec):
        nms |= {"method": "none"} if spec.classes == "index" or "boxes" in spec.outputs else {}
    manifest = references.manifest(family, "raw", CLASSES, size, nms=nms, **section)
    return Case(name, manifest, tensors.infos, tensors.outputs)


def _columns(name: str, dtype: str) -> Case:
    scene, tensors = make_scene(640, (8, 16, 32)), _Tensors()
    tensors.add("joined", np.hstack([scene.boxes / 640, scene.scores]).T[None], dtype)
    section = DecodedSpec(outputs={"joined": "joined"}, layout="columns", unit="relative")
    return _case(f"{name} {dtype}", tensors, 640, decoded=section)


def _rows(name: str, dtype: str, size: int, strides: tuple[int, ...], anchors: int) -> Case:
    scene, tensors = make_scene(size, strides, anchors), _Tensors()
    unit, scale = ("pixels", 1) if dtype == "float32" else ("relative", size)
    presence = scene.scores.max(1, keepdims=True) ** 0.5
    values = np.hstack([scene.boxes / scale, presence, scene.scores / presence])
    tensors.add("joined", values[None], dtype)
    section = DecodedSpec(outputs={"joined": "joined"}, unit=unit, objectness=True)
    return _case(f"{name} {dtype}", tensors, size, decoded=section)


def _best(scene: Scene, count: int) -> NDArray[np.intp]:
    return np.argsort(-scene.scores.max(1))[:count]


def _end_to_end() -> Case:
    scene, tensors = make_scene(640, (8, 16, 32)), _Tensors()
    best = _best(scene, 300)
    boxes, scores = scene.boxes[best], scene.scores[best]
    corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    values = np.hstack([corners, scores.max(1, keepdims=True), scores.argmax(1)[:, None]])
    tensors.add("joined", values[None], "float32")
    section = DecodedSpec(outputs={"joined": "joined"}, box="xyxy", classes="index")
    return _case("end to end 300 x 6 float32", tensors, 640, decoded=section)


def _detr() -> Case:
    scene, tensors = make_scene(640, (8, 16, 32)), _Tensors()
    best = _best(scene, 300)
    tensors.add("boxes", scene.boxes[best][None] / 640, "float32")
    tensors.add("scores", _logits(scene.scores[best])[None], "float32")
    section = DecodedSpec(
        outputs={"boxes": "boxes", "scores": "scores"}, unit="relative", scores="sigmoid"
    )
    return _case("DETR 300 x 80 float32", tensors, 640, decoded=section)


def _logits(scores: Floats) -> Floats:
    scores = scores.clip(1e-4, 1 - 1e-4)
    return np.asarray(np.log(scores / (1 - scores)), np.float64)


def _distributions(scene: Scene, bins: int) -> Floats:
    """(n, 4 x bins) logits whose means are the distances to the sides."""
    centre, half = scene.boxes[:, :2], scene.boxes[:, 2:] / 2
    begin, stride = scene.cells[:, :2], scene.cells[:, 2:]
    sides = np.hstack([begin - centre + half, centre + half - begin]) / stride
    apart = np.abs(sides.clip(0, bins - 1.01)[..., None] - np.arange(bins))
    return np.asarray(4 - 3 * apart, np.float64).clip(-8, 4).reshape(len(sides), -1)


def _raw_yolov8(dtype: str) -> Case:
    scene, tensors = make_scene(640, (8, 16, 32)), _Tensors()
    values, levels = np.hstack([_distributions(scene, 16), _logits(scene.scores)]), []
    for stride in (8, 16, 32):
        chosen = values[scene.cells[:, 2] == stride]
        side = 640 // stride
        tensors.add(f"joined{stride}", chosen.reshape(1, side, side, -1), dtype)
        levels.append(DflLevel(stride=stride, outputs={"joined": f"joined{stride}"}))
    return _case(f"YOLOv8 raw, 8400 x 144 {dtype}", tensors, 640, dfl=DflSpec(levels=levels))


def _nanodet() -> Case:
    scene, tensors = make_scene(416, (8, 16, 32, 64)), _Tensors()
    values, levels = np.hstack([_logits(scene.scores), _distributions(scene, 8)]), []
    for stride in (8, 16, 32, 64):
        tensors.add(f"joined{stride}", values[scene.cells[:, 2] == stride][None], "int8")
        levels.append(DflLevel(stride=stride, outputs={"joined": f"joined{stride}"}))
    section = DflSpec(levels=levels, bins=8, joined="classes-boxes")
    return _case("NanoDet 3598 x 112 int8", tensors, 416, dfl=section)


def peer_decoder(python: str, case: Case) -> Callable[[], Any]:
    """`edgefirst-decoder` on the tensor of a YOLOv8 case, from another environment.

    Args:
        python: Interpreter of an environment with the package, of the same Python version.
        case: 1 x (4 + classes) x n, quantized.

    Raises:
        ImportError: The environment does not have it.
    """
    script = "import sysconfig; print(sysconfig.get_path('platlib'))"
    folder = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    sys.path.append(folder.stdout.strip())
    from edgefirst import decoder  # type: ignore[import-not-found]

    ((name, values),) = case.outputs.items()
    info = case.infos[name]
    tensor = decoder.Tensor(list(values.shape), info.dtype.name)
    tensor.from_numpy(values)
    tensor.set_quantization_per_tensor(info.scale, info.zero_point)
    output = decoder.Output.detection(
        shape=list(values.shape), decoder=decoder.DecoderType.Ultralytics
    )
    peer = decoder.Decoder.new_from_outputs(
        [output.with_quantization(info.scale, info.zero_point).with_normalized(True)],
        score_threshold=THRESHOLDS.score,
        iou_threshold=THRESHOLDS.iou,
        nms=decoder.Nms.ClassAware,
        decoder_version=decoder.DecoderVersion.Yolov8,
    )
    return lambda: peer.decode([tensor], max_boxes=THRESHOLDS.max_detections)
