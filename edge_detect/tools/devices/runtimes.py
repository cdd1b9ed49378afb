"""LiteRT, tflite-runtime, and what they carry."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path
from threading import Event
from typing import Any

from edge_detect.core import EdgeDetectError
from edge_detect.models.helper.wire import Order
from edge_detect.models.runtime import RUNTIMES
from edge_detect.tools.devices.judgement import Judgement, State
from edge_detect.tools.devices.trial import smallest_model, try_model

__all__ = ["Runtime", "find_gpu_library", "judge_together", "look_at_runtime"]


@dataclass(slots=True, frozen=True)
class Runtime:
    """A package that runs models.

    Attributes:
        name: `litert` or `tflite-runtime`.
        version: None if it is not installed.
        judgement: Whether it runs a model.
    """

    name: str
    version: str | None
    judgement: Judgement

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return self.judgement.as_json() | {"name": self.name, "version": self.version}


def look_at_runtime(name: str, give_up: Event) -> Runtime:
    """Look whether one is installed, and have it run the smallest bundled model on the CPU.

    Args:
        name: `litert` or `tflite-runtime`.
        give_up: Ends the wait when it is set.
    """
    package = RUNTIMES[name]
    try:
        version = metadata.version(package.distribution)
    except metadata.PackageNotFoundError:
        return Runtime(name, None, Judgement(State.NONE, "not installed"))
    model = smallest_model()
    if model is None:
        judgement = Judgement(State.WARN, f"{version}; no model is here to try it with")
        return Runtime(name, version, judgement)
    try:
        try_model(Order(str(model), "cpu", runtime=name, threads=1), give_up)
    except EdgeDetectError as error:
        judgement = Judgement(State.FAIL, f"{version}: {error.message}", error.hint)
    else:
        judgement = Judgement(State.OK, f"{version} runs {model.stem} on the CPU")
    return Runtime(name, version, judgement)


def judge_together(runtimes: Iterable[Runtime]) -> list[Runtime]:
    """One of them is needed: where all are missing, the first one's absence is a fault."""
    first, *others = runtimes
    if first.judgement.state is State.NONE and not any(each.version for each in others):
        hint = RUNTIMES[first.name].install
        first = replace(first, judgement=Judgement(State.FAIL, first.judgement.fact, hint))
    return [first, *others]


def find_gpu_library() -> Path | None:
    """LiteRT's library for GPUs (WebGPU, on top of Vulkan); None if it carries none."""
    found = util.find_spec("ai_edge_litert")
    folders = (found.submodule_search_locations if found else None) or []
    files = (file for folder in folders for file in Path(folder).glob("libLiteRtWebGpu*.so"))
    return min(files, default=None)
