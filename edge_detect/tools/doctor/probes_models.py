"""What is asked in processes of their own about runtimes and models."""

import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edge_detect.core import DependencyError, EdgeDetectError
from edge_detect.models import load_model
from edge_detect.models.catalogue import bundled_models, find_model
from edge_detect.models.runtime import RUNTIMES, open_session

__all__ = ["inference", "runtime"]

_RUNS = 3


def runtime(name: str) -> dict[str, Any]:
    """Load a bundled model by one runtime, which shows whether it fits numpy."""
    try:
        import_module(RUNTIMES[name].module)
    except ModuleNotFoundError as error:
        if error.name == RUNTIMES[name].module.partition(".")[0]:
            return {"missing": True}
        raise DependencyError(
            f"{RUNTIMES[name].distribution} needs {error.name}", RUNTIMES[name].install
        ) from error
    bundled = bundled_models()
    if not bundled:
        raise DependencyError("no model is here to try it with", "edge-detect models list")
    with open_session(bundled[0].path, threads=1, runtime=name) as session:
        session.invoke()
        return {"version": session.runtime, "numpy": np.__version__}


def inference(name: str, warm: str) -> dict[str, Any]:
    """Time one model on a grey picture, in milliseconds.

    Args:
        name: Of the model.
        warm: `warm` if all kernels are compiled: then with everything around the inference.
    """
    entry = find_model(name)
    if warm != "warm":
        shape = entry.spec.input.tensor_shape
        with open_session(Path(entry.path), input_shape=shape) as session:
            return {"ms": _median_ms(session.invoke), "threads": session.threads}
    detector = load_model(name)
    grey = np.full((480, 640, 3), 114, np.uint8)
    try:
        return {"ms": _median_ms(lambda: detector(grey)), "threads": detector.threads}
    except (ValueError, RuntimeError) as error:
        raise EdgeDetectError(f"the inference failed: {error}") from error


def _median_ms(work: Any) -> float:
    times = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times)[_RUNS // 2]
