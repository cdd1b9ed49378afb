"""Write the known detections anew: `python tests/golden/regenerate.py [MODEL …]`.

Run it with LiteRT after a model was made again, look at the boxes (`edge-detect detect
--save`), and commit the files together with the model.
"""

import json
import sys

from support.clip import RECORDED_SCORE, bundled_models, golden_path, read_frames

from edge_detect.models import load_model


def describe(found):
    """One row of plain numbers for each detection."""
    return [
        [item.class_id, round(item.score, 4), *(round(edge, 2) for edge in item.box)]
        for item in found
    ]


def main(models):
    """Write one file for each model."""
    images = read_frames()
    for model in models:
        with load_model(model, threads=1, score_threshold=RECORDED_SCORE) as detector:
            rows = {number: describe(detector(image)) for number, image in images.items()}
            runtime = detector.runtime
        lines = ",\n".join(
            f'    "{number}": [\n'
            + ",\n".join(f"      {json.dumps(row)}" for row in frame)
            + "\n    ]"
            for number, frame in rows.items()
        )
        golden_path(model).write_text(
            f'{{\n  "runtime": "{runtime}",\n'
            '  "columns": ["class_id", "score", "x_min", "y_min", "x_max", "y_max"],\n'
            f'  "frames": {{\n{lines}\n  }}\n}}\n',
            encoding="utf-8",
        )


if __name__ == "__main__":
    main(sys.argv[1:] or bundled_models())
