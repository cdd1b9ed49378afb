"""FOMO: a grid with the probabilities of a few classes."""

from edge_detect.models.infer.common import fill_labels, fill_nms, fill_scores, scores_are
from edge_detect.models.infer.draft import Draft
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.inference import Source
from edge_detect.models.infer.inputs import FOMO, fill_input
from edge_detect.models.infer.levels import Level, levels_of

__all__ = ["holds_fomo_logits", "infer_fomo"]

_FOMO_STRIDES = (8, 16, 4)
_MOST_FOMO_CLASSES = 32


def holds_fomo_logits(evidence: Evidence) -> bool:
    """Whether the output has the shape of a FOMO, but quantized logits instead of probabilities."""
    grids = levels_of(evidence)
    if grids is None or len(grids) != 1 or not _plausible(evidence, grids[0]):
        return False
    return scores_are(evidence, grids[0].tensor)[0] == "logits"


def _plausible(evidence: Evidence, grid: Level) -> bool:
    """Whether a grid has the stride and the number of classes of a FOMO."""
    told = evidence.told_classes(grid.channels - 1, grid.channels // 3 - 5)
    return (
        grid.layout == "rows"
        and grid.stride in _FOMO_STRIDES
        and 2 <= grid.channels <= _MOST_FOMO_CLASSES
        and (grid.channels % 3 > 0 or told in (None, grid.channels - 1))
    )


def infer_fomo(evidence: Evidence) -> Draft | None:
    """A grid with the probabilities of a few classes."""
    grids = levels_of(evidence)
    if grids is None or len(grids) != 1:
        return None
    grid = grids[0]
    named = (evidence.edge_impulse.head if evidence.edge_impulse else "") == "fomo"
    asked = evidence.overrides.family == "fomo"
    kind, _, _ = scores_are(evidence, grid.tensor)
    if not (named or asked or (_plausible(evidence, grid) and kind != "logits")):
        return None
    source: Source = "edge impulse" if named else "tensors"
    fact = f"{grid.tensor}: a cell per {grid.stride} pixels, background and classes"
    draft = Draft(evidence, "fomo", "FOMO", source, fact)
    draft.set(".outputs.grid", grid.tensor.name, "tensors", fact)
    draft.set(".background", True, "rule", "as all of FOMO")
    fill_scores(draft, grid.tensor, "softmax", "probability")
    fill_labels(draft, grid.channels - 1)
    fill_input(draft, FOMO)
    fill_nms(draft, 0.5, 0.5)
    return draft
