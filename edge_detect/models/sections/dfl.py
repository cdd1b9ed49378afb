"""The section `[dfl]` of a manifest: distances to the four sides of a box as distributions."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from edge_detect.models.sections.base import Section

__all__ = ["DflLevel", "DflOutputs", "DflSpec"]

DflOutputs = dict[Literal["joined", "boxes", "classes"], str]


class DflLevel(Section):
    """One grid.

    Attributes:
        stride: Input pixels per cell.
        outputs: Tensor names: `joined` (rows, columns, 4 x bins + classes), or `boxes`
            (rows, columns, 4 x bins) and `classes` (rows, columns, classes); the cells may
            be one dimension. Empty where `outputs` of the section holds all levels.
    """

    stride: PositiveInt
    outputs: DflOutputs = Field(default_factory=dict)


class DflSpec(Section):
    """What the outputs of a model with distribution focal loss mean.

    A distance is the mean of a softmax over `bins` logits, in strides, to the left, top,
    right and bottom side.

    Attributes:
        levels: One entry per grid, in the order of the cells where one output holds all.
        outputs: Tensor names, as those of a level, of outputs that hold the cells of all levels.
        layout: `rows` where the values of a cell lie together (1 x rows x columns x values,
            1 x cells x values), `columns` where those of all cells do (1 x values x cells).
        bins: Logits per side: 16 in YOLOv8, 8 in NanoDet and PicoDet; 1: the distance itself.
        centre: Where in its cell, from 0 to 1, distances begin: 0.5 in YOLOv8 and PicoDet, 0
            in NanoDet-Plus.
        scores: What class scores are: `sigmoid` logits or `probability` already.
        joined: Order inside of joined outputs: `boxes-classes` (YOLOv8) or `classes-boxes`
            (NanoDet).

    Reference:
        Li et al., "Generalized Focal Loss", 2020, sec. 3.2.
    """

    levels: Annotated[list[DflLevel], Field(min_length=1)]
    outputs: DflOutputs = Field(default_factory=dict)
    layout: Literal["rows", "columns"] = "rows"
    bins: PositiveInt = 16
    centre: Annotated[float, Field(ge=0, le=1)] = 0.5
    scores: Literal["sigmoid", "probability"] = "sigmoid"
    joined: Literal["boxes-classes", "classes-boxes"] = "boxes-classes"

    @model_validator(mode="after")
    def _outputs_fit(self) -> "DflSpec":
        if self.outputs and any(level.outputs for level in self.levels):
            raise ValueError("outputs stand in the section or in its levels, not in both")
        for outputs in [self.outputs] if self.outputs else [level.outputs for level in self.levels]:
            if set(outputs) not in ({"joined"}, {"boxes", "classes"}):
                raise ValueError("outputs must name 'joined' alone, or 'boxes' and 'classes'")
        return self
