"""`edge-detect latency`: how old the picture is that a viewer sees."""

import argparse
import json

from edge_detect.core import Percentiles
from edge_detect.tools.latency import LatencyFigures, measure_latency

__all__ = ["latency"]

_TITLES = {
    "capture_to_detect": "capture → detected",
    "capture_to_render": "capture → drawn",
    "capture_to_encode": "capture → encoded",
    "encode_to_client": "encoded → client",
}


def latency(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure_latency(
        size=arguments.size,
        fps=arguments.fps,
        model=arguments.model,
        threads=arguments.threads,
        runtime=arguments.runtime,
        seconds=arguments.duration,
        warmup_s=arguments.warmup,
        client=arguments.client,
    )
    print(json.dumps(figures.as_json()) if arguments.json else _table(figures))
    return 0


def _table(figures: LatencyFigures) -> str:
    threads = f"{figures.threads} thread{'s' if figures.threads > 1 else ''}"
    rate = f"{figures.fps:.2f} pictures a second at the client ({figures.client})"
    lines = [
        f"{figures.size} over RTSP on this computer, {figures.model} running meanwhile ({threads})",
        f"{rate}, {figures.pictures} in {figures.seconds:.0f} s",
        "",
        f"{'milliseconds':<24}{'n':>8}{'p50':>9}{'p95':>9}{'p99':>9}",
    ]
    lines += [_row(title, figures.stages_ms[name]) for name, title in _TITLES.items()]
    lines.append(_row("capture → client", figures.end_to_end_ms))
    if figures.unreadable:
        lines += ["", f"{figures.unreadable} pictures showed no clock that could be read"]
    return "\n".join(lines)


def _row(title: str, figures: Percentiles) -> str:
    return f"{title:<24}{figures.n:>8}{figures.p50:>9.1f}{figures.p95:>9.1f}{figures.p99:>9.1f}"
