"""Post-processing, from raw tensors to detections, side by side with what people use today.

    python benchmarks/postprocess.py [--rounds N] [--peer PYTHON] [--json]

Tensors are those of the busiest frame of the demo clip, and made up ones of an SSD with 1917
anchors and 91 classes. In every round each contender runs once, in turn, so that all see the same
machine. Then the worst cases of suppression are measured against the overlaps of all pairs of
their ten thousand candidates; the exit status is 1 where one takes twice the time that it should.
Tensors of bundled models are those of the busiest frame of the demo clip; those of other families
are made up (`families.py`). In every round each contender runs once, in turn, so that all see the
same machine. `--peer` adds `edgefirst-decoder`, a decoder in Rust, on the same YOLOv8 tensor:

    python -m venv /tmp/peer && /tmp/peer/bin/pip install edgefirst-decoder==0.38.0
    python benchmarks/postprocess.py --peer /tmp/peer/bin/python

Then the worst cases of suppression are measured against the overlaps of all pairs of their ten
thousand candidates; the exit status is 1 where one takes twice the time that it should.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import av
import numpy as np
from baseline import decode_with_numpy
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from families import PEER_CASE, THRESHOLDS, Case, make_cases, peer_decoder
from support import references
from support.suppression import ARRANGEMENTS, arrangement, run_suppress, settings_for

from edge_detect.core import Image, Letterbox, Size, bundled_path
from edge_detect.kernels.overlap import iou_matrix
from edge_detect.models import Thresholds, find_model, load_model
from edge_detect.models.anchors import anchor_boxes
from edge_detect.models.constants import read_constant
from edge_detect.models.decoders import make_decoder
from edge_detect.models.runtime import open_session
from edge_detect.models.sections.anchors import BoxAnchors
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import TensorInfo

YOLO = "yolov3-tiny-coco"
SSD = "ssdlite-mobilenet-v2-pedestrian"
# With 90 classes; the same network is here with suppression in the graph.
COCO_SSD = "ssd-mobilenet-v2-coco"
OURS = "edge-detect"
THRESHOLD = 0.25
CANDIDATES = 10_000
# How many times as long as suppression the overlaps of all pairs of candidates take, at least.
# Half of it is no proof of a fault where other programs are busy.
BAR, TOLERANCE = 8.0, 0.5


def clip_frames(step: int = 5) -> Iterator[Image]:
    """Every `step`-th frame of the demo clip."""
    for path in sorted(bundled_path("demo").glob("*.mp4")):
        with av.open(path) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % step == 0:
                    yield frame.to_ndarray(format="bgr24")


def percentiles(durations_ns: list[int]) -> dict[str, float]:
    """n, least, median, p95 and p99, in microseconds."""
    median, p95, p99 = np.percentile(durations_ns, [50, 95, 99]) / 1e3
    return {
        "n": len(durations_ns),
        "least_us": round(min(durations_ns) / 1e3, 2),
        "median_us": round(median, 2),
        "p95_us": round(p95, 2),
        "p99_us": round(p99, 2),
    }


def take_turns(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[int]]:
    """Durations of each contender; a tenth of the rounds warms up.

    They run in turn, forth and back, as whoever follows another finds other things in the cache.
    """
    durations: dict[str, list[int]] = {name: [] for name in contenders}
    for turn in range(-(rounds // 10), rounds):
        turns = list(contenders.items())
        for name, contender in turns if turn % 2 else reversed(turns):
            started = perf_counter_ns()
            contender()
            taken = perf_counter_ns() - started
            if turn >= 0:
                durations[name].append(taken)
    return durations


def busiest(model: str) -> tuple[Image, int]:
    """The frame of the demo clip in which the model finds most, and how many."""
    with load_model(model, score_threshold=THRESHOLD) as detector:
        return max(
            ((image, len(detector(image))) for image in clip_frames()), key=lambda found: found[1]
        )


def compare_decoders(model: str, rounds: int) -> dict[str, Any]:
    """Our decoder against NumPy and OpenCV on one frame's real tensors."""
    image, count = busiest(model)
    entry = find_model(model)
    spec = entry.spec
    session = open_session(entry.path, threads=1)
    infos = dict(session.outputs)
    session.close()
    with load_model(model, threads=1) as detector:
        detector(image)
        outputs = detector.outputs()
    height, width = image.shape[:2]
    letterbox = Letterbox.fit(
        Size(width, height), spec.input.frame_size, keep_aspect=spec.input.resize == "letterbox"
    )
    thresholds = Thresholds(THRESHOLD, spec.nms.iou_threshold, spec.nms.max_detections)
    decoder = make_decoder(spec, infos, partial(read_constant, entry.path))
    result = race(
        model,
        lambda: decoder.decode(outputs, letterbox, thresholds),
        lambda: decode_with_numpy(spec, infos, outputs, letterbox, thresholds),
        rounds,
    )
    if result["detections"] != count:
        raise SystemExit(f"{model}: {count} detections became {result['detections']}")
    return result


def race(
    name: str, ours: Callable[[], Any], peer: Callable[[], Any], rounds: int
) -> dict[str, Any]:
    """Durations of both, and how many detections they find."""
    durations = take_turns({"edge-detect": ours, "numpy + NMSBoxes": peer}, rounds)
    result: dict[str, Any] = {
        "model": name,
        "detections": len(ours()),
        "peer_detections": len(peer()[1]),
    }
    result |= {name: percentiles(taken) for name, taken in durations.items()}
    least = {name: min(taken) for name, taken in durations.items()}
    result["ratio"] = round(
        result["numpy + NMSBoxes"]["median_us"] / result["edge-detect"]["median_us"], 1
    )
    result["ratio_of_least"] = round(least["numpy + NMSBoxes"] / least["edge-detect"], 1)
    return result


def wide_ssd(scores: str) -> tuple[ModelSpec, dict[str, TensorInfo], dict[str, NDArray[Any]]]:
    """An SSD with 1917 anchors, 90 classes and a background, and one frame's tensors.

    Twelve objects, each seen by six anchors that follow each other; elsewhere the background is
    sure. Boxes and scores are quantized as those of Google's SSD MobileNet v2.
    """
    random = np.random.default_rng(11)
    anchors = BoxAnchors(
        feature_maps=[(side, side) for side in (19, 10, 5, 3, 2, 1)],
        min_scale=0.2,
        max_scale=0.95,
        aspect_ratios=[1, 2, 0.5, 3, 0.3333],
    )
    spec = references.ssd_manifest(
        labels=90, size=300, anchors=anchors, scores=scores, background="first", label_offset=-1,
        nms={"iou_threshold": 0.6},
    )  # fmt: skip
    scale, zero_point, sure, object_low, noise = {
        "probability": (1 / 256, 0, 250, 90, 6),
        "sigmoid": (0.1, 160, 200, 160, 100),
        "softmax": (0.1, 128, 200, 205, 100),
    }[scores]
    elements = random.integers(0, noise, (1917, 91))
    elements[:, 0] = sure
    boxes = random.normal(179, 8, (1917, 4)).round()
    y, x, h, w = anchor_boxes(anchors, spec.input.frame_size).T
    for start in random.choice(1900, 12, replace=False):
        rows, column = slice(start, start + 6), random.integers(1, 91)
        elements[rows, column] = random.integers(object_low, object_low + 50, 6)
        elements[rows, 0] = object_low // 2
        # All six see the box of the first one's anchor, and miss it by a step or two.
        offsets = 10 * (y[start] - y[rows]) / h[rows], 10 * (x[start] - x[rows]) / w[rows]
        sizes = 5 * np.log(h[start] / h[rows]), 5 * np.log(w[start] / w[rows])
        coded = np.stack([*offsets, *sizes], 1) / 0.0913397 + 179
        boxes[rows] = coded.round() + random.integers(-2, 3, (6, 4))
    outputs = {
        "boxes": boxes[None].clip(0, 255).astype(np.uint8),
        "scores": elements[None].astype(np.uint8),
    }
    quantization = {"boxes": (0.0913397, 179), "scores": (scale, zero_point)}
    infos = {
        name: TensorInfo(name, 0, array.shape, array.dtype, *quantization[name])
        for name, array in outputs.items()
    }
    return spec, infos, outputs


def measure_wide_ssd(scores: str, rounds: int) -> dict[str, Any]:
    """Our decoder against NumPy and OpenCV on 1917 x 91 scores."""
    spec, infos, outputs = wide_ssd(scores)
    letterbox = Letterbox.fit(Size(1280, 720), Size(300, 300), keep_aspect=False)
    thresholds = Thresholds(THRESHOLD, spec.nms.iou_threshold, spec.nms.max_detections)
    decoder = make_decoder(spec, infos)
    return race(
        f"SSD 1917 x 91 uint8, {scores}, background",
        lambda: decoder.decode(outputs, letterbox, thresholds),
        lambda: decode_with_numpy(spec, infos, outputs, letterbox, thresholds),
        rounds,
    )


def compare_families(rounds: int, peer: str | None) -> list[dict[str, Any]]:
    """Our decoders against NumPy and OpenCV, and a peer, on tensors that are made up."""
    return [compare_family(case, rounds, peer) for case in make_cases()]


def compare_family(case: Case, rounds: int, peer: str | None) -> dict[str, Any]:
    """Our decoder against NumPy and OpenCV, and a peer if it can read the tensor."""
    letterbox = references.plain(case.spec.input.size[0])
    decoder = make_decoder(case.spec, case.infos)
    contenders: dict[str, Callable[[], Any]] = {
        OURS: lambda: decoder.decode(case.outputs, letterbox, THRESHOLDS),
        "numpy + NMSBoxes": lambda: decode_with_numpy(
            case.spec, case.infos, case.outputs, letterbox, THRESHOLDS
        ),
    }
    if peer and case.name == PEER_CASE:
        contenders["edgefirst-decoder"] = peer_decoder(peer, case)
    durations = take_turns(contenders, rounds)
    counts = {name: len(contender()[1]) for name, contender in contenders.items() if name != OURS}
    result: dict[str, Any] = {"model": case.name, "detections": len(contenders[OURS]())}
    result["peer_detections"] = ", ".join(str(count) for count in counts.values())
    return result | {name: percentiles(taken) for name, taken in durations.items()}


def measure_in_graph(rounds: int) -> dict[str, dict[str, float]]:
    """From input to detections with suppression in the graph, and with ours behind it.

    The operator in the graph cannot be timed alone, so both are timed with their `invoke()`.
    """
    image, _ = busiest(COCO_SSD)
    with (
        load_model(COCO_SSD, threads=1, accelerator="cpu") as raw,
        load_model(f"{COCO_SSD}-postprocess", threads=1) as whole,
    ):
        buffer = raw.new_buffer()
        raw.prepare(image, buffer)
        durations = take_turns(
            {
                "invoke, then edge-detect": lambda: raw.run(buffer),
                "invoke with TFLite_Detection_PostProcess": lambda: whole.run(buffer),
            },
            rounds,
        )
    return {name: percentiles(taken) for name, taken in durations.items()}


def measure_suppression(rounds: int) -> dict[str, float]:
    """How many times as long as suppression the overlaps of all pairs take, by worst case.

    Greedy suppression may keep all candidates; soft-NMS keeps a hundred, as every model asks for.
    A tenth of the overlaps is measured: it takes about as long as the slowest suppression, so that
    other programs interrupt both as often.
    """
    random = np.random.default_rng(5)
    scores = random.uniform(0.3, 1, CANDIDATES).astype(np.float32)
    class_ids = np.zeros(CANDIDATES, np.int32)
    some = arrangement("scattered", 1000, random)
    matrix = np.empty((1000, 1000), np.float32)

    def tenth_of_overlaps() -> None:
        for _ in range(10):
            iou_matrix(some, some, matrix)

    cases = [("greedy", iou) for iou in (0.0, 0.45, 0.99, 1.0)]
    cases += [("diou", iou) for _, iou in cases] + [("soft", 0.5)]
    ratios = {}
    for method, iou in cases:
        room = 100 if method == "soft" else CANDIDATES
        values = settings_for(references.plain(416), score=0.25, iou=iou, method=method)
        for name in ARRANGEMENTS:
            boxes = arrangement(name, CANDIDATES, random)
            taken = take_turns(
                {
                    "overlaps": tenth_of_overlaps,
                    "suppression": lambda boxes=boxes, values=values, room=room: run_suppress(
                        boxes, scores, class_ids, values, room
                    ),
                },
                rounds,
            )
            overlaps, suppression = (float(np.median(each)) for each in taken.values())
            ratios[f"{method} {iou:g}, {name}"] = round(10 * overlaps / suppression, 1)
    return ratios


def as_text(results: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    lines = [
        f"{platform.machine()}, Python {platform.python_version()}, threshold {THRESHOLD}",
        "",
        "| model | contender | n | least µs | median | p95 | p99 | times ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        ours = result["edge-detect"]["median_us"]
        for name, row in result.items():
            if isinstance(row, dict):
                numbers = " | ".join(
                    f"{row[key]:g}" for key in ("n", "least_us", "median_us", "p95_us", "p99_us")
                )
                ratio = row["median_us"] / ours
                lines.append(f"| {result['model']} | {name} | {numbers} | {ratio:.1f} |")
        lines.append(
            f"| {result['model']} | detections: {result['detections']},"
            f" of the peer: {result['peer_detections']} | | | | | | |"
        )
    return "\n".join(lines)


def as_rows(ratios: dict[str, float]) -> str:
    """A Markdown table, the slowest case first."""
    lines = [
        "",
        f"| {CANDIDATES} candidates | time of all overlaps / suppression (bar: {BAR:g}) |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {ratio:g} |" for name, ratio in sorted(ratios.items(), key=by_ratio)]
    return "\n".join(lines)


def by_ratio(row: tuple[str, float]) -> float:
    """What rows are sorted by."""
    return row[1]


def main() -> int:
    """Run the comparison and print it; the exit status is 1 where suppression is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--peer", metavar="PYTHON", help="environment with edgefirst-decoder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    results = [compare_decoders(model, arguments.rounds) for model in (YOLO, SSD, COCO_SSD)]
    results[-1] |= measure_in_graph(arguments.rounds)
    results += [
        measure_wide_ssd(scores, arguments.rounds)
        for scores in ("probability", "sigmoid", "softmax")
    ]
    results += compare_families(arguments.rounds, arguments.peer)
    ratios = measure_suppression(max(10, arguments.rounds // 100))
    if arguments.json:
        print(json.dumps([*results, {"suppression": ratios}], indent=2))
    else:
        print(as_text(results), as_rows(ratios), sep="\n")
    return int(min(ratios.values()) < BAR * TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
