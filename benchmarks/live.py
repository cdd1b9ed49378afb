"""How fresh and how steady a live pipeline is while its detector does not keep up.

    python benchmarks/live.py [--seconds S] [--json]

A camera of 60 frames a second is read with a detector that takes a tenth of a second, once by one
pipeline and once by four that share the detector, three of them at 8 frames a second. What the
tests say of order and bounds, these figures say in milliseconds.
"""

import argparse
import json
import platform
import time
from contextlib import ExitStack
from typing import Any

import edge_detect as ed
from edge_detect.core import Percentiles

MODEL = "ssdlite-mobilenet-v2-pedestrian"
SLOW_S = 0.1
DURATIONS = ("capture_to_detect", "capture_to_render", "boxes_age")


def as_row(figures: Percentiles) -> dict[str, float]:
    """n, median, p95 and p99, in milliseconds."""
    return {
        "n": figures.n,
        "median_ms": round(figures.p50, 2),
        "p95_ms": round(figures.p95, 2),
        "p99_ms": round(figures.p99, 2),
    }


def measure(rates: list[int], seconds: float) -> list[dict[str, Any]]:
    """Run one pipeline for each camera with one slow detector; a fifth of the time warms up.

    Args:
        rates: Frames per second of each camera.
        seconds: To be measured.
    """
    with ed.load_model(MODEL, threads=1) as detector, ExitStack() as stack:
        invoke = detector.lanes.engine.session.invoke

        def invoke_slowly() -> None:
            time.sleep(SLOW_S)
            invoke()

        detector.lanes.engine.session.invoke = invoke_slowly  # type: ignore[method-assign]
        pipelines = []
        for fps in rates:
            url = f"synthetic://?size=640x360&fps={fps}&realtime=true"
            pipeline = ed.Pipeline(url, model=detector, sinks=["null://?picture=true"])
            pipelines.append(stack.enter_context(pipeline))
            pipeline.start()
        time.sleep(seconds / 5)
        before = [pipeline.totals() for pipeline in pipelines]
        time.sleep(seconds)
        spans = [
            pipeline.totals().since(first)
            for pipeline, first in zip(pipelines, before, strict=True)
        ]
    results = []
    for fps, span in zip(rates, spans, strict=True):
        captured = span.frames["captured"] or 1
        result: dict[str, Any] = {"fps": fps}
        result |= {
            f"{name} share": round(span.frames[name] / captured, 3)
            for name in ("detected", "rendered")
        }
        result |= {name: as_row(span.durations[name].percentiles()) for name in DURATIONS}
        results.append(result)
    return results


def as_text(results: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    lines = [
        f"{platform.machine()}, Python {platform.python_version()}, detector {SLOW_S * 1e3:g} ms",
        "",
        "| cameras | fps | detected | rendered | figure | n | median ms | p95 | p99 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        head = " | ".join(
            f"{result[key]:g}" for key in ("cameras", "fps", "detected share", "rendered share")
        )
        for name in DURATIONS:
            numbers = " | ".join(f"{value:g}" for value in result[name].values())
            lines.append(f"| {head} | {name} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    results = [
        {"cameras": len(rates), **result}
        for rates in ([60], [8, 8, 8, 60])
        for result in measure(rates, arguments.seconds)
    ]
    print(json.dumps(results, indent=2) if arguments.json else as_text(results))


if __name__ == "__main__":
    main()
