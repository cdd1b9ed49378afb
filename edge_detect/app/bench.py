"""`edge-detect bench`: the figures of this machine, as a table or as JSON."""

import argparse
import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_detect.core import bundled_path
from edge_detect.models.default import CPU_DEFAULT
from edge_detect.models.options import LoadOptions, find_with_options
from edge_detect.tools.bench import BenchReport, StageFigures, measure, scaled_clip
from edge_detect.tools.bench_accelerators import (
    AcceleratorReport,
    find_devices,
    measure_accelerators,
    present_models,
)

__all__ = ["bench"]

_MODELS = (CPU_DEFAULT, "yolov3-tiny-coco")
_FRAMES, _FRAMES_EACH = 2200, 300
_NOTHING_MEASURED = 1
_WIDTH, _NAME_WIDTH = 100, 18


def bench(arguments: argparse.Namespace) -> int:
    """Measure one model, or the default one and yolov3-tiny-coco, or all that are here.

    Returns:
        0 if anything could be measured.
    """
    if arguments.accelerator:
        return _bench_accelerators(arguments)
    source = Path(arguments.source) if arguments.source else scaled_clip(_demo_clip())
    for model in _models(arguments.model):
        report = measure(
            model,
            source,
            threads=arguments.threads or 1,
            runtime=arguments.runtime,
            frames=arguments.frames or _FRAMES,
        )
        print(json.dumps(report.as_json()) if arguments.json else _table(report), flush=True)
    return 0


def _bench_accelerators(arguments: argparse.Namespace) -> int:
    """Measure models on accelerators, beside the CPU."""
    accelerators = [
        name.strip() for text in arguments.accelerator for name in text.split(",") if name.strip()
    ]
    models = _models(arguments.model)
    if arguments.model not in (None, "all"):
        # A word that is misspelt is an error; what cannot be measured is a line of the table.
        find_with_options(arguments.model, LoadOptions())
    reports = measure_accelerators(
        models,
        find_devices(accelerators, arguments.library),
        Path(arguments.source) if arguments.source else _demo_clip(),
        LoadOptions(
            library=arguments.library, threads=arguments.threads, runtime=arguments.runtime
        ),
        frames=arguments.frames or _FRAMES_EACH,
    )
    measured = 0
    for lines, report in _in_json(reports) if arguments.json else _in_a_table(reports):
        print(lines, flush=True)
        measured += report.invoke_ms is not None
    return 0 if measured else _NOTHING_MEASURED


def _models(wanted: str | None) -> Iterable[str]:
    if wanted == "all":
        return present_models()
    return [wanted] if wanted else _MODELS


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


def _in_json(
    reports: Iterable[AcceleratorReport],
) -> Iterator[tuple[str, AcceleratorReport]]:
    for report in reports:
        yield json.dumps(report.as_json()), report


def _in_a_table(
    reports: Iterable[AcceleratorReport],
) -> Iterator[tuple[str, AcceleratorReport]]:
    """The lines of each report, with the head of the table and the model before them."""
    above = f"{'':<36}{'inference':^18}{'as the program waits':^27}{'like the CPU':^16}".rstrip()
    columns = ("open", "first", "median", "p95", "median", "p95", "helper")
    head = f"{'ms':<18}{''.join(f'{column:>9}' for column in columns)}{'boxes':>8}{'score':>8}"
    model = ""
    told: set[str] = set()
    for report in reports:
        lines = [] if model else [above, head]
        if report.model != model:
            model = report.model
            threads = f"{report.threads} thread{'s' if report.threads > 1 else ''}"
            how = f"  {report.runtime}, {threads}" if report.runtime else ""
            lines.append(textwrap.shorten(model, _WIDTH - len(how), placeholder="…") + how)
        lines.append(_row(report, hinted=report.reason not in told))
        told.add(report.reason)
        yield "\n".join(lines), report


def _row(report: AcceleratorReport, *, hinted: bool) -> str:
    name = f"  {report.accelerator}".ljust(_NAME_WIDTH)
    invoke, whole, agreement = report.invoke_ms, report.round_trip_ms, report.agreement
    if invoke is None or whole is None:
        reason = f"{report.reason} ({report.hint})" if report.hint and hinted else report.reason
        return textwrap.fill(
            reason,
            _WIDTH,
            initial_indent=name,
            subsequent_indent=" " * _NAME_WIDTH,
            break_on_hyphens=False,
        )
    first = "-" if report.first_invoke_ms is None else f"{report.first_invoke_ms:.2f}"
    boxes = score = "-"
    if agreement is not None and report.agreed is not None:
        boxes, score = f"{report.agreed:.1%}", f"{agreement.mean_score_difference:.3f}"
    return (
        f"{name}{report.open_ms:>9.1f}{first:>9}{_pair(invoke)}{_pair(whole)}"
        f"{report.helper_ms:>9.2f}{boxes:>8}{score:>8}"
    )


def _pair(figures: StageFigures) -> str:
    return f"{figures.median:>9.2f}{figures.p95:>9.2f}"
