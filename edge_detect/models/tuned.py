"""What `edge-detect tune` found out for this board: threads and cores of each model.

    {"board": {"cpu": "Raspberry Pi 5 Model B Rev 1.0", "cores": 4},
     "models": {"yolov3-tiny-coco": {"checksum": "10ce…", "runtime": "litert 2.3.0",
                                     "threads": 3, "cores": []}}}

A card may be moved to another board, a runtime be upgraded, a model converted anew: what was
measured before says nothing then, and is not used.
"""

import json
import logging
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_detect.board.files import read_text
from edge_detect.core import ConfigError
from edge_detect.core.resources import tuning_paths
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.runtime import RUNTIMES
from edge_detect.models.spec import ModelSpec

__all__ = ["BoardIdentity", "Tuning", "find_tuning", "this_board", "write_tuning"]

_log = logging.getLogger(__name__)

_ALL_READ = 0o644


@dataclass(slots=True, frozen=True)
class Tuning:
    """How a model runs best.

    Attributes:
        threads: That share one inference.
        cores: That they keep to; empty for all.
    """

    threads: int
    cores: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class BoardIdentity:
    """What a measurement holds for.

    Attributes:
        cpu: Name of the board or of its processor.
        cores: That this process may use.
    """

    cpu: str
    cores: int

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} core{'s' * (self.cores != 1)}"


@cache
def this_board() -> BoardIdentity:
    """The board at hand, as it was when first asked for: later, threads may keep to few cores."""
    return BoardIdentity(_processor(), len(os.sched_getaffinity(0)))


def find_tuning(entry: CatalogueEntry, runtime: str | None = None) -> Tuning | None:
    """What was measured for a model on this board.

    Never raises, and takes less than a millisecond where nothing was measured.

    Args:
        entry: The model.
        runtime: `litert` or `tflite-runtime`; by default the one that would be taken.

    Returns:
        None if nothing was measured, or for another board, runtime or file.
    """
    for path in tuning_paths():
        text = read_text(path)
        if text is None:
            continue
        try:
            found = _read(json.loads(text), entry, runtime)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            _warn_damaged(path)
        else:
            if isinstance(found, Tuning):
                return found
            _log.debug("%s: %s: %s", entry.name, path, found)
    return None


def write_tuning(path: Path, entry: CatalogueEntry, runtime: str, tuning: Tuning) -> None:
    """Add what was measured to a file, at once: there is no moment with half a file.

    What the file says of other models stays if it was measured on this board.

    Args:
        path: The file; its folder is made where it is missing.
        entry: The model.
        runtime: Package and version, as a session tells them.
        tuning: What was measured.

    Raises:
        ConfigError: It cannot be written.
    """
    board = this_board()
    models = _models_of(path, board)
    models[entry.name] = {
        "checksum": _checksum(entry.spec),
        "runtime": runtime,
        "threads": tuning.threads,
        "cores": list(tuning.cores),
    }
    content = {"board": {"cpu": board.cpu, "cores": board.cores}, "models": models}
    replace_file(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def check_writable(path: Path) -> None:
    """Find out that a file could not be written before minutes are spent on its content.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def replace_file(path: Path, text: str) -> None:
    """Write a file that everybody may read, whole or not at all.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(text)
                os.fchmod(descriptor, _ALL_READ)
                file.flush()
                os.fsync(descriptor)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot write {path}: {error.strerror}",
        "--dry-run measures and writes nothing; EDGE_DETECT_TUNED=FILE names another place",
    )


def _read(content: Any, entry: CatalogueEntry, runtime: str | None) -> Tuning | str:
    """What a file says of a model; text says why nothing.

    Raises:
        KeyError, TypeError, ValueError: It is not what `write_tuning` wrote.
    """
    board = BoardIdentity(str(content["board"]["cpu"]), int(content["board"]["cores"]))
    models: Mapping[str, Any] = content["models"]
    said = models.get(entry.name)
    if said is None:
        return "was not tuned"
    if board != this_board():
        return f"was tuned on another board: {board}"
    if said["checksum"] != _checksum(entry.spec):
        return "was tuned with another file"
    threads, cores = said["threads"], said["cores"]
    if not _is_number(threads, 1) or not all(_is_number(core, 0) for core in cores):
        raise ValueError
    if not (threads <= board.cores and set(cores) <= os.sched_getaffinity(0)):
        return "was tuned with cores that this process may not use"
    # Comes last, as looking it up takes longest.
    version = _version(runtime or os.environ.get("EDGE_DETECT_RUNTIME") or "")
    if said["runtime"] != version:
        return f"was tuned with {said['runtime']}, and runs with {version}"
    return Tuning(threads, tuple(cores))


def _is_number(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _models_of(path: Path, board: BoardIdentity) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path) or "{}")
        if content["board"] == {"cpu": board.cpu, "cores": board.cores}:
            return dict(content["models"])
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return {}


def _checksum(spec: ModelSpec) -> str:
    return spec.sha256 or spec.git_blob


@cache
def _version(wanted: str) -> str:
    """As a session tells it; empty if there is no runtime, which opening the model will say."""
    for name in [wanted] if wanted else RUNTIMES:
        try:
            return f"{name} {metadata.version(RUNTIMES[name].distribution)}"
        except (KeyError, metadata.PackageNotFoundError):
            continue
    return ""


@cache
def _warn_damaged(path: Path) -> None:
    _log.warning("%s is damaged and is not used; write it again with: edge-detect tune", path)


def _processor() -> str:
    board = read_text(Path("/proc/device-tree/model"))
    if board:
        return board
    try:
        with Path("/proc/cpuinfo").open("rb", buffering=0) as file:
            # The first core's part: the kernel measures clocks for each one that is read.
            lines = file.read(4096).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    chip = read_text(Path("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"))
    return f"{platform.machine()} {chip or ''}".strip()
