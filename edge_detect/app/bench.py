"""`edge-detect bench`: the figures of this machine, as a table or as JSON."""

import argparse
import json
from pathlib import Path

from edge_detect.core import bundled_path
from edge_detect.tools.bench import BenchReport, measure, scaled_clip

__all__ = ["bench"]

_MODELS = ("yolov3-tiny-coco", "ssdlite-mobilenet-v2-pedestrian")


def bench(arguments: argparse.Namespace) -> int:
    """Measure one model, or both bundled ones."""
    source = Path(arguments.source) if arguments.source else scaled_clip(_demo_clip())
    for model in [arguments.model] if arguments.model else _MODELS:
        report = measure(
            model,
            source,
            threads=arguments.threads,
            runtime=arguments.runtime,
            frames=arguments.frames,
        )
        print(json.dumps(report.as_json()) if arguments.json else _table(report), flush=True)
    return 0


def _demo_clip() -> Path:
    return min(bundled_path("demo").glob("*.mp4"))


def _table(report: BenchReport) -> str:
    threads = f"{report.threads} thread{'s' if report.threads > 1 else ''}"
    lines = [
        f"{report.model}  {report.runtime}, {threads}, {report.machine}",
        f"{'ms':<14}{'n':>8}{'median':>10}{'p95':>10}{'p99':>10}",
    ]
    lines += [
        f"{name:<14}{s.n:>8}{s.median:>10.3f}{s.p95:>10.3f}{s.p99:>10.3f}"
        for name, s in report.stages_ms.items()
    ]
    lines += [
        f"bare invoke() loop   {report.bare_fps:8.1f} fps",
        f"whole pipeline       {report.end_to_end_fps:8.1f} fps   ratio {report.ratio:.3f}",
        (
            f"memory {report.rss_mb:.0f} MB; heap growth {report.heap_growth_kb:.0f} kB over "
            f"{report.heap_frames} frames; at most {report.allocated_kb_per_frame:.1f} kB "
            "allocated per frame"
        ),
        "",
    ]
    return "\n".join(lines)
