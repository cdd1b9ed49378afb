"""SSDs whose anchors a number tells: generators that are in use, by how many they make.

Reference:
    Liu et al., "SSD: Single Shot MultiBox Detector", 2016, sec. 2.2, and the Object Detection
    API's `ssd_anchor_generator` and `multiscale_grid_anchor_generator`; Tan et al.,
    "EfficientDet", 2020, sec. 5; MediaPipe's graphs for faces, palms and poses; UltraFace
    (Linzaer, 2019).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edge_detect.core import Size
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.inference import Source
from edge_detect.models.infer.inputs import BLAZE, SSD, InputRule

__all__ = ["KnownAnchors", "find_anchors"]

_ULTRA = InputRule(127.0, 128.0, resize="stretch", pad=127)
_MOST_LISTED = 30_000
# Inputs of EfficientDet-Lite0, -Lite1 and -Lite2.
_LITE_SIZES = (Size(320, 320), Size(384, 384), Size(448, 448))


@dataclass(slots=True, frozen=True)
class KnownAnchors:
    """A kind of SSD.

    Attributes:
        kind: For people.
        anchors: `[ssd.anchors]`.
        why: What tells it.
        keys: Further keys of `[ssd]`.
        source: What tells it.
        certain: Whether no other kind has as many.
        scores: Key `scores`; empty where the graph is asked.
        background: Whether there is one; None where the labels tell.
        labels: Of models of this kind that name none.
        rule: What pixels become.
        score: Threshold.
        iou: Threshold.
    """

    kind: str
    anchors: dict[str, Any]
    why: str
    keys: dict[str, Any] = field(default_factory=dict)
    source: Source = "tensors"
    certain: bool = True
    scores: str = ""
    background: bool | None = None
    labels: tuple[str, ...] = ()
    rule: InputRule = SSD
    score: float = 0.4
    iou: float = 0.6


def find_anchors(evidence: Evidence, count: int, values: int) -> KnownAnchors | None:
    """The kind of SSD that has as many anchors, for an input of this size.

    Args:
        evidence: Of the file.
        count: Anchors.
        values: Box values per anchor; more than four are key points.
    """
    if values < 4 or (values - 4) % 2:
        return None
    listed = _from_metadata(evidence, count) or _from_tensor(evidence, count, values)
    if listed is not None:
        return listed
    for made, known in _kinds(evidence.size, values):
        if made == count:
            return known
    return None


def _from_metadata(evidence: Evidence, count: int) -> KnownAnchors | None:
    """Anchors that MediaPipe's metadata lists."""
    notes = evidence.metadata.anchors if evidence.metadata else None
    if notes is None or len(notes.anchors) != count or count > _MOST_LISTED:
        return None
    if not (notes.anchors[:, 2:] > 0).all():
        return None
    boxes = [[y, x, h, w] for x, y, w, h in notes.anchors.round(7).tolist()]
    keys = {
        "box_scales": list(notes.scales),
        "coding": "centre" if notes.exponential else "linear",
        "keypoints": notes.keypoints,
    }
    return KnownAnchors(
        "SSD of MediaPipe",
        {"kind": "boxes", "boxes": boxes},
        "anchors of the metadata",
        keys,
        source="metadata",
        scores="sigmoid" if notes.sigmoid else "probability",
        background=False,
    )


def _from_tensor(evidence: Evidence, count: int, values: int) -> KnownAnchors | None:
    """Anchors that stand in the file, as where TFLite_Detection_PostProcess was cut off."""
    if values != 4:
        return None
    for tensor in evidence.graph.tensors:
        plausible = tensor.shape == (count, 4) and "anchor" in tensor.name.lower()
        if not plausible or evidence.graph.constant(tensor.index) is None:
            continue
        return KnownAnchors(
            "SSD",
            {"kind": "tensor", "tensor": tensor.name},
            f"the file has its anchors: {tensor.name}",
            {"box_scales": [10.0, 10.0, 5.0, 5.0]},
            source="constants",
        )
    return None


def _kinds(size: Size, values: int) -> Iterator[tuple[int, KnownAnchors]]:
    """Numbers of anchors, and the kinds that have them."""
    if values > 4:
        yield from _mediapipe(size, values)
        return
    maps = _halved(size, 6)
    if maps[0] != maps[-1]:
        count = 3 * _area(maps[0]) + 6 * sum(map(_area, maps[1:]))
        yield count, _multiple_grid(maps, count)
    levels = sum(_area(each) for each in _pyramid(size))
    yield 9 * levels, _efficientdet(9 * levels, size)
    yield 6 * levels, _fpn(6 * levels)
    yield from _ultraface(size)


def _area(side: tuple[int, int]) -> int:
    return side[0] * side[1]


def _halved(size: Size, count: int) -> list[tuple[int, int]]:
    """Feature maps from stride 16, each half of the one before, rounded up."""
    side = (-(-size.width // 16), -(-size.height // 16))
    maps = [side]
    while len(maps) < count:
        side = (-(-side[0] // 2), -(-side[1] // 2))
        maps.append(side)
    return maps


def _pyramid(size: Size) -> list[tuple[int, int]]:
    """Feature maps of strides 8 to 128."""
    return [(-(-size.width // 2**level), -(-size.height // 2**level)) for level in range(3, 8)]


def _multiple_grid(maps: list[tuple[int, int]], count: int) -> KnownAnchors:
    anchors = {
        "kind": "ssd",
        "feature_maps": [list(side) for side in maps],
        "min_scale": 0.2,
        "max_scale": 0.95,
        "aspect_ratios": [1.0, 2.0, 0.5, 3.0, 0.3333],
    }
    return KnownAnchors(
        "SSD",
        anchors,
        f"{count} anchors are those of the Object Detection API's SSD at this size",
        {"box_scales": [10.0, 10.0, 5.0, 5.0]},
    )


def _efficientdet(count: int, size: Size) -> KnownAnchors:
    anchors = {"kind": "levels", "anchor_scale": 3.0}
    return KnownAnchors(
        "EfficientDet-Lite",
        anchors,
        f"{count} anchors are 9 per cell of levels 3 to 7",
        {"box_scales": [1.0, 1.0, 1.0, 1.0]},
        # EfficientDet-D0 to -D7 have as many, but larger ones, and other inputs.
        certain=size in _LITE_SIZES,
        background=False,
        iou=0.5,
    )


def _fpn(count: int) -> KnownAnchors:
    anchors = {
        "kind": "levels",
        "scales_per_octave": 2,
        "aspect_ratios": [1.0, 2.0, 0.5],
        "anchor_scale": 4.0,
        "stride": "power",
        "offset": "divisible",
        "order": "ratios",
    }
    return KnownAnchors(
        "SSD with FPN",
        anchors,
        f"{count} anchors are 6 per cell of levels 3 to 7",
        {"box_scales": [10.0, 10.0, 5.0, 5.0]},
    )


# Input, strides, anchors per layer, points after the box, what is found.
_BLAZE: tuple[tuple[Size, tuple[int, ...], int, int, str], ...] = (
    (Size(128, 128), (8, 16, 16, 16), 2, 6, "face"),
    (Size(256, 256), (16, 32, 32, 32), 2, 6, "face"),
    (Size(192, 192), (4,), 1, 6, "face"),
    (Size(192, 192), (8, 16, 16, 16), 2, 7, "palm"),
    (Size(256, 256), (8, 16, 32, 32, 32), 2, 7, "palm"),
    (Size(224, 224), (8, 16, 32, 32, 32), 2, 4, "person"),
    (Size(128, 128), (8, 16, 16, 16), 2, 4, "person"),
)


def _mediapipe(size: Size, values: int) -> Iterator[tuple[int, KnownAnchors]]:
    for side, strides, per_layer, points, label in _BLAZE:
        if side != size or values != 4 + 2 * points:
            continue
        count = sum(per_layer * (size.width // each) * (size.height // each) for each in strides)
        anchors = {
            "kind": "mediapipe",
            "strides": list(strides),
            "min_scale": 0.1484375,
            "max_scale": 0.75,
            "fixed_anchor_size": True,
            "interpolated_scale_aspect_ratio": float(per_layer - 1),
        }
        keys = {
            "box": "xywh",
            "coding": "linear",
            "box_scales": [float(size.height), float(size.width)] * 2,
            "keypoints": points,
        }
        yield (
            count,
            KnownAnchors(
                f"MediaPipe's {label} detector",
                anchors,
                f"{count} anchors with {points} key points at {size}",
                keys,
                scores="sigmoid",
                background=False,
                labels=(label,),
                rule=BLAZE,
                score=0.5,
                iou=0.3,
            ),
        )


def _ultraface(size: Size) -> Iterator[tuple[int, KnownAnchors]]:
    sizes = [[10.0, 16.0, 24.0], [32.0, 48.0], [64.0, 96.0], [128.0, 192.0, 256.0]]
    steps = (8, 16, 32, 64)
    cells = [-(-size.width // step) * -(-size.height // step) for step in steps]
    count = sum(area * len(each) for area, each in zip(cells, sizes, strict=True))
    anchors = {
        "kind": "sizes",
        "min_sizes": sizes,
        "feature_maps": [[-(-size.width // step), -(-size.height // step)] for step in steps],
        "clip": "sizes",
    }
    yield (
        count,
        KnownAnchors(
            "UltraFace",
            anchors,
            f"{count} anchors are UltraFace's at {size}",
            {"box": "xywh", "box_scales": [10.0, 10.0, 5.0, 5.0]},
            certain=False,
            background=True,
            labels=("background", "face"),
            rule=_ULTRA,
            score=0.6,
            iou=0.4,
        ),
    )
