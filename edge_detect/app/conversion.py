"""What all conversions of models have in common: checks before, progress, and the last lines."""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from edge_detect.core import ConfigError, SinkError
from edge_detect.models.checksum import sha256_of
from edge_detect.models.names import check_name
from edge_detect.models.spec import ModelSpec, Origin
from edge_detect.tools.convert.report import lines_of_figures

__all__ = [
    "Steps",
    "Targets",
    "check_targets",
    "command_words",
    "make_folder",
    "origin_of",
    "outcome",
    "temporary_files",
]

_NOTHING_KNOWN = Origin()


class Steps:
    """A progress bar for each step of a conversion, on a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._step = ""

    def tell(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of a step are finished."""
        if self._bar is None or step != self._step:
            self._close()
            self._step = step
            self._bar = tqdm(desc=step, total=total, disable=None, leave=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@dataclass(frozen=True)
class Targets:
    """The model files that a conversion writes, each with a manifest beside it.

    Attributes:
        model: `NAME.tflite`.
        float_twin: `NAME-float.tflite`; None where none is wanted.
    """

    model: Path
    float_twin: Path | None


def check_targets(arguments: argparse.Namespace, name: str, sources: Iterable[Path]) -> Targets:
    """The files to write; what cannot be written is refused here, before any work.

    Args:
        arguments: `out`, `force` and, where the kind has it, `float`.
        name: Of the new model.
        sources: The files to be converted, which are never replaced.

    Raises:
        ConfigError: The name is invalid, or a file of that name is there.
        SinkError: The folder cannot be written to, or there is none for temporary files.
    """
    folder: Path = arguments.out
    model = folder / f"{check_name(name)}.tflite"
    twin = folder / f"{name}-float.tflite" if getattr(arguments, "float", False) else None
    known = list(sources)
    written = [model, twin] if twin else [model]
    written += [file.with_suffix(".toml") for file in written]
    for file in written:
        if any(_is_same(file, source) for source in known):
            raise ConfigError(
                f"{file} is the file to be converted", "give the new one another --name"
            )
    for file in written:
        if os.path.lexists(file) and not arguments.force:
            raise ConfigError(f"{file} exists", "replace it with --force, or give another --name")
    _check_folder(folder)
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise SinkError(
            "there is no folder for temporary files", "set TMPDIR to a folder that you can write to"
        ) from error
    return Targets(model, twin)


def _is_same(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except OSError:
        return False


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to, or made."""
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise SinkError(f"{there} is not a folder", "give another folder with --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SinkError(
            f"cannot write to {there}: Permission denied", "give another folder with --out"
        )


def make_folder(folder: Path) -> None:
    """Make the directory for the result.

    Raises:
        SinkError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"cannot create {folder}: {error.strerror}", "give another folder with --out"
        ) from error


@contextmanager
def temporary_files() -> Iterator[None]:
    """Name the place where temporary files cannot be written.

    Raises:
        SinkError: An operating system error came out of the block.
    """
    try:
        yield
    except BrokenPipeError:
        # The reader of what is printed has gone.
        raise
    except OSError as error:
        place = error.filename or tempfile.gettempdir()
        raise SinkError(
            f"cannot use {place}: {error.strerror or error}",
            "check the free space and the permissions; TMPDIR sets the folder for temporary files",
        ) from error


def origin_of(
    licence: str | None, files: Iterable[Path], known: Origin = _NOTHING_KNOWN
) -> dict[str, Any]:
    """The origin of a converted model.

    Args:
        licence: As given by the user; None keeps the one that is known.
        files: What was converted.
        known: Of the manifest beside the original. Its URL is that of another file.
    """
    return {
        **known.model_dump(exclude_defaults=True, exclude={"url"}),
        "licence": licence or known.licence or "unstated",
        "command": command_words(),
        "files": {file.name: sha256_of(file) for file in files},
    }


def command_words() -> str:
    """The command as others could give it: file names without this machine's folders."""
    return shlex.join(["edge-detect", *map(_without_folders, sys.argv[1:])])


def _without_folders(word: str) -> str:
    """`/a/net.onnx?labels=/b/c.txt` as `net.onnx?labels=c.txt`, and `--out=/a/b` as `--out=b`."""
    for mark in ("&", "?", "="):
        parts = word.split(mark)
        if len(parts) > 1 and "=" in word:
            return mark.join(map(_without_folders, parts))
    return Path(word).name if "/" in word else word


def outcome(spec: ModelSpec, out: Path) -> str:
    """How good the model is where that was measured, where it is, and how to try it."""
    figures = spec.figures.get("int8_to_float")
    agreement = "".join(f"{line}\n" for line in lines_of_figures(figures)) if figures else ""
    left_out = spec.quantization.get("pictures_left_out", 0)
    if left_out:
        agreement += (
            f"{left_out} of the pictures left out of calibration: the float model's outputs for "
            "them are far larger than for the others\n"
        )
    classes = sum(label != "n/a" for label in spec.labels)
    return agreement + (
        f"{out}  {spec.input.frame_size}, {classes} classes\n{out.with_suffix('.toml')}\n"
        f"try it: edge-detect detect PHOTO --model {out}"
    )
