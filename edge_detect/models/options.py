"""How a model is to be loaded, as it is said behind its name or beside it."""

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from urllib.parse import parse_qsl

from edge_detect.core import ConfigError
from edge_detect.core.url import Url, parse_url
from edge_detect.models.accelerator import Accelerator, parse_accelerator
from edge_detect.models.catalogue import CatalogueEntry, find_model
from edge_detect.models.infer.overrides import OVERRIDES, Overrides, parse_overrides

__all__ = [
    "AcceleratorLimits",
    "LoadOptions",
    "find_with_options",
    "parse_cores",
    "split_options",
]

_MOST_CORES = 1024
_MOST_THREADS = 64
_LONGEST_S = 60.0
_NOT_IN_A_NAME = ("limits", "overrides")


@dataclass(slots=True, frozen=True)
class AcceleratorLimits:
    """How long accelerators are waited for, in seconds; one inference has its own deadline.

    Attributes:
        list_s: For a library to list its devices.
        open_s: For a device to load a model. An Edge TPU on USB gets its firmware first; on a
            slow board, Python alone takes seconds.
        first_wait_s: Until a device that failed is opened again; the wait doubles at each failure.
        longest_wait_s: The wait never grows beyond this.
    """

    list_s: float = 20.0
    open_s: float = 30.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0


@dataclass(slots=True, frozen=True)
class LoadOptions:
    """How a model is to be loaded, as in `load_model`; None where nothing was said.

    `overrides` says what its file or manifest does not, or says wrongly.
    """

    accelerator: Accelerator | None = None
    library: str | None = None
    deadline_s: float | None = None
    threads: int | None = None
    cores: tuple[int, ...] | None = None
    runtime: str | None = None
    limits: AcceleratorLimits = AcceleratorLimits()
    overrides: Overrides | None = None

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
    name, options = split_options(name_or_path, options)
    return find_model(name, options.overrides or Overrides()), options


def split_options(name_or_path: str | Path, options: LoadOptions) -> tuple[str | Path, LoadOptions]:
    """Take a name apart from the options behind it.

    Args:
        name_or_path: As in `find_with_options`.
        options: These go before those of the name.

    Raises:
        ConfigError: An option is unknown or given twice, or says something impossible.
    """
    text = str(name_or_path)
    name, _, query = text.partition("?")
    if isinstance(name_or_path, Path) or "=" not in query or os.path.lexists(text):
        return name_or_path, options
    keys = [key for key, _ in parse_qsl(query, keep_blank_values=True)]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(f"{name!r}: {twice} is given twice", f"give one value: ?{twice}=…")
    url = parse_url(f"model://{name}?{query}")
    # What is shown is the name alone.
    return name, options.or_else(_read_options(replace(url, scheme="", location=name)))


def _read_options(url: Url) -> LoadOptions:
    known = (each.name for each in fields(LoadOptions) if each.name not in _NOT_IN_A_NAME)
    url.check_options(*known, *OVERRIDES)
    said = url.options
    described = {key: value for key, value in said.items() if key in OVERRIDES}
    threads = url.integer("threads", 1, minimum=1) if "threads" in said else None
    deadline_s = url.number("deadline_s", 1) if "deadline_s" in said else None
    if threads is not None and threads > _MOST_THREADS:
        raise ConfigError(f"{url.name!r}: threads must be from 1 to {_MOST_THREADS}")
    if deadline_s is not None and deadline_s > _LONGEST_S:
        raise ConfigError(f"{url.name!r}: deadline_s must be from 0 to {_LONGEST_S:g}")
    return LoadOptions(
        accelerator=parse_accelerator(said["accelerator"]) if "accelerator" in said else None,
        library=said.get("library"),
        deadline_s=deadline_s,
        threads=threads,
        cores=parse_cores(said["cores"]) if "cores" in said else None,
        runtime=said.get("runtime"),
        overrides=parse_overrides(described) if described else None,
    )


def parse_cores(text: str) -> tuple[int, ...]:
    """Understand `0,2-3`.

    Raises:
        ConfigError: It is no such text.
    """
    cores: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        numbers = first.isdecimal() and (last.isdecimal() or not dash)
        if not numbers or not int(first) <= int(last or first) < _MOST_CORES:
            raise ConfigError(f"cores must be numbers such as 0,2-3, got {text!r}")
        cores.extend(range(int(first), int(last or first) + 1))
    return tuple(cores)
