"""From a model and a wish to whatever runs it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from threading import Event
from typing import Literal

from edge_detect.core import AcceleratorError, ConfigError, ModelError
from edge_detect.core.url import Url, parse_url
from edge_detect.models.accelerator import Accelerator, parse_accelerator
from edge_detect.models.catalogue import CatalogueEntry, find_model
from edge_detect.models.checksum import check_content
from edge_detect.models.edge_tpu import (
    EDGE_TPU_LIBRARY,
    ask_library,
    choose_devices,
)
from edge_detect.models.engine import Engine
from edge_detect.models.helper.session import open_in_helper
from edge_detect.models.helper.wire import Order
from edge_detect.models.lanes import Lane, Lanes
from edge_detect.models.runtime import check_header, open_session

__all__ = ["LoadOptions", "find_with_options", "open_lanes"]

_log = logging.getLogger(__name__)

_DEADLINE_S = 2.0


@dataclass(slots=True, frozen=True)
class LoadOptions:
    """How a model is to be loaded, as in `load_model`; None where nothing was said."""

    accelerator: Accelerator | None = None
    library: str | None = None
    deadline_s: float | None = None
    threads: int | None = None
    cores: tuple[int, ...] | None = None
    runtime: str | None = None

    def or_else(self, others: "LoadOptions") -> "LoadOptions":
        """These, and where nothing was said, the others."""
        said = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) is not None
        }
        return replace(others, **said)


def find_with_options(
    name_or_path: str | Path, options: LoadOptions
) -> tuple[CatalogueEntry, LoadOptions]:
    """Find a model whose name may be followed by options: `NAME?accelerator=gpu&threads=2`.

    Args:
        name_or_path: As in `find_model`.
        options: These go before those of the name.

    Raises:
        ModelError: There is no such model.
        ConfigError: An option is unknown, or says something impossible.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "?" not in text or Path(text).exists():
        return find_model(name_or_path), options
    name, _, query = text.partition("?")
    return find_model(name), options.or_else(_read_options(parse_url(f"model://{name}?{query}")))


def open_lanes(entry: CatalogueEntry, options: LoadOptions) -> Lanes:
    """Open a model on what it is to run on.

    Raises:
        AcceleratorError: The accelerator that was asked for is missing or does not work.
        ModelError: A file is missing, or is not what its manifest says.
        DependencyError: No runtime is installed, or it does not fit the others.
    """
    wanted = options.accelerator or Accelerator()
    deadline_s = options.deadline_s or _DEADLINE_S
    for_cpu = _twin(entry, entry.spec.cpu_twin) if entry.spec.cpu_twin else entry
    on_cpu = Lane("cpu", lambda _: _open_on_cpu(for_cpu, options))
    if wanted.kind == "gpu":
        on_gpu = Lane("gpu", lambda give_up: _open_on_gpu(for_cpu, options, deadline_s, give_up))
        return Lanes(
            entry.name, [on_gpu], on_cpu, absence="forgotten", patience_s=deadline_s
        )
    if wanted.kind == "cpu":
        return Lanes(entry.name, [on_cpu])
    for_tpu = _twin(entry, entry.spec.edgetpu) if entry.spec.edgetpu else entry
    has_twin = bool(entry.spec.edgetpu or entry.spec.cpu_twin)
    if not has_twin:
        if wanted.kind == "edgetpu":
            raise ModelError(
                f"model {entry.name!r} is not compiled for an Edge TPU, and has no twin that is",
                "compile it with edgetpu_compiler, and name the result in its manifest: "
                "edgetpu = \"NAME_edgetpu\"",
            )
        return Lanes(entry.name, [on_cpu])
    library = options.library or EDGE_TPU_LIBRARY
    try:
        devices = choose_devices(wanted, ask_library(library).devices)
        _check_file(for_tpu)
    except (AcceleratorError, ModelError) as error:
        if wanted.kind == "edgetpu":
            raise
        _log.info("%s runs on the CPU: %s", entry.name, error.message)
        return Lanes(entry.name, [on_cpu])
    _check_twins(for_tpu, for_cpu)
    lanes = [
        Lane(f"edgetpu:{device}", _tpu_opener(for_tpu, device, library, options, deadline_s))
        for device in devices
    ]
    fallback = on_cpu if for_cpu is not for_tpu and for_cpu.present else None
    absence: Literal["again", "error"] = "again" if wanted.kind == "auto" else "error"
    return Lanes(entry.name, lanes, fallback, absence=absence, patience_s=deadline_s)


def _tpu_opener(
    entry: CatalogueEntry, device: str, library: str, options: LoadOptions, deadline_s: float
) -> Callable[[Event], Engine]:
    order = Order(
        str(entry.path.resolve()),
        f"edgetpu:{device}",
        options.runtime,
        # What stays on the CPU of such a model is little.
        1,
        library,
        {"device": device},
    )

    def open_on_tpu(give_up: Event) -> Engine:
        _check_file(entry)
        return Engine(entry, open_in_helper(order, deadline_s=deadline_s, give_up=give_up))

    return open_on_tpu


def _open_on_gpu(
    entry: CatalogueEntry, options: LoadOptions, deadline_s: float, give_up: Event
) -> Engine:
    if entry.spec.float_twin:
        entry = _twin(entry, entry.spec.float_twin)
    _check_file(entry)
    order = Order(
        str(entry.path.resolve()),
        "gpu",
        options.runtime,
        options.threads,
        options.library or "",
        {},
        compiled=not options.library,
    )
    return Engine(entry, open_in_helper(order, deadline_s=deadline_s, give_up=give_up))


def _open_on_cpu(entry: CatalogueEntry, options: LoadOptions) -> Engine:
    _check_file(entry)
    session = open_session(
        entry.path,
        threads=options.threads,
        runtime=options.runtime,
        cpu_twin=entry.spec.cpu_twin,
        cores=options.cores or (),
    )
    return Engine(entry, session)


def _check_file(entry: CatalogueEntry) -> None:
    spec = entry.spec
    if not entry.path.exists():
        hint = (
            f"fetch it with: edge-detect models pull {spec.name}"
            if spec.origin.url
            else f"put the file beside its manifest {entry.manifest}"
        )
        raise ModelError(f"the file of model {spec.name!r} is not here: {entry.path}", hint)
    check_header(entry.path)
    check_content(entry.path, spec)


def _twin(entry: CatalogueEntry, named: str) -> CatalogueEntry:
    """The model that a manifest names as its twin: beside it, or in the catalogue."""
    name = named.removesuffix(".tflite")
    beside = entry.manifest.with_name(f"{name}.toml")
    return find_model(beside if beside.exists() else name)


def _check_twins(one: CatalogueEntry, other: CatalogueEntry) -> None:
    """Refuse twins that could not stand in for each other."""
    if one.spec.labels != other.spec.labels or one.spec.input != other.spec.input:
        raise ModelError(
            f"{one.manifest} and {other.manifest} are named as twins, but differ in labels or"
            " [input]",
            "give both the same",
        )


def _read_options(url: Url) -> LoadOptions:
    url.check_options(*(each.name for each in fields(LoadOptions)))
    said = url.options
    cores = said.get("cores")
    return LoadOptions(
        accelerator=parse_accelerator(said["accelerator"]) if "accelerator" in said else None,
        library=said.get("library"),
        deadline_s=url.number("deadline_s", 1) if "deadline_s" in said else None,
        threads=url.integer("threads", 1, minimum=1) if "threads" in said else None,
        cores=None if cores is None else parse_cores(cores),
        runtime=said.get("runtime"),
    )


def parse_cores(text: str) -> tuple[int, ...]:
    """Understand `0,2-3`.

    Raises:
        ConfigError: It is no such text.
    """
    cores: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise ConfigError(f"cores must be numbers such as 0,2-3, got {text!r}")
        cores.extend(range(int(first), int(last or first) + 1))
    return tuple(cores)
