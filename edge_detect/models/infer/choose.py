"""Which family a model is of: the first whose rule fits fills the manifest in."""

from collections.abc import Callable
from pathlib import Path

from edge_detect.core import ModelError
from edge_detect.models.infer.common import unique_names
from edge_detect.models.infer.decoded import (
    infer_detr,
    infer_end_to_end,
    infer_indexed,
    infer_joined,
    infer_split,
)
from edge_detect.models.infer.dfl import infer_dfl, infer_flat_dfl, infer_nanodet
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence, gather
from edge_detect.models.infer.fomo import infer_fomo
from edge_detect.models.infer.inference import Inference
from edge_detect.models.infer.measure import with_size
from edge_detect.models.infer.overrides import Overrides
from edge_detect.models.infer.refusals import check_input, check_task, refuse_rest
from edge_detect.models.infer.ssd import infer_postprocess, infer_raw
from edge_detect.models.infer.yolo import infer_grids, infer_raw_yolox

__all__ = ["infer", "infer_from"]

_Rule = Callable[[Evidence], Draft | None]

# In the order in which they are tried: those that are told apart most surely come first.
_RULES: tuple[tuple[_Rule, tuple[str, ...]], ...] = (
    (infer_postprocess, ("ssd",)),
    (infer_raw, ("ssd",)),
    (infer_end_to_end, ("end2end",)),
    (infer_nanodet, ("nanodet",)),
    (infer_flat_dfl, ("dfl",)),
    (infer_raw_yolox, ("yolox-raw",)),
    (infer_joined, ("yolov8", "yolov7", "yolov5", "yolox")),
    (infer_indexed, ("indexed",)),
    (infer_split, ("yolov8",)),
    (infer_detr, ("detr",)),
    (infer_dfl, ("yolov8", "dfl", "nanodet")),
    (infer_fomo, ("fomo",)),
    (infer_grids, ("yolov3", "yolov4", "yolov5", "yolov7")),
)


def infer(path: Path, overrides: Overrides = Overrides()) -> Inference:  # noqa: B008 - frozen
    """Find out what a model file is.

    Args:
        path: Of the file.
        overrides: What the user says.

    Raises:
        ModelError: It is no detector, is of no known kind, or lacks what only a manifest can
            say; names what it is and what to do.
    """
    return infer_from(gather(path, overrides)).finish()


def infer_from(evidence: Evidence) -> Draft:
    """The manifest in the making, from what is known.

    Raises:
        ModelError: As `infer`.
    """
    check_input(evidence)
    check_task(evidence)
    evidence.graph = with_size(evidence.graph, evidence.size)
    if not unique_names(evidence.outputs):
        raise ModelError(
            f"{evidence.path}: outputs without names of their own",
            "convert the model again with named outputs",
        )
    wanted = evidence.overrides.family
    for rule, kinds in _RULES:
        if wanted and wanted not in kinds:
            continue
        draft = rule(evidence)
        if draft is not None:
            return draft
    raise refuse_rest(evidence)
