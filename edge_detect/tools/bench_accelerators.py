"""How fast each model is on each accelerator, and whether it finds there what the CPU finds.

All that can run a model is opened at the same time and takes turns in short rounds, so that a
machine which speeds up or slows down meanwhile does so for all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge_detect.core import NS_PER_MS, AcceleratorError, ConfigError, EdgeDetectError, Image
from edge_detect.models import CatalogueEntry, find_model, model_names
from edge_detect.models.accelerator import Accelerator, parse_accelerator
from edge_detect.models.edge_tpu import EDGE_TPU_LIBRARY, ask_library, choose_devices
from edge_detect.models.options import LoadOptions
from edge_detect.tools.agreement import Agreement, compare
from edge_detect.tools.bench import StageFigures
from edge_detect.tools.contender import Contender, Device, TooSlowError
from edge_detect.tools.convert.calibration import read_pictures

__all__ = ["AcceleratorReport", "find_devices", "measure_accelerators", "present_models"]

_ROUNDS = 10
# Of the clip's frames, each so many-th is compared.
_EVERY = 8


@dataclass(frozen=True, slots=True)
class AcceleratorReport:
    """One model on one accelerator.

    Attributes:
        model: Its name.
        accelerator: `cpu`, `gpu`, `edgetpu:usb:0` and so on; `edgetpu` where there is none.
        runtime: Runtime and version; empty if nothing ran.
        threads: Of the interpreter; 0 if nothing ran.
        open_ms: From the wish to a model that can infer; for an accelerator this includes the
            start of its helper process.
        first_invoke_ms: The first inference, which brings the model to the device; None where
            the helper does not tell it: then it is part of `open_ms`.
        invoke_ms: The inferences afterwards, as the device took them.
        round_trip_ms: The same, as the program waits for them.
        helper_ms: Median of the differences of the two: what the helper process costs.
        agreement: With the CPU's detections; None for the CPU, and where that did not run.
        reason: Why there are no figures; empty if there are.
        hint: What to do about it; empty if nothing is known.
    """

    model: str
    accelerator: str
    runtime: str = ""
    threads: int = 0
    open_ms: float | None = None
    first_invoke_ms: float | None = None
    invoke_ms: StageFigures | None = None
    round_trip_ms: StageFigures | None = None
    helper_ms: float | None = None
    agreement: Agreement | None = None
    reason: str = ""
    hint: str = ""

    @property
    def agreed(self) -> float | None:
        """Share of both sides' boxes that have a partner on the other side, 0 to 1."""
        found = self.agreement
        if found is None:
            return None
        boxes = found.n_reference + found.n_candidate
        return 2 * found.recall * found.n_reference / boxes if boxes else 1.0

    def as_json(self) -> dict[str, Any]:
        """As plain types, with the keys named after the attributes."""
        return asdict(self) | {"agreed": self.agreed}


def present_models() -> list[str]:
    """The models of the catalogue whose file is here, or that of their twin for Edge TPUs.

    Twins are not counted themselves; a model whose manifest cannot be read is.
    """
    names, float_twins = [], set()
    for name in model_names():
        try:
            entry = find_model(name)
            float_twins.add(entry.spec.float_twin.removesuffix(".tflite"))
            twin = entry.spec.edgetpu.removesuffix(".tflite")
            here = entry.present or (bool(twin) and find_model(twin).present)
        except EdgeDetectError:
            here = True
        else:
            here = here and not entry.spec.cpu_twin
        if here:
            names.append(name)
    return [name for name in names if name not in float_twins]


def find_devices(accelerators: Iterable[str], library: str | None = None) -> list[Device]:
    """What is to be measured, the CPU first.

    Args:
        accelerators: `cpu`, `gpu`, `edgetpu` (`edgetpu:usb`, `edgetpu:0` …) or `all`.
        library: Of Edge TPUs.

    Raises:
        ConfigError: A name is unknown.
    """
    found = {"cpu": Device("cpu")}
    for text in accelerators:
        wanted = [Accelerator("gpu"), Accelerator("edgetpu")]
        if text != "all":
            wanted = [parse_accelerator(text)]
        for each in wanted:
            if each.kind == "auto":
                raise ConfigError("'auto' is no accelerator of its own", "use all, or name some")
            devices = _edge_tpus(each, library) if each.kind == "edgetpu" else [Device(each.kind)]
            found |= {device.name: device for device in devices}
    return list(found.values())


def measure_accelerators(
    models: Iterable[str],
    devices: Iterable[Device],
    clip: Path,
    options: LoadOptions,
    *,
    frames: int = 300,
    open_s: float = 60.0,
) -> Iterator[AcceleratorReport]:
    """Measure models on all that can run them, model after model.

    What is not there or does not work is a report with the reason. Nothing waits for ever: a
    device has `open_s` for a model and its first inference, and `options.deadline_s` for each
    later one. One that took longer than `open_s` is left out from then on.

    Args:
        models: Names or paths.
        devices: From `find_devices`.
        clip: A video; detections in some of its frames are compared.
        options: How models are loaded; its `library` is that of a GPU where no Edge TPU is
            among the devices.
        frames: Inferences of each.
        open_s: See above.
    """
    images = list(read_pictures([clip], every=_EVERY))
    known = list(devices)
    primed = False
    for model in models:
        try:
            entry = find_model(model)
        except EdgeDetectError as error:
            yield from (_failure(model, device, error) for device in known)
            continue
        if not primed:
            # The first of all would pay for importing the runtime.
            with suppress(EdgeDetectError):
                Contender(entry, Device("cpu"), options, images[0], open_s).close()
                primed = True
        yield from _measure_model(entry, known, images, options, frames, open_s)


def _measure_model(
    entry: CatalogueEntry,
    devices: list[Device],
    images: Sequence[Image],
    options: LoadOptions,
    frames: int,
    open_s: float,
) -> Iterator[AcceleratorReport]:
    """Reports of one model, one a device; a device that is to be left out later is replaced."""
    contenders: dict[Device, Contender] = {}
    failures: dict[Device, EdgeDetectError] = {}
    agreements: dict[Device, Agreement] = {}
    wanted = tuple(devices)
    for_tpu = any(device.name.startswith("edgetpu") for device in wanted)
    try:
        for index, device in enumerate(wanted):
            library = None if device.name == "gpu" and for_tpu else options.library
            said = replace(options, library=library)
            try:
                contenders[device] = Contender(entry, device, said, images[0], open_s)
            except EdgeDetectError as error:
                failures[device] = error
                if isinstance(error, TooSlowError):
                    why = AcceleratorError(f"left out: {error.message} with {entry.name}")
                    devices[index] = replace(device, absence=why)
        _take_turns(contenders, failures, max(1, frames // _ROUNDS))
        on_cpu, *others = wanted
        for device in others:
            if not failures.keys() & {on_cpu, device}:
                with _noting(failures, device):
                    agreements[device] = compare(
                        contenders[on_cpu].detector, contenders[device].detector, images
                    )
    finally:
        for contender in contenders.values():
            contender.close()
    for device in wanted:
        if device in failures:
            yield _failure(entry.name, device, failures[device])
        else:
            yield _report(entry.name, contenders[device], agreements.get(device))


def _take_turns(
    contenders: dict[Device, Contender], failures: dict[Device, EdgeDetectError], per_round: int
) -> None:
    for number in range(_ROUNDS + 1):
        for device, contender in contenders.items():
            if device not in failures:
                with _noting(failures, device):
                    # The first round warms caches, pools and the processor's clock.
                    contender.infer(per_round, keep=number > 0)


@contextmanager
def _noting(failures: dict[Device, EdgeDetectError], device: Device) -> Iterator[None]:
    """Take a device out when it fails."""
    try:
        yield
    except AcceleratorError as error:
        failures[device] = error


def _report(model: str, contender: Contender, agreement: Agreement | None) -> AcceleratorReport:
    invoke_ns, round_trip_ns = contender.invoke_ns, contender.round_trip_ns
    helper_ns = [trip - invoke for trip, invoke in zip(round_trip_ns, invoke_ns, strict=True)]
    first_ns = contender.first_ns
    return AcceleratorReport(
        model=model,
        accelerator=contender.device.name,
        runtime=contender.runtime,
        threads=contender.threads,
        open_ms=contender.open_ns / NS_PER_MS,
        first_invoke_ms=None if first_ns is None else first_ns / NS_PER_MS,
        invoke_ms=StageFigures.of(invoke_ns),
        round_trip_ms=StageFigures.of(round_trip_ns),
        helper_ms=StageFigures.of(helper_ns).median,
        agreement=agreement,
    )


def _failure(model: str, device: Device, error: EdgeDetectError) -> AcceleratorReport:
    return AcceleratorReport(model, device.name, reason=error.message, hint=error.hint)


def _edge_tpus(wanted: Accelerator, library: str | None) -> list[Device]:
    """Those that are there, or one that tells why there are none."""
    try:
        names = choose_devices(wanted, ask_library(library or EDGE_TPU_LIBRARY).devices)
    except AcceleratorError as error:
        return [Device(str(wanted), absence=error)]
    return [Device(f"edgetpu:{name}") for name in names]
