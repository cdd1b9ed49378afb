"""Compare what two machines found in one picture: python compare.py REFERENCE.json OTHER.json.

Quantized layers are rounded a little differently by the machine code for each processor: a
score may differ by some of its steps (about 0.02), and a box by some pixels.
"""

import json
import sys
from pathlib import Path
from typing import Any

_SCORE_TOLERANCE = 0.08
_LEAST_OVERLAP = 0.85


def main(reference: Path, other: Path) -> int:
    """Print what was compared; the exit status is 1 if they differ."""
    expected, found = (_detections(path) for path in (reference, other))
    sys.stdout.write(f"{len(expected)} boxes here, {len(found)} there\n")
    if not expected or len(expected) != len(found):
        return 1
    different = 0
    for each in expected:
        match = max(found, key=lambda one: _overlap(each["box"], one["box"]))
        overlap = _overlap(each["box"], match["box"])
        difference = abs(each["score"] - match["score"])
        sys.stdout.write(
            f"{each['label']}  score {each['score']:.3f} and {match['score']:.3f}  "
            f"overlap {overlap:.3f}\n"
        )
        if (
            each["label"] != match["label"]
            or overlap < _LEAST_OVERLAP
            or difference > _SCORE_TOLERANCE
        ):
            different += 1
    return int(different > 0)


def _detections(path: Path) -> list[dict[str, Any]]:
    detections: list[dict[str, Any]] = json.loads(path.read_text())["detections"]
    return detections


def _overlap(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
