"""The packages that run TFLite files: which one is taken, and what installs it."""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType

from edge_detect.core import ConfigError, DependencyError

__all__ = ["RUNTIMES", "import_runtime", "runtime_version", "version_of"]


@dataclass(slots=True, frozen=True)
class _Package:
    distribution: str
    module: str
    install: str


RUNTIMES: Mapping[str, _Package] = {
    "litert": _Package(
        "ai-edge-litert", "ai_edge_litert.interpreter", "pip install 'ai-edge-litert>=2.1'"
    ),
    "tflite-runtime": _Package(
        "tflite-runtime",
        "tflite_runtime.interpreter",
        "pip install 'tflite-runtime>=2.14' 'numpy<2'  (Python 3.11 only)",
    ),
}


def runtime_version(runtime: str | None = None) -> str:
    """Name and version of the runtime that a model would be opened with, e.g. `litert 2.3.0`.

    Args:
        runtime: As in `open_session`.

    Raises:
        DependencyError: No runtime is installed.
        ConfigError: The runtime's name is unknown.
    """
    return version_of(import_runtime(runtime)[0])


def version_of(name: str) -> str:
    """Name and version of a runtime that is installed."""
    return f"{name} {metadata.version(RUNTIMES[name].distribution)}"


def import_runtime(wanted: str | None) -> tuple[str, ModuleType]:
    """Name and interpreter module of a runtime.

    Args:
        wanted: As in `open_session`.

    Raises:
        DependencyError: It is not installed, or does not fit the others.
        ConfigError: The name is unknown.
    """
    wanted = wanted or os.environ.get("EDGE_DETECT_RUNTIME") or None
    if wanted is not None and wanted not in RUNTIMES:
        raise ConfigError(f"unknown runtime {wanted!r}", f"use one of {', '.join(RUNTIMES)}")
    missing: ImportError | None = None
    for name in [wanted] if wanted else RUNTIMES:
        try:
            return name, importlib.import_module(RUNTIMES[name].module)
        except ImportError as error:
            # A runtime that is there but broken says more than one that is simply absent.
            if missing is None or isinstance(missing, ModuleNotFoundError):
                missing = error
    package = RUNTIMES[wanted or "litert"]
    if missing is None or isinstance(missing, ModuleNotFoundError):
        fact = f"{package.distribution} is not installed"
    else:
        fact = f"{package.distribution} cannot be imported: {missing}"
    raise DependencyError(fact, f"install it: {package.install}") from missing
