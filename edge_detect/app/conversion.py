"""What all conversions of models have in common: progress, the folder, and the last lines."""

import sys
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from edge_detect.core import SinkError
from edge_detect.models.spec import ModelSpec
from edge_detect.tools.convert.report import lines_of_figures

__all__ = ["Steps", "command_words", "make_folder", "outcome"]


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


def make_folder(folder: Path) -> None:
    """Make the directory for the result.

    Raises:
        SinkError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot create {folder}: {error.strerror}") from error


def command_words() -> str:
    """The command as others could give it: file names without this machine's folders."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return " ".join(["edge-detect", *words])


def outcome(spec: ModelSpec, out: Path) -> str:
    """How good the model is where that was measured, where it is, and how to try it."""
    figures = spec.figures.get("int8_to_float")
    agreement = "".join(f"{line}\n" for line in lines_of_figures(figures)) if figures else ""
    return agreement + (
        f"{out}  {spec.input.frame_size}, {len(spec.labels)} classes\n{out.with_suffix('.toml')}\n"
        f"try it: edge-detect detect PHOTO --model {out}"
    )
