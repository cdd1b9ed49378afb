"""How one detection is written as JSON: the same keys wherever one is."""

from typing import Any

from edge_detect.core.detections import Detection

__all__ = ["detection_fields"]


def detection_fields(found: Detection, *, digits: int) -> dict[str, Any]:
    """The keys and values of one detection.

    Args:
        found: What was found; `mid` and `keypoints` are left out where the model has none.
        digits: Decimals of the box and the key points, in pixels; scores have four.
    """
    points = [[round(x, digits), round(y, digits)] for x, y in found.keypoints]
    return {
        "label": found.label,
        **({"mid": found.mid} if found.mid else {}),
        "class_id": found.class_id,
        "score": round(found.score, 4),
        "box": [round(edge, digits) for edge in found.box],
        **({"keypoints": points} if points else {}),
    }
