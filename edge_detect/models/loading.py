"""From a model and a wish to whatever runs it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Literal

from edge_detect.board.edge_tpu import find_pci_edge_tpus, find_usb_edge_tpus
from edge_detect.core import AcceleratorError, ModelError
from edge_detect.core.backoff import Backoff
from edge_detect.models.accelerator import Accelerator
from edge_detect.models.catalogue import CatalogueEntry, find_model
from edge_detect.models.checksum import check_content
from edge_detect.models.default import default_model
from edge_detect.models.edge_tpu import (
    EDGE_TPU_LIBRARY,
    ask_library,
    choose_devices,
    is_installed,
)
from edge_detect.models.engine import Engine
from edge_detect.models.helper.session import open_in_helper
from edge_detect.models.helper.wire import Order
from edge_detect.models.lanes import Lane, Lanes
from edge_detect.models.options import LoadOptions
from edge_detect.models.runtime import check_header, open_session
from edge_detect.models.trial import check_by_trial
from edge_detect.models.tuned import find_tuning

__all__ = ["Plan", "choose_default", "open_lanes", "plan_lanes"]

_log = logging.getLogger(__name__)

_DEADLINE_S = 2.0


@dataclass(slots=True, frozen=True)
class Plan:
    """Where a model is to run: the arguments of `Lanes`, and why it is not where it could."""

    lanes: Sequence[Lane]
    fallback: Lane | None = None
    absence: Literal["error", "again", "forgotten"] = "error"
    deadline_s: float = 0.0
    away: str = ""


def choose_default(options: LoadOptions) -> tuple[CatalogueEntry, Plan, str]:
    """The model for what there is to run it on, where it is to run, and why it is that one.

    Raises:
        AcceleratorError: There is no Edge TPU such as was asked for.
        ModelError: A file is missing, or is not what its manifest says.
    """
    wanted = options.accelerator or Accelerator()
    reason = f"accelerator {wanted}"
    if wanted.kind in ("auto", "edgetpu"):
        entry = find_model(default_model(edge_tpu=True))
        try:
            if wanted.kind == "auto":
                _expect_edge_tpu(options)
            return (
                entry,
                _plan_tpus(entry, options, wanted, _cpu_lane(entry, options)),
                ("an Edge TPU was found"),
            )
        except AcceleratorError as error:
            if wanted.kind == "edgetpu":
                raise
            reason = error.message
    entry = find_model(default_model(edge_tpu=False))
    return entry, plan_lanes(entry, options), reason


def _expect_edge_tpu(options: LoadOptions) -> None:
    """Spare computers without an Edge TPU the process that would ask its library.

    Raises:
        AcceleratorError: The library is not installed.
    """
    if not is_installed(options.library or EDGE_TPU_LIBRARY):
        if find_usb_edge_tpus() or find_pci_edge_tpus():
            raise AcceleratorError("an Edge TPU was found, but its library is missing")
        raise AcceleratorError("no Edge TPU was found")


def open_lanes(entry: CatalogueEntry, options: LoadOptions, plan: Plan | None = None) -> Lanes:
    """Open a model on what it is to run on.

    Args:
        entry: The model.
        options: How it is loaded.
        plan: Where it is to run, if that is known already.

    Raises:
        AcceleratorError: The accelerator that was asked for is missing or does not work.
        ModelError: A file is missing, or is not what its manifest says.
        DependencyError: No runtime is installed, or it does not fit the others.
    """
    plan = plan or plan_lanes(entry, options)
    lanes = Lanes(
        entry.name, plan.lanes, plan.fallback, absence=plan.absence, deadline_s=plan.deadline_s
    )
    lanes.away = lanes.away or plan.away
    return lanes


def plan_lanes(entry: CatalogueEntry, options: LoadOptions) -> Plan:
    """Find out where a model is to run, without opening it.

    Raises:
        AcceleratorError: There is no Edge TPU such as was asked for.
        ModelError: A file is missing, or is not what its manifest says.
    """
    wanted = options.accelerator or Accelerator()
    on_cpu = _cpu_lane(entry, options)
    if wanted.kind == "cpu":
        return Plan([on_cpu])
    if wanted.kind == "gpu":
        return _plan_gpu(entry, options, on_cpu)
    if not (entry.spec.edgetpu or entry.spec.cpu_twin):
        if wanted.kind == "auto":
            return Plan([on_cpu])
        raise ModelError(
            f"model {entry.name!r} is not compiled for an Edge TPU, and has no twin that is",
            "compile it with edgetpu_compiler, and name the result in its manifest: "
            'edgetpu = "NAME_edgetpu"',
        )
    try:
        return _plan_tpus(entry, options, wanted, on_cpu)
    except AcceleratorError as error:
        if wanted.kind == "edgetpu":
            raise
        _log.info("%s runs on the CPU: %s", entry.name, error.message)
        return Plan([on_cpu], away=error.message)


def _cpu_lane(entry: CatalogueEntry, options: LoadOptions) -> Lane:
    return Lane("cpu", lambda _: _open_on_cpu(_for_cpu(entry), options))


def _plan_gpu(entry: CatalogueEntry, options: LoadOptions, on_cpu: Lane) -> Plan:
    deadline_s = options.deadline_s or _DEADLINE_S
    for_gpu = _for_cpu(entry)
    if for_gpu.spec.float_twin:
        for_gpu = _twin(for_gpu, for_gpu.spec.float_twin)
    order = Order(
        str(for_gpu.path.resolve()),
        "gpu",
        options.runtime,
        options.threads,
        options.library or "",
        compiled=not options.library,
        input_shape=for_gpu.spec.input.tensor_shape,
    )
    on_gpu = Lane(
        "gpu",
        lambda give_up: _open_in_helper(for_gpu, order, options, deadline_s, give_up),
        _backoff(options),
    )
    return Plan([on_gpu], on_cpu, "forgotten", deadline_s)


def _plan_tpus(
    entry: CatalogueEntry, options: LoadOptions, wanted: Accelerator, on_cpu: Lane
) -> Plan:
    deadline_s = options.deadline_s or _DEADLINE_S
    for_tpu = _twin(entry, entry.spec.edgetpu) if entry.spec.edgetpu else entry
    library = options.library or EDGE_TPU_LIBRARY
    present = ask_library(library, timeout_s=options.limits.list_s)
    devices = choose_devices(wanted, present.devices)
    try:
        _check_file(for_tpu)
    except ModelError as error:
        if wanted.kind == "edgetpu":
            raise
        raise AcceleratorError(error.message, error.hint) from error
    fallback = on_cpu if _can_stand_in(for_tpu, entry) else None
    nodes = {device: present.paths[present.devices.index(device)] for device in devices}
    lanes = [
        Lane(
            f"edgetpu:{device}",
            _tpu_opener(for_tpu, device, nodes, library, options, deadline_s),
            _backoff(options),
        )
        for device in devices
    ]
    return Plan(lanes, fallback, "again" if wanted.kind == "auto" else "error", deadline_s)


def _tpu_opener(
    entry: CatalogueEntry,
    device: str,
    nodes: dict[str, str],
    library: str,
    options: LoadOptions,
    deadline_s: float,
) -> Callable[[Event], Engine]:
    """What opens a model on one Edge TPU, now and whenever it has been away.

    Args:
        entry: The model.
        device: Its name when it was found.
        nodes: Where all that are used are, by that name; kept up to date.
        library: Of Edge TPUs.
        options: Of the model.
        deadline_s: For one inference.
    """
    names = [device]

    def open_on_tpu(give_up: Event) -> Engine:
        name = names.pop() if names else ""
        if not name:
            # Devices count anew when one is unplugged.
            others = tuple(nodes.values())
            present = ask_library(library, timeout_s=options.limits.list_s)
            name, nodes[device] = present.locate(nodes[device], others)
        order = Order(
            str(entry.path.resolve()),
            f"edgetpu:{device}",
            options.runtime,
            # What stays on the CPU of such a model is little.
            threads=1,
            library=library,
            options={"device": name},
            node=nodes[device],
            paired=True,
            input_shape=entry.spec.input.tensor_shape,
        )
        return _open_in_helper(entry, order, options, deadline_s, give_up)

    return open_on_tpu


def _backoff(options: LoadOptions) -> Backoff:
    return Backoff(options.limits.first_wait_s, options.limits.longest_wait_s)


def _open_in_helper(
    entry: CatalogueEntry, order: Order, options: LoadOptions, deadline_s: float, give_up: Event
) -> Engine:
    _check_file(entry)
    session = open_in_helper(
        order, deadline_s=deadline_s, give_up=give_up, open_s=options.limits.open_s
    )
    try:
        return Engine(entry, session)
    except BaseException:
        session.close()
        raise


def _open_on_cpu(entry: CatalogueEntry, options: LoadOptions) -> Engine:
    _check_file(entry)
    if not (entry.spec.sha256 or entry.spec.git_blob):
        check_by_trial(entry.path, entry.spec.input.tensor_shape, options.runtime)
    threads, cores = options.threads, options.cores or ()
    if threads is None and not cores and (tuned := find_tuning(entry, options.runtime)):
        # Not its cores: every model would be kept to the same, best ones.
        threads = tuned.threads
    session = open_session(
        entry.path,
        threads=threads,
        runtime=options.runtime,
        cpu_twin=entry.spec.cpu_twin,
        cores=cores,
        input_shape=entry.spec.input.tensor_shape,
    )
    return Engine(entry, session)


def _check_file(entry: CatalogueEntry) -> None:
    entry.check_present()
    check_header(entry.path)
    check_content(entry.path, entry.spec)


def _twin(entry: CatalogueEntry, named: str) -> CatalogueEntry:
    """The model that a manifest names as its twin: beside it, or in the catalogue."""
    name = named.removesuffix(".tflite")
    for suffix in (".toml", ".tflite"):
        beside = entry.manifest.with_name(f"{name}{suffix}")
        if beside.exists():
            return find_model(beside, entry.overrides)
    return find_model(name, entry.overrides)


def _for_cpu(entry: CatalogueEntry) -> CatalogueEntry:
    if not entry.spec.cpu_twin:
        return entry
    try:
        return _twin(entry, entry.spec.cpu_twin)
    except ModelError as error:
        raise ModelError(
            f"{entry.path} is compiled for an Edge TPU, and its twin for the CPU is not here:"
            f" {error.message}",
            f"put the model that it was compiled from beside it, as {entry.spec.cpu_twin}.tflite",
        ) from error


def _can_stand_in(for_tpu: CatalogueEntry, entry: CatalogueEntry) -> bool:
    """Whether there is a model that the CPU can run meanwhile.

    Raises:
        ModelError: There is one, but it is another one.
    """
    try:
        for_cpu = _for_cpu(entry)
    except ModelError as error:
        _log.warning("%s has no twin for the CPU: %s", entry.name, error.message)
        return False
    _check_twins(for_tpu, for_cpu)
    try:
        _check_file(for_cpu)
    except ModelError as error:
        _log.warning("%s: %s", for_tpu.name, error.said_of(for_cpu.name))
        return False
    return True


def _check_twins(one: CatalogueEntry, other: CatalogueEntry) -> None:
    """Refuse twins that could not stand in for each other."""
    if one.spec.labels != other.spec.labels or one.spec.input != other.spec.input:
        raise ModelError(
            f"{one.manifest} and {other.manifest} are named as twins, but differ in labels or"
            " [input]",
            "give both the same",
        )
