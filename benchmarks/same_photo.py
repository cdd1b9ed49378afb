"""One picture through every bundled model, side by side, for docs/models.jpg.

    python benchmarks/same_photo.py [PICTURE] [--frame N] [--model NAME …] [--out FILE]

By default a frame of the bundled clip (origin and licence: demo/README.md), and every model whose
file is here, but for models compiled for an Edge TPU. The time is the median of ten inferences
with one thread.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from edge_detect.core import NS_PER_MS, EdgeDetectError, Image, bundled_path
from edge_detect.models import CatalogueEntry, list_models, load_model
from edge_detect.models.tensors import override
from edge_detect.render import Overlay
from edge_detect.render.text import Lettering
from edge_detect.tools.convert.calibration import read_pictures

_FRAME = 120
_RUNS = 10
_BACKGROUND = (32, 32, 32)
_GAP = 8


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    options = _parse(words)
    try:
        image = _read(options.picture, options.frame)
        height = round(image.shape[0] * options.width / image.shape[1])
        image = cv2.resize(image, (options.width, height), interpolation=cv2.INTER_AREA)
        names = options.model or [entry.name for entry in list_models() if _shown(entry)]
        tiles = [_tile(name, image, options.score) for name in names]
    except EdgeDetectError as error:
        print(f"{error.message}\n  hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    if not cv2.imwrite(str(options.out), _grid(tiles, options.columns)):
        print(f"{options.out} cannot be written", file=sys.stderr)
        return 1
    return 0


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    clip = next(iter(sorted(bundled_path("demo").glob("*.mp4"))))
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("picture", type=Path, nargs="?", default=clip, help="photo or video")
    parser.add_argument(
        "--frame", type=int, default=_FRAME, help="of a video (default: %(default)s)"
    )
    parser.add_argument("--model", nargs="+", help="names or paths (default: all that are here)")
    parser.add_argument("--score", type=float, help="minimum score (default: each model's)")
    parser.add_argument("--width", type=int, default=640, help="of a tile (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=2, help="of the grid (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/models.jpg"))
    return parser.parse_args(words)  # fmt: skip


def _read(path: Path, frame: int) -> Image:
    pictures = iter(read_pictures([path], every=max(1, frame), most=None))
    image = next(pictures)
    # Of a video come its first frame and then every so many-th one; a photo comes alone.
    return next(pictures, image) if frame else image


def _shown(entry: CatalogueEntry) -> bool:
    return entry.present and not entry.spec.cpu_twin


def _tile(name: str, image: Image, score: float | None) -> Image:
    """The picture with what one model finds, under a line that says which and how fast."""
    with load_model(name, accelerator="cpu", threads=1) as detector:
        thresholds = override(detector.thresholds, score)
        buffer = detector.new_buffer()
        detector.prepare(image, buffer)
        runs = [detector.run(buffer, thresholds) for _ in range(_RUNS + 1)][1:]
        found = runs[0][0]
        drawn = image.copy()
        Overlay(detector.labels).draw(drawn, found)
        size = detector.input_size
        milliseconds = median(timings.invoke_ns for _, timings in runs) / NS_PER_MS
        title = f"{detector.name}   {size.width}x{size.height}   {milliseconds:.1f} ms"
    height = max(18, image.shape[1] // 36)
    line = Lettering(height).render(title, _BACKGROUND)[:, : image.shape[1]]
    bar = np.full((line.shape[0], *image.shape[1:]), _BACKGROUND, np.uint8)
    bar[:, : line.shape[1]] = line
    return np.vstack([bar, drawn])


def _grid(tiles: Sequence[Image], columns: int) -> Image:
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    grid = np.full(shape, _BACKGROUND, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        y, x = row * (height + _GAP), column * (width + _GAP)
        grid[y : y + height, x : x + width] = tile
    return grid


if __name__ == "__main__":
    sys.exit(main())
