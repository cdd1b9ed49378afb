"""How long it takes to look up what `edge-detect tune` found, which every start of a model does.

    python benchmarks/tuned_lookup.py [--rounds N]

The bar is a millisecond; the exit status is 1 where the median of the lookups is five times that.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from edge_detect.models import find_model
from edge_detect.models.runtime import open_session
from edge_detect.models.tuned import Tuning, find_tuning, write_tuning

MODEL = "ssdlite-mobilenet-v2-pedestrian"
BAR_US, TOLERANCE = 1000.0, 5.0


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=500, help="default: %(default)s")
    arguments = parser.parse_args()
    entry = find_model(MODEL)
    with open_session(entry.path, threads=1) as session:
        runtime = session.runtime
    durations_us = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tuned.json"
        os.environ["EDGE_DETECT_TUNED"] = str(path)
        write_tuning(path, entry, runtime, Tuning(1))
        for number in range(-arguments.rounds // 10, arguments.rounds):
            began_ns = perf_counter_ns()
            found = find_tuning(entry)
            if number >= 0:
                durations_us.append((perf_counter_ns() - began_ns) / 1000)
    if found != Tuning(1):
        raise SystemExit("what was written was not found")
    median, p95, p99 = np.percentile(durations_us, [50, 95, 99])
    print(
        f"lookup: n {len(durations_us)}, median {median:.0f} us, p95 {p95:.0f} us, "
        f"p99 {p99:.0f} us (bar: {BAR_US:g} us)"
    )
    return int(median > BAR_US * TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
