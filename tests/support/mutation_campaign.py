"""Many damaged models in processes that they may end, and what became of each.

python -m support.mutation_campaign --count 5000 --first 0 > outcomes.jsonl
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic

from support.echo_models import MODELS

ROOT = MODELS.parent.parent
# One damaged model; a trial may take a minute before it counts as hanging.
_LIMIT_S = 90.0


def all_models():
    """The bundled models and the tests' own."""
    return sorted((ROOT / "models_tflite").glob("*.tflite")) + sorted(MODELS.glob("*.tflite"))


class Worker:
    """A process of `mutation_worker`, started again whenever a model has ended it.

    Args:
        folder: For damaged models.
        log: Where what the runtime prints goes; nowhere by default.
        limit_s: For one model.
    """

    def __init__(self, folder, log=subprocess.DEVNULL, limit_s=_LIMIT_S):
        self._folder, self._log, self._limit_s = folder, log, limit_s
        self._process = None

    def ask(self, model, seed, *, vouched):
        """What became of one damaged model, as `mutation_worker` answers it.

        Besides its outcomes there are `signal` and `hang`: it ended the process, or had to be.
        """
        if self._process is None:
            self._process = self._start()
        order = json.dumps({"model": str(model), "seed": seed, "vouched": vouched})
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        begin_s = monotonic()
        came = select.select([self._process.stdout], [], [], self._limit_s)[0]
        line = self._process.stdout.readline() if came else ""
        told = {"model": model.name, "seed": seed, "took_s": round(monotonic() - begin_s, 3)}
        if line:
            return told | json.loads(line)
        if not came:
            self.close()
            return told | {"outcome": "hang"}
        status = self._process.wait(10)
        self.close()
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        return told | {"outcome": "signal", "message": name}

    def _start(self):
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "support.mutation_worker", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ
            | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "XDG_CACHE_HOME": str(self._folder)},
            cwd=ROOT,
        )

    def close(self):
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run_campaign(folder, models, seeds, *, vouched=True, limit_s=_LIMIT_S):
    """Yield the outcome of each seed; models take turns."""
    with Worker(folder, limit_s=limit_s) as worker:
        for seed in seeds:
            yield worker.ask(models[seed % len(models)], seed, vouched=vouched)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--unvouched", action="store_true")
    parser.add_argument("--models", nargs="*", type=Path, default=None)
    parser.add_argument("--seeds", nargs="*", type=int, default=None)
    given = parser.parse_args()
    seeds = given.seeds or range(given.first, given.first + given.count)
    until_s, counts = monotonic() + given.seconds, Counter()
    with tempfile.TemporaryDirectory() as folder:
        models = given.models or all_models()
        for told in run_campaign(Path(folder), models, seeds, vouched=not given.unvouched):
            counts[told["outcome"]] += 1
            sys.stdout.write(json.dumps(told) + "\n")
            if monotonic() > until_s:
                break
    sys.stderr.write(f"{dict(counts)}\n")


if __name__ == "__main__":
    main()
