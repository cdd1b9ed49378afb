"""Loads one damaged model after another, in a process that one of them may end.

It is started as `python -P -m support.mutation_worker FOLDER`, reads orders from standard input,
one JSON object a line, and answers each with one line of JSON:

    {"model": "models_tflite/yolov3-tiny-coco.tflite", "seed": 7, "vouched": true}
    {"outcome": "refused", "type": "ModelError", "message": "…", "hint": "…"}

With `vouched`, the manifest has the damaged file's checksum: the product then goes without the
trial that it gives to files of unknown origin.
"""

import hashlib
import json
import os
import re
import sys
import traceback
from pathlib import Path

import numpy as np

from edge_detect.core import EdgeDetectError
from edge_detect.models import load_model
from support.echo_models import MANIFEST, MODELS
from support.mutations import mutate

# What vouches for the file, and what leads to other files.
_LEFT_OUT = re.compile(r"^(sha256|git_blob|cpu_twin|edgetpu|float_twin) = .*\n", re.MULTILINE)


def manifest_of(model):
    """The manifest of a bundled model or of one of the tests', without checksums and twins."""
    beside = model.with_suffix(".toml")
    if beside.exists():
        return _LEFT_OUT.sub("", beside.read_text(encoding="utf-8"))
    assert model.parent == MODELS
    text = MANIFEST.format(
        name=model.stem, sha256="", resize="letterbox", color="rgb", top="", origin=""
    )
    return _LEFT_OUT.sub("", text)


def try_model(folder, model, seed, *, vouched):
    """Damage a model, load what is left and detect in one picture; returns the answer."""
    content, said = mutate(model.read_bytes(), seed)
    path = folder / model.name
    path.write_bytes(content)
    text = manifest_of(model)
    if vouched:
        text = f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n{text}'
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    picture = np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)
    answer = {"said": said}
    try:
        with load_model(path, accelerator="cpu", threads=1) as detector:
            found = detector(picture)
        return answer | {"outcome": "result", "count": len(found.scores)}
    except EdgeDetectError as error:
        kind = type(error).__name__
        told = {"type": kind, "message": error.message, "hint": error.hint}
        return answer | {"outcome": "refused"} | told
    except Exception:  # noqa: BLE001 - the parent counts it as a defect
        return answer | {"outcome": "defect", "message": traceback.format_exc()}


def main(folder):
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        answer = try_model(
            Path(folder), Path(order["model"]), order["seed"], vouched=order["vouched"]
        )
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
