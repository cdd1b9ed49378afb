"""`edge-detect tune`: measure how models run best on this board, and write it down."""

import argparse
import json
import sys

from edge_detect.core import EdgeDetectError
from edge_detect.core.resources import tuning_path
from edge_detect.models import bundled_models
from edge_detect.models.options import LoadOptions, find_with_options
from edge_detect.models.tuned import check_writable, this_board, write_tuning
from edge_detect.tools.tune import Candidate, TuneReport, measure_tuning

__all__ = ["tune"]

_BUSY_CORES = 0.5
# As sysexits.h says it: a temporary failure.
_BUSY = 75


def tune(arguments: argparse.Namespace) -> int:
    """Measure the models that are named, or all that are bundled."""
    entries = [
        find_with_options(name, LoadOptions())[0] for name in arguments.model or []
    ] or bundled_models()
    path = None if arguments.dry_run else tuning_path()
    if path is not None:
        check_writable(path)
    status, written = 0, False
    if not arguments.json:
        print(this_board(), flush=True)
    for entry in entries:
        try:
            report = measure_tuning(entry)
        except EdgeDetectError as error:
            # Of a model that is too slow here, nothing is said of the others.
            print(f"edge-detect: {error}", file=sys.stderr)
            status = error.exit_code
            continue
        busy = report.busy_cores > _BUSY_CORES and not arguments.force
        if path is not None and not busy:
            # One by one: what was found stays if the next is interrupted.
            write_tuning(path, entry, report.runtime, report.tuning)
            written = True
        if busy:
            print(
                f"edge-detect: {report.model}: other programs kept {report.busy_cores:.1f} cores "
                "busy meanwhile, which favours few threads: nothing is written\n"
                "  hint: stop them and tune again",
                file=sys.stderr,
            )
            status = status or _BUSY
        if arguments.json:
            print(json.dumps(report.as_json() | {"file": path and str(path)}), flush=True)
        else:
            print(_table(report), flush=True)
    if written and not arguments.json:
        print(f"written to {path}; models that are loaded from now on take it")
    return status


def _table(report: TuneReport) -> str:
    lines = [f"{report.model}  {report.runtime}, {report.rounds} rounds"]
    lines += [_line(report, candidate) for candidate in report.candidates]
    if report.cores:
        cores = ", ".join(map(str, report.cores))
        lines.append(f"  `cores = [{cores}]` in the configuration keeps it to these cores")
    return "\n".join(lines)


def _line(report: TuneReport, candidate: Candidate) -> str:
    words = f"{candidate.threads} thread{'s' * (candidate.threads > 1)}"
    if candidate.cores:
        words += f" on {', '.join(map(str, candidate.cores))} alone"
    taken = (candidate.threads, candidate.cores) == (report.threads, report.cores)
    figures = f"{candidate.median_ms:>10.2f} ms  x {candidate.gain:.2f}"
    return f"  {words:<24}{figures}{'  taken' if taken else ''}"
