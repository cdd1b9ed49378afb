"""What the user is told about how good a quantized model is."""

from collections.abc import Mapping
from typing import Any

from edge_detect.tools.agreement import Agreement

__all__ = ["agreement_figures", "agreement_lines", "lines_of_figures"]

_FEW_DETECTIONS = 20
_POOR_SHARE = 0.9
_POOR_IOU = 0.85
# Of few detections each weighs much: only what cannot be chance counts.
_BAD_SHARE = 0.6
_SPURIOUS = 3
_OTHER_PICTURES = "calibrate on pictures that show the model's classes"


def agreement_lines(found: Agreement, threshold: float, pictures: int, views: int = 0) -> list[str]:
    """The agreement of the INT8 model with the float one, and what to do where it is poor.

    Args:
        found: On the calibration pictures.
        threshold: Minimum score of the detections that were compared.
        pictures: How many there were.
        views: How many views of them (crops, mirrored, other light) besides.
    """
    seen = f"{pictures} pictures" + (f" and {views} views of them" if views else "")
    on = f"INT8 against float on {seen}, score >= {threshold:g}: "
    if found.n_reference == 0:
        lines = [
            f"{on}no detections in float ({found.n_candidate} in INT8): nothing to compare",
            f"  {_OTHER_PICTURES}",
        ]
    else:
        lines = [
            (
                f"{on}recall {found.recall:.3f}, precision {found.precision:.3f}, "
                f"IoU {found.mean_iou:.3f}, score difference {found.mean_score_difference:.3f} "
                f"({found.n_reference} detections in float, {found.n_candidate} in INT8)"
            )
        ]
        if found.n_reference < _FEW_DETECTIONS:
            lines.append(
                f"  only {found.n_reference} detections, too few to judge: {_OTHER_PICTURES}"
            )
    if _is_poor(found):
        lines.append(
            "  this is poor: try 8 to 30 other pictures, sharp and varied, like those that the "
            "camera will see; if that does not help, use the float model (--float)"
        )
    return lines


def _is_poor(found: Agreement) -> bool:
    if found.n_reference >= _FEW_DETECTIONS:
        return min(found.recall, found.precision) < _POOR_SHARE or found.mean_iou < _POOR_IOU
    spurious = found.n_candidate - found.precision * found.n_candidate
    missed = found.n_reference - found.recall * found.n_reference
    if not found.n_reference:
        return found.n_candidate >= _SPURIOUS
    share = min(found.recall, found.precision)
    return share < _BAD_SHARE and max(spurious, missed) >= _SPURIOUS


def agreement_figures(
    found: Agreement, threshold: float, pictures: int, views: int = 0
) -> dict[str, Any]:
    """The same for the manifest; `lines_of_figures` reads it."""
    return {
        "pictures": pictures,
        "views": views,
        "score_threshold": threshold,
        "recall": round(found.recall, 4),
        "precision": round(found.precision, 4),
        "mean_iou": round(found.mean_iou, 4),
        "mean_score_difference": round(found.mean_score_difference, 4),
        "detections_float": found.n_reference,
        "detections_int8": found.n_candidate,
    }


def lines_of_figures(figures: Mapping[str, Any]) -> list[str]:
    """`agreement_lines` of what `agreement_figures` gave."""
    found = Agreement(
        recall=figures["recall"],
        precision=figures["precision"],
        mean_iou=figures["mean_iou"],
        mean_score_difference=figures["mean_score_difference"],
        n_reference=figures["detections_float"],
        n_candidate=figures["detections_int8"],
    )
    views = figures.get("views", 0)
    return agreement_lines(found, figures["score_threshold"], figures["pictures"], views)
