"""What the outputs of a network mean, for measuring what quantization does to them."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_detect.models.sections.decoded import DecodedSpec
from edge_detect.models.sections.dfl import DflSpec
from edge_detect.models.sections.ssd import SsdSpec
from edge_detect.models.sections.yolo import YoloSpec

__all__ = ["OutputHead", "logit_outputs", "output_heads"]

_Floats = NDArray[np.float32]
_ONES = np.ones(2, np.float32)


@dataclass(frozen=True)
class OutputHead:
    """The outputs of one grid, or of all, and what they mean.

    Attributes:
        boxes: Name of the box output.
        scores: Names of the outputs whose probabilities make the score when multiplied; none
            where one output holds boxes and scores (`decoded`).
        kind: Coding of the boxes: that of `YoloSpec`; those of most SSDs are `linear`. `sizes`:
            as they are, without an exponential (BlazeFace). `distances` to the four sides
            (`DflSpec`). `decoded`: the graph has decoded them.
        centre: Factors that take both centre values to units of the anchor's size, of shape
            (2,) or (anchors, 2).
        size: (2,) factors that both size values have before the exponential.
        bins: Of `distances`.
        wide: Whether key points may follow the four numbers of a box.
        decoded: How `decoded` boxes are laid out.
        activated: Whether the graph has applied the logistic function, or the softmax, already.
        softmax: Whether the last scores are shares of one.
    """

    boxes: str
    scores: tuple[str, ...]
    kind: str
    centre: _Floats = field(default_factory=_ONES.copy)
    size: _Floats = field(default_factory=_ONES.copy)
    bins: int = 1
    wide: bool = False
    decoded: DecodedSpec | None = None
    activated: bool = False
    softmax: bool = False

    @property
    def is_raw(self) -> bool:
        """Whether the box output holds raw values of each anchor."""
        return self.kind not in ("decoded", "distances")


def output_heads(manifest: dict[str, Any]) -> list[OutputHead]:
    """What the outputs of a network mean, from its manifest.

    Returns:
        One per grid; empty for outputs that no error is defined for: FOMO's, joined raw heads,
        SSDs with another coding than that of the Object Detection API or of BlazeFace, boxes after
        suppression.
    """
    family, head = manifest["family"], manifest.get("head", "raw")
    if family == "ssd" and head == "raw":
        return _ssd_heads(SsdSpec.model_validate(manifest["ssd"]))
    if family == "yolo" and head == "split":
        return _yolo_heads(YoloSpec.model_validate(manifest["yolo"]))
    if family == "dfl":
        return _dfl_heads(DflSpec.model_validate(manifest["dfl"]))
    if family == "decoded":
        return _decoded_heads(DecodedSpec.model_validate(manifest["decoded"]))
    return []


def logit_outputs(manifest: dict[str, Any]) -> list[str]:
    """Names of the outputs that hold logits of independent scores and nothing else.

    A softmax compares logits with each other, however far they are from 0.
    """
    family, head = manifest["family"], manifest.get("head", "raw")
    if family == "ssd" and head == "raw":
        ssd = SsdSpec.model_validate(manifest["ssd"])
        return ssd.names_of("scores") if ssd.scores == "sigmoid" else []
    if family == "dfl":
        dfl = DflSpec.model_validate(manifest["dfl"])
        every = [dfl.outputs, *(level.outputs for level in dfl.levels)]
        return [each["classes"] for each in every if "classes" in each and dfl.scores == "sigmoid"]
    if family == "yolo":
        yolo = YoloSpec.model_validate(manifest["yolo"])
        kinds = ("objectness",) if yolo.classes == "softmax" else ("objectness", "classes")
        named = [] if yolo.activated else [head.outputs for head in yolo.heads]
        return [name for each in named for kind, name in each.items() if kind in kinds]
    return []


def _ssd_heads(ssd: SsdSpec) -> list[OutputHead]:
    if ssd.coding not in ("centre", "linear"):
        return []
    kind = "linear" if ssd.coding == "centre" else "sizes"
    # Unless told otherwise, all that the tensors hold are key points.
    wide = ssd.keypoints != 0 and not ssd.names_of("keypoints")
    y, x, height, width = ssd.box_scales
    swapped = ssd.box == "xywh"
    centre = np.asarray(1 / np.array((x, y) if swapped else (y, x)), np.float32)
    size = np.asarray(1 / np.array((width, height) if swapped else (height, width)), np.float32)
    activated, softmax = ssd.scores == "probability", ssd.scores == "softmax"
    return [
        OutputHead(
            boxes, (scores,), kind, centre, size, wide=wide, activated=activated, softmax=softmax
        )
        for boxes, scores in zip(ssd.names_of("boxes"), ssd.names_of("scores"), strict=True)
    ]


def _yolo_heads(yolo: YoloSpec) -> list[OutputHead]:
    scores: tuple[Literal["objectness", "classes"], ...] = ("objectness", "classes")
    if yolo.classes == "none":
        scores = ("objectness",)
    return [
        OutputHead(
            head.outputs["boxes"],
            tuple(head.outputs[key] for key in scores),
            yolo.coding,
            np.asarray(head.stride * yolo.stretch(head) / np.array(yolo.anchors(head)), np.float32),
            activated=yolo.activated,
            softmax=yolo.classes == "softmax",
        )
        for head in yolo.heads
    ]


def _dfl_heads(dfl: DflSpec) -> list[OutputHead]:
    every = [dfl.outputs] if dfl.outputs else [level.outputs for level in dfl.levels]
    if dfl.layout != "rows" or any("joined" in outputs for outputs in every):
        return []
    activated = dfl.scores == "probability"
    return [
        OutputHead(
            outputs["boxes"], (outputs["classes"],), "distances", bins=dfl.bins, activated=activated
        )
        for outputs in every
    ]


def _decoded_heads(spec: DecodedSpec) -> list[OutputHead]:
    if spec.classes != "scores":
        return []
    activated, softmax = spec.scores == "probability", spec.scores == "softmax"
    scores = tuple(spec.outputs[key] for key in ("objectness", "scores") if key in spec.outputs)
    boxes = spec.outputs["joined"] if "joined" in spec.outputs else spec.outputs["boxes"]
    return [
        OutputHead(boxes, scores, "decoded", decoded=spec, activated=activated, softmax=softmax)
    ]
