"""The section `[ssd]` of a manifest."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from edge_detect.models.sections.anchors import Anchors
from edge_detect.models.sections.base import Section

__all__ = ["SsdOutput", "SsdSpec"]

SsdOutput = Literal["boxes", "scores", "keypoints", "classes", "count"]
_Names = str | Annotated[list[str], Field(min_length=1)]


def _background(given: Any) -> Any:
    """True and false stand for `first` and `none`."""
    return {True: "first", False: "none"}[given] if isinstance(given, bool) else given


class SsdSpec(Section):
    """What an SSD's outputs mean.

    Raw heads may be one tensor each, or one per feature map: then `outputs` hold lists of
    names, in the order of the anchors.

    Attributes:
        outputs: Tensor names. `raw`: `boxes`, `scores`, and `keypoints` where they are tensors of
            their own. `postprocess`: `boxes`, `classes`, `scores`, and `count` where there is one.
        anchors: Needed by raw heads; how they come about.
        box: Order of the four numbers of a box, and of the two of a key point: `yxhw` or `xywh`.
            With corners or distances: which axis comes first.
        coding: What these numbers are, in units of the anchor's size: `centre`, offsets of the
            centre and logarithms of the size; `linear`, offsets of the centre and the size
            itself (BlazeFace); `corners`, offsets of both corners; `distances`, from the
            anchor's centre to the four sides (anchor-free heads, SCRFD).
        box_scales: Divisors of the numbers for y, x, height, width, whatever their order; the
            inverse of "variances".
        keypoints: Key points per anchor; by default all that the tensors hold. They follow the
            four numbers of a box, or stand in `outputs.keypoints`.
        scores: What raw scores are: `sigmoid` or `softmax` logits, or `probability` already.
        background: Which raw score is the background: `none`, `first` (or true) or `last`.
        label_offset: Added to the model's class number to get the index into the labels. Raw
            scores are numbered from 0, the background included.
    """

    outputs: dict[SsdOutput, _Names]
    anchors: Anchors | None = None
    box: Literal["yxhw", "xywh"] = "yxhw"
    coding: Literal["centre", "linear", "corners", "distances"] = "centre"
    box_scales: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (10, 10, 5, 5)
    keypoints: Annotated[int, Field(ge=0)] | None = None
    scores: Literal["sigmoid", "softmax", "probability"] = "sigmoid"
    background: Annotated[Literal["none", "first", "last"], BeforeValidator(_background)] = "none"
    label_offset: int = 0

    @model_validator(mode="after")
    def _outputs_fit(self) -> "SsdSpec":
        counts = {key: len(self.names_of(key)) for key in ("boxes", "scores", "keypoints")}
        given = {key: count for key, count in counts.items() if count}
        if len(set(given.values())) > 1:
            numbers = ", ".join(f"{count} of {key}" for key, count in given.items())
            raise ValueError(f"outputs do not fit: {numbers}")
        return self

    def names_of(self, key: SsdOutput) -> list[str]:
        """Names of the tensors of one output; none if there is no such output."""
        given = self.outputs.get(key, [])
        return [given] if isinstance(given, str) else given

    def objects_of(self, columns: int) -> tuple[int, int]:
        """The first of some score columns that is an object, and the one after the last."""
        return int(self.background == "first"), columns - int(self.background == "last")
