"""Everything that models can run on here, within a time that is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Generic, TypeVar

from edge_detect.core import AcceleratorError, EdgeDetectError
from edge_detect.models.edge_tpu import EDGE_TPU_LIBRARY
from edge_detect.models.runtime import RUNTIMES
from edge_detect.tools.devices.edge_tpus import (
    EdgeTpu,
    EdgeTpuLibrary,
    find_edge_tpus,
    hear_library,
    judge_library,
)
from edge_detect.tools.devices.gpus import Gpu, find_gpus, judge_trial, try_gpu
from edge_detect.tools.devices.judgement import Judgement, State
from edge_detect.tools.devices.processor import Processor, look_at_processor
from edge_detect.tools.devices.runtimes import (
    Runtime,
    find_gpu_library,
    judge_together,
    look_at_runtime,
)

__all__ = ["Devices", "survey"]

_T = TypeVar("_T")

# A helper that is given up looks up this often, and is then killed.
_LAST_LOOK_S = 1.0
_SLOW = "a device or driver that hangs (`dmesg` may tell more), or a slow board: try again"


@dataclass(slots=True, frozen=True)
class Devices:
    """What there is.

    Attributes:
        processor: The CPU.
        edge_tpus: Those that the kernel knows.
        library: What libedgetpu says.
        library_judgement: Whether it can be used.
        library_path: Where it was looked for.
        gpus: Those that the kernel knows.
        gpu_judgement: Whether `accelerator = "gpu"` works.
        gpu_library: LiteRT's own; None if it carries none.
        runtimes: What runs models.
    """

    processor: Processor
    edge_tpus: list[EdgeTpu]
    library: EdgeTpuLibrary
    library_judgement: Judgement
    library_path: str
    gpus: list[Gpu]
    gpu_judgement: Judgement
    gpu_library: Path | None
    runtimes: list[Runtime]

    @property
    def edge_tpu_names(self) -> list[str]:
        """What libedgetpu sees, by the names for `accelerator =`."""
        return [f"edgetpu:{name}" for name in self.library.devices]

    @property
    def accelerators(self) -> list[str]:
        """All names for `accelerator =` that work here."""
        cpu = any(runtime.judgement.usable for runtime in self.runtimes)
        tpus = self.edge_tpu_names if self.library_judgement.usable else []
        return ["cpu"] * cpu + tpus + ["gpu"] * self.gpu_judgement.usable

    def as_json(self) -> dict[str, Any]:
        """As plain data, with the same keys whatever there is."""
        return {
            "accelerators": self.accelerators,
            "cpu": self.processor.as_json(),
            "edge_tpus": {
                "accelerators": self.edge_tpu_names,
                "devices": [device.as_json() for device in self.edge_tpus],
                "library": self.library_judgement.as_json()
                | {"library": self.library_path, "version": self.library.version or None},
            },
            "gpus": self.gpu_judgement.as_json()
            | {
                "accelerator": "gpu",
                "devices": [gpu.as_json() for gpu in self.gpus],
                "library": None if self.gpu_library is None else str(self.gpu_library),
            },
            "runtimes": [runtime.as_json() for runtime in self.runtimes],
        }


def survey(
    library: str = EDGE_TPU_LIBRARY,
    *,
    root: Path = Path("/"),
    patience_s: float = 40.0,
    list_s: float = 20.0,
) -> Devices:
    """Look at everything at a time.

    Args:
        library: Name or path of libedgetpu.
        root: Where `sys`, `proc` and `dev` are.
        patience_s: Longest time for libraries to answer; those that do not are listed with that.
        list_s: The same for libedgetpu alone.
    """
    # What a library does to its process, and how long it takes, is nobody's business but its own.
    heard = _Question(lambda _: hear_library(library, timeout_s=list_s))
    tried = _Question(try_gpu)
    running = {name: _Question(_looker(name)) for name in RUNTIMES}
    until_s = monotonic() + patience_s
    late = AcceleratorError(f"no answer within {patience_s:g} s", _SLOW)
    gpus, edge_tpus = find_gpus(root), find_edge_tpus(root)
    said = heard.answer(until_s, EdgeTpuLibrary(problem=late.message, hint=late.hint))
    outcome: EdgeDetectError | str = tried.answer(until_s, late)
    hung = Judgement(State.FAIL, late.message, late.hint)
    return Devices(
        processor=look_at_processor(root),
        edge_tpus=edge_tpus,
        library=said,
        library_judgement=judge_library(said, edge_tpus, root),
        library_path=library,
        gpus=gpus,
        gpu_judgement=judge_trial(outcome, gpus),
        gpu_library=find_gpu_library(),
        runtimes=judge_together(
            question.answer(until_s, Runtime(name, None, hung))
            for name, question in running.items()
        ),
    )


def _looker(name: str) -> Callable[[Event], Runtime]:
    return lambda give_up: look_at_runtime(name, give_up)


class _Question(Generic[_T]):
    """Work in a thread of its own, which is left behind if it never ends."""

    def __init__(self, work: Callable[[Event], _T]) -> None:
        self._work = work
        self._give_up = Event()
        self._answers: list[_T] = []
        self._errors: list[BaseException] = []
        self._thread = Thread(target=self._run, name="edge-devices", daemon=True)
        self._thread.start()

    def answer(self, until_s: float, otherwise: _T) -> _T:
        """What it brought; something else if it takes longer than until a moment."""
        self._thread.join(max(0.0, until_s - monotonic()))
        if self._thread.is_alive():
            self._give_up.set()
            self._thread.join(_LAST_LOOK_S)
            return otherwise
        if self._errors:
            raise self._errors[0]
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._work(self._give_up))
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self._errors.append(error)
